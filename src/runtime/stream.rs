//! A running query as a stream that a cancel, a deadline or its reader can end.
//!
//! The query runs on the query runtime and hands batches over through a channel of two, so that a
//! slow reader holds it back and a busy operator does not hold the network back.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream};
use futures::{Future, Stream, StreamExt};
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::base::{CancelFlag, Error};

/// Ends the statement that runs now. The next statement is not touched.
#[derive(Clone, Debug, Default)]
pub struct Canceller {
    current: Arc<Mutex<CancellationToken>>,
}

impl Canceller {
    /// Cancels the running statement, its stream included.
    pub fn cancel(&self) {
        self.current.lock().cancel();
    }

    /// Begins a statement: an earlier cancel no longer counts.
    pub(crate) fn begin(&self) -> CancellationToken {
        let mut current = self.current.lock();
        if current.is_cancelled() {
            *current = CancellationToken::new();
        }
        current.clone()
    }
}

/// Runs `future` until it ends, is cancelled or has taken `limit` (zero: no limit). Its `stop` is
/// raised then; where it has taken effect, it goes on to its end.
///
/// # Errors
/// 57014 when it was ended; else its own.
pub(crate) async fn guarded<T>(
    token: &CancellationToken,
    limit: Duration,
    stop: &CancelFlag,
    future: impl Future<Output = crate::base::Result<T>>,
) -> crate::base::Result<T> {
    let mut future = pin!(future);
    let reason = tokio::select! {
        biased;
        () = token.cancelled() => cancelled(),
        () = deadline(limit) => timed_out(),
        outcome = &mut future => return outcome,
    };
    stop.cancel();
    if stop.is_cancelled() {
        Err(reason)
    } else {
        future.await
    }
}

async fn deadline(limit: Duration) {
    if limit.is_zero() {
        std::future::pending::<()>().await;
    }
    tokio::time::sleep(limit).await;
}

fn cancelled() -> Error {
    Error::cancelled("canceling statement due to user request")
}

fn timed_out() -> Error {
    Error::cancelled("canceling statement due to statement timeout")
}

/// Moves `stream` to the query runtime.
pub(crate) fn run_on(
    runtime: &Handle,
    mut stream: SendableRecordBatchStream,
    (token, flag): (&CancellationToken, CancelFlag),
    limit: Duration,
) -> SendableRecordBatchStream {
    let schema = stream.schema();
    let (sender, receiver) = mpsc::channel(2);
    let task = runtime.spawn(async move {
        while let Some(item) = stream.next().await {
            if sender.send(item).await.is_err() {
                return;
            }
        }
    });
    Box::pin(QueryStream {
        schema,
        receiver,
        task: task.abort_handle(),
        flag,
        cancelled: Box::pin(token.clone().cancelled_owned()),
        deadline: Box::pin(deadline(limit)),
        ended: false,
    })
}

struct QueryStream {
    schema: SchemaRef,
    receiver: mpsc::Receiver<DfResult<RecordBatch>>,
    task: tokio::task::AbortHandle,
    /// Ends operators that compute for long within one poll.
    flag: CancelFlag,
    cancelled: Pin<Box<WaitForCancellationFutureOwned>>,
    deadline: Pin<Box<dyn Future<Output = ()> + Send>>,
    ended: bool,
}

impl QueryStream {
    fn end(&mut self, error: Error) -> Poll<Option<DfResult<RecordBatch>>> {
        self.ended = true;
        self.flag.cancel();
        self.task.abort();
        Poll::Ready(Some(Err(DataFusionError::from(error))))
    }
}

impl Stream for QueryStream {
    type Item = DfResult<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.cancelled.as_mut().poll(cx).is_ready() {
            return self.end(cancelled());
        }
        if self.deadline.as_mut().poll(cx).is_ready() {
            return self.end(timed_out());
        }
        self.receiver.poll_recv(cx)
    }
}

impl RecordBatchStream for QueryStream {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }
}

impl Drop for QueryStream {
    fn drop(&mut self) {
        self.flag.cancel();
        self.task.abort();
    }
}
