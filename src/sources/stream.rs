//! Blocking readers as streams, and streams as tables: what every bounded source stands on.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use tokio::sync::mpsc;

use super::quarantine::Quarantine;
use crate::base::{Error, Result, task};

/// Items that wait for their consumer: enough to overlap reading and decoding.
const AHEAD: usize = 4;

/// Gives items from a blocking thread; false when nobody listens any more.
pub(crate) struct Give<T>(mpsc::Sender<Option<Result<T>>>);

impl<T> Give<T> {
    /// Waits for room and gives one item. False: stop, the consumer is gone.
    pub(crate) fn give(&self, item: T) -> bool {
        self.0.blocking_send(Some(Ok(item))).is_ok()
    }
}

/// Runs `body` on a thread of its own and streams what it gives. An error ends the stream; so does a panic,
/// as an error. Dropping the stream ends the thread at its next item.
pub(crate) fn from_thread<T, F>(
    name: &'static str,
    body: F,
) -> Result<BoxStream<'static, Result<T>>>
where
    T: Send + 'static,
    F: FnOnce(&Give<T>) -> Result<()> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    let give = Give(sender);
    // The handle is not joined: the channel tells how the thread ended.
    drop(task::thread(name, move || {
        let ending = match body(&give) {
            Ok(()) => None,
            Err(error) => Some(Err(error)),
        };
        // A consumer that is gone needs no ending.
        drop(give.0.blocking_send(ending));
    })?);
    Ok(stream::unfold(Some(receiver), |receiver| async move {
        let mut receiver = receiver?;
        match receiver.recv().await {
            Some(Some(Ok(item))) => Some((Ok(item), Some(receiver))),
            Some(Some(Err(error))) => Some((Err(error), None)),
            Some(None) => None,
            None => Some((
                Err(Error::internal("a reading thread ended without a result")),
                None,
            )),
        }
    })
    .boxed())
}

/// A stream of batches as DataFusion takes it.
pub(crate) fn adapt(
    schema: &SchemaRef,
    stream: impl futures::Stream<Item = Result<RecordBatch>> + Send + 'static,
) -> SendableRecordBatchStream {
    let stream = stream.map(|item| item.map_err(DataFusionError::from));
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), stream))
}

/// A source that can be read from its start any number of times, in independent parts.
pub(crate) trait Parts: Send + Sync + fmt::Debug {
    /// All columns.
    fn schema(&self) -> SchemaRef;

    /// How many parts there are for `target` readers; at least one.
    fn count(&self, target: usize) -> usize;

    /// Reads part `part` of `count`; the batches have the projected schema.
    fn open(
        &self,
        part: usize,
        count: usize,
        projection: Option<Vec<usize>>,
        quarantine: Arc<dyn Quarantine>,
    ) -> SendableRecordBatchStream;
}

/// A table over parts. Filters stay above it, and it promises no statistics: bad records are not rows, and
/// only reading tells how many there are.
#[derive(Debug)]
pub(crate) struct PartsTable {
    parts: Arc<dyn Parts>,
    quarantine: Arc<dyn Quarantine>,
}

impl PartsTable {
    pub(crate) fn new(parts: Arc<dyn Parts>, quarantine: Arc<dyn Quarantine>) -> Self {
        Self { parts, quarantine }
    }
}

#[async_trait]
impl TableProvider for PartsTable {
    fn schema(&self) -> SchemaRef {
        self.parts.schema()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::common::Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.parts.schema().project(projection)?),
            None => self.parts.schema(),
        };
        let count = self.parts.count(state.config().target_partitions());
        let partitions = (0..count)
            .map(|part| {
                Arc::new(Partition {
                    parts: Arc::clone(&self.parts),
                    quarantine: Arc::clone(&self.quarantine),
                    schema: Arc::clone(&schema),
                    projection: projection.cloned(),
                    part,
                    count,
                }) as Arc<dyn PartitionStream>
            })
            .collect();
        let plan = StreamingTableExec::try_new(schema, partitions, None, Vec::new(), false, limit)?;
        Ok(Arc::new(plan))
    }
}

#[derive(Debug)]
struct Partition {
    parts: Arc<dyn Parts>,
    quarantine: Arc<dyn Quarantine>,
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
    part: usize,
    count: usize,
}

impl PartitionStream for Partition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let quarantine = Arc::clone(&self.quarantine);
        self.parts
            .open(self.part, self.count, self.projection.clone(), quarantine)
    }
}
