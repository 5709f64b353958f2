//! The tasks that bring rows by themselves: one for each tailed source.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::instance::{Lotic, blocking};
use super::source::options_of;
use super::writer::{FROM_CONNECTOR, POSITION, WriteOptions, Writer};
use crate::base::{Error, ObjectId, PartitionId, Result, task};
use crate::catalog::Object;
use crate::sources::Quarantine;
use crate::sources::tail::{Tail, TailPosition};

/// The running tasks, by the object that they feed.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    running: Mutex<BTreeMap<ObjectId, CancellationToken>>,
}

impl Feeds {
    /// Notes a task; it ends when the token does.
    pub(crate) fn begin(&self, id: ObjectId) -> CancellationToken {
        let token = CancellationToken::new();
        if let Some(before) = self.running.lock().insert(id, token.clone()) {
            before.cancel();
        }
        token
    }

    /// Ends the task of `id`, if there is one.
    pub(crate) fn stop(&self, id: ObjectId) {
        if let Some(token) = self.running.lock().remove(&id) {
            token.cancel();
        }
    }

    /// Ends all tasks.
    pub(crate) fn stop_all(&self) {
        for (_, token) in std::mem::take(&mut *self.running.lock()) {
            token.cancel();
        }
    }
}

impl Lotic {
    /// Follows the files of a new tailed source.
    pub(super) async fn start_tail(self: &Arc<Self>, object: &Object) -> Result<()> {
        let mut feed = self.open_feed(object).await?;
        // what is there already belongs to the start, so that a model made next sees it
        feed.advance().await?;
        self.follow(feed);
        Ok(())
    }

    /// Follows the files of a recovered source, from where the topic says that it has come. What is
    /// wrong now may be mended later, so it is told and tried again.
    pub(super) async fn resume_tail(self: &Arc<Self>, object: &Object) -> Result<()> {
        let mut feed = self.open_feed(object).await?;
        if let Err(error) = feed.advance().await {
            feed.report(Some(error));
        }
        self.follow(feed);
        Ok(())
    }

    async fn open_feed(self: &Arc<Self>, object: &Object) -> Result<Feed> {
        let Some(writer) = self.writer(object.id) else {
            return Err(Error::internal(format!(
                "source \"{}\" has no topic",
                object.name
            )));
        };
        let options = options_of(object)?;
        let pause = options.poll.max(std::time::Duration::from_millis(10));
        let tail = Tail::new(&options, &object.schema)?;
        let reader = Arc::clone(&writer);
        let position = blocking(move || last_position(&reader)).await?;
        Ok(Feed {
            lotic: Arc::clone(self),
            id: object.id,
            writer,
            tail: Some(tail),
            position,
            pause,
        })
    }

    fn follow(&self, mut feed: Feed) {
        let token = self.feeds.begin(feed.id);
        task::spawn("tail", async move {
            loop {
                tokio::select! {
                    () = token.cancelled() => return,
                    () = tokio::time::sleep(feed.pause) => {}
                }
                if let Err(error) = feed.advance().await {
                    feed.report(Some(error));
                }
            }
        });
    }
}

/// One tailed source.
struct Feed {
    lotic: Arc<Lotic>,
    id: ObjectId,
    writer: Arc<Writer>,
    /// Lent to a blocking thread while it reads.
    tail: Option<Tail>,
    position: TailPosition,
    /// Between two looks.
    pause: std::time::Duration,
}

impl Feed {
    /// Brings everything that is new. Rows and position go to disk in one group.
    async fn advance(&mut self) -> Result<()> {
        loop {
            let Some(mut tail) = self.tail.take() else {
                return Err(Error::internal("a tail was lost by a panic"));
            };
            let position = self.position.clone();
            let (tail, batches) = blocking(move || {
                let batches = tail.poll(&position);
                Ok((tail, batches))
            })
            .await?;
            let more = tail.more();
            let trouble = tail.troubles().first().map(|trouble| trouble.error.clone());
            self.tail = Some(tail);
            for batch in batches? {
                let quarantine = Arc::clone(self.lotic.quarantine());
                let bad = batch.bad;
                // bad records first: the position that passes them must not be durable before them
                blocking(move || {
                    bad.into_iter()
                        .try_for_each(|record| quarantine.put(record))
                })
                .await?;
                self.keep(batch.batch, batch.position_after).await?;
            }
            self.report(trouble);
            if !more {
                return Ok(());
            }
        }
    }

    async fn keep(&mut self, rows: arrow::array::RecordBatch, after: TailPosition) -> Result<()> {
        let text = serde_json::to_vec(&after)
            .map_err(|error| Error::internal(format!("position: {error}")))?;
        let options = WriteOptions {
            flags: FROM_CONNECTOR,
            position: Some(Bytes::from(text)),
            place: Some(place_of(&self.position, &after)),
            ..WriteOptions::default()
        };
        let batches = if rows.num_rows() > 0 {
            vec![rows]
        } else {
            Vec::new()
        };
        self.writer.insert(batches, options).await?;
        self.position = after;
        Ok(())
    }

    fn report(&self, trouble: Option<Error>) {
        match trouble {
            Some(error) => {
                self.lotic
                    .set_source_state(self.id, "retrying", Some(error.message().to_owned()));
            }
            None => self.lotic.set_source_state(self.id, "ok", None),
        }
    }
}

/// The file and the line from which on the rows between two positions are counted: a read that is repeated begins at the
/// same position, so a row has the same place then.
fn place_of(before: &TailPosition, after: &TailPosition) -> String {
    let read = after
        .files
        .iter()
        .find(|(name, at)| before.files.get(*name) != Some(at));
    let Some((name, _)) = read else {
        return "a followed file".to_owned();
    };
    let line = before.files.get(name).map_or(1, |at| at.line);
    format!("{name}: from line {line} on")
}

/// The newest position in the topic; without a topic, the start.
fn last_position(writer: &Writer) -> Result<TailPosition> {
    let mut newest = TailPosition::default();
    let Some(topic) = writer.topic() else {
        return Ok(newest);
    };
    let partition = PartitionId(0);
    for record in topic.read(partition, topic.bounds(partition).0)? {
        let record = record?;
        if record.flags == POSITION {
            newest = serde_json::from_slice(&record.payload)
                .map_err(|error| Error::corrupt(format!("a stored position: {error}")))?;
        }
    }
    Ok(newest)
}
