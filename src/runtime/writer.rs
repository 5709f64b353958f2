//! Makes rows durable and hands them to the driver, for one table or stream.
//!
//! Inserts run beside each other: they share the log's commit window. UPDATE and DELETE read
//! before they write, so they wait for the inserts before them and hold new ones back.
//!
//! Whatever happens to the session, rows that became durable reach the driver: the hand-over is
//! done by the log's committer, not by the session's task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::take_record_batch;
use bytes::Bytes;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, oneshot};

use super::driver::{DriverHandle, Rows, SharedCollection};
use super::source_time::{Judged, SourceTime, Turn};
use super::unique::{KeyHold, UniqueKey};
use crate::base::{Epoch, Error, ObjectId, Offset, PartitionId, Result};
use crate::catalog::Object;
use crate::transport::{Appended, Record, Topic};
use crate::zset::encode::encode_delta;
use crate::zset::hash::partition_hashes;
use crate::zset::{Delta, Weights};

/// The most rows that one record of the log holds.
const RECORD_ROWS: usize = 32 * 1024;

/// Marks a record whose rows a connector brought, not a statement.
pub(crate) const FROM_CONNECTOR: u16 = 1;
/// Marks a record that holds a connector's position and no rows.
pub(crate) const POSITION: u16 = 2;
/// Marks a record that holds a watermark and no rows: 8 bytes, microseconds since 1970, little-endian.
pub(crate) const WATERMARK: u16 = 4;

/// Whether a record with these flags holds rows.
pub(crate) fn holds_rows(flags: u16) -> bool {
    !matches!(flags, POSITION | WATERMARK)
}

/// Writes to one table or stream.
pub(crate) struct Writer {
    object: ObjectId,
    key: Vec<usize>,
    topic: Option<Arc<Topic>>,
    collection: SharedCollection,
    driver: DriverHandle,
    order: Arc<RwLock<()>>,
    /// What must hold once: the primary key first.
    unique: parking_lot::RwLock<Vec<Arc<UniqueKey>>>,
    turn: AtomicU64,
    /// For a source with a watermark.
    time: Option<SourceTime>,
}

/// Rows that are durable. They are visible once `visible` says so.
pub(crate) struct Receipt {
    /// How many rows.
    pub(crate) rows: u64,
    /// How many came too late, and are in the quarantine.
    pub(crate) late: u64,
    /// Where they lie: partition, first offset, rows.
    pub(crate) places: Vec<(PartitionId, Offset, u64)>,
    /// Gets the epoch that first shows them.
    pub(crate) visible: oneshot::Receiver<Result<Epoch>>,
}

/// The exclusive right to change a table. Everything written before it is visible.
pub(crate) struct Exclusive(OwnedRwLockWriteGuard<()>);

/// What goes to the log beside rows.
#[derive(Default)]
pub(crate) struct WriteOptions {
    /// Flags of the rows' records.
    pub(crate) flags: u16,
    /// A connector's position, stored in the same atomic group.
    pub(crate) position: Option<Bytes>,
    /// Where the rows come from, for those that are late; none for a client's.
    pub(crate) place: Option<String>,
    /// A watermark that is kept beside the rows.
    pub(crate) watermark_us: Option<i64>,
}

impl Writer {
    /// A writer for `object`. Without a topic, rows live in memory alone.
    pub(crate) fn new(
        object: &Object,
        topic: Option<Arc<Topic>>,
        collection: SharedCollection,
        driver: DriverHandle,
    ) -> Result<Self> {
        let key = object.primary_key().to_vec();
        let mut unique = Vec::new();
        if !key.is_empty() {
            let name = format!("{}_pkey", object.name);
            let primary = UniqueKey::new(name, &object.schema, key.clone(), None)?;
            unique.push(Arc::new(primary));
        }
        Ok(Self {
            object: object.id,
            key,
            topic,
            collection,
            driver,
            order: Arc::default(),
            unique: parking_lot::RwLock::new(unique),
            turn: AtomicU64::new(0),
            time: None,
        })
    }

    /// With the time of a source.
    pub(crate) fn with_time(mut self, time: Option<SourceTime>) -> Self {
        self.time = time;
        self
    }

    /// The time of a source with a watermark.
    pub(crate) fn time(&self) -> Option<&SourceTime> {
        self.time.as_ref()
    }

    /// The topic, where there is one.
    pub(crate) fn topic(&self) -> Option<&Arc<Topic>> {
        self.topic.as_ref()
    }

    /// Adds rows. Returns when they are on disk.
    ///
    /// # Errors
    /// 23505 when a key is there already; what the log says when it cannot write.
    pub(crate) async fn insert(
        &self,
        batches: Vec<RecordBatch>,
        options: WriteOptions,
    ) -> Result<Receipt> {
        let shared = Arc::clone(&self.order).read_owned().await;
        let reserved = self.reserve(&batches)?;
        let held = Held {
            _order: Some(shared),
            _keys: reserved,
        };
        let Some(time) = &self.time else {
            let deltas = batches.into_iter().map(Delta::inserts).collect();
            return self.write(deltas, options, held, None).await;
        };
        let Judged {
            turn,
            on_time,
            late,
        } = time.judge(batches, options.place.clone()).await?;
        let deltas = on_time.into_iter().map(Delta::inserts).collect();
        let receipt = self.write(deltas, options, held, Some(turn)).await?;
        Ok(Receipt { late, ..receipt })
    }

    /// Brings the watermark of a source forward though none of its rows says so, durably.
    ///
    /// # Errors
    /// What the log says when it cannot write.
    pub(crate) async fn advance(&self, to_us: i64) -> Result<()> {
        let Some(time) = &self.time else {
            return Ok(());
        };
        let Some(turn) = time.advance(to_us).await else {
            return Ok(());
        };
        let options = WriteOptions {
            watermark_us: Some(to_us),
            ..WriteOptions::default()
        };
        self.write(Vec::new(), options, (), Some(turn))
            .await
            .map(drop)
    }

    /// Waits for the writes before this one to be visible and holds new ones back.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub(crate) async fn exclusive(&self) -> Result<Exclusive> {
        let guard = Arc::clone(&self.order).write_owned().await;
        self.driver.flush().await?;
        Ok(Exclusive(guard))
    }

    /// Changes rows under the exclusive right, which it keeps until the change is visible.
    ///
    /// # Errors
    /// 23505 when a new key is there already, apart from the rows that go.
    pub(crate) async fn change(
        &self,
        exclusive: Exclusive,
        deltas: Vec<Delta>,
        options: WriteOptions,
    ) -> Result<Receipt> {
        let unique = self.unique.read().clone();
        for key in &unique {
            key.check_change(&self.collection, &deltas)?;
        }
        self.write(
            deltas,
            options,
            HeldExclusive {
                _order: exclusive.0,
            },
            None,
        )
        .await
    }

    async fn write(
        &self,
        deltas: Vec<Delta>,
        mut options: WriteOptions,
        held: impl Send + Sync + 'static,
        turn: Option<Turn>,
    ) -> Result<Receipt> {
        let rows = deltas.iter().map(|delta| delta.rows() as u64).sum();
        let (tell_visible, visible) = oneshot::channel();
        let message = Rows {
            object: self.object,
            deltas,
            watermark_us: None,
            visible: Some(tell_visible),
            held: Some(Box::new(held)),
        };
        let Some(topic) = &self.topic else {
            self.hand_over(message, turn).await?;
            return Ok(Receipt {
                rows,
                late: 0,
                places: Vec::new(),
                visible,
            });
        };
        if let Some(turn) = &turn
            && forgets_rows(topic)
        {
            options.watermark_us = turn.next_us();
        }
        let group = self.encode(topic, &message.deltas, options)?;
        let counts: Vec<u64> = group
            .iter()
            .map(|(_, record)| {
                if holds_rows(record.flags) {
                    u64::from(record.rows)
                } else {
                    0
                }
            })
            .collect();
        let appended = self.append(topic, group, message, turn).await?;
        let places = appended
            .first_offsets
            .into_iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .map(|((partition, offset), count)| (partition, offset, count))
            .collect();
        Ok(Receipt {
            rows,
            late: 0,
            places,
            visible,
        })
    }

    /// Gives rows that live in memory alone to the driver.
    async fn hand_over(&self, mut message: Rows, turn: Option<Turn>) -> Result<()> {
        let driver = self.driver.clone();
        let hand_over = move || {
            let begun = turn.map(Turn::begin);
            let guard = begun.map(|(guard, on_its_way)| {
                message.watermark_us = on_its_way.end(true);
                guard
            });
            driver.send_rows(message);
            drop(guard);
        };
        tokio::task::spawn_blocking(hand_over)
            .await
            .map_err(|error| Error::internal(format!("hand-over: {error}")))
    }

    /// Appends a group and lets the log's committer give `message` to the driver. Returns when it is durable.
    async fn append(
        &self,
        topic: &Arc<Topic>,
        group: Vec<(PartitionId, Record)>,
        mut message: Rows,
        turn: Option<Turn>,
    ) -> Result<Appended> {
        let (tell_durable, durable) = oneshot::channel();
        let driver = self.driver.clone();
        let topic = Arc::clone(topic);
        let append = move || {
            // what is judged next comes behind this in the log
            let (_guard, on_its_way) = turn.map(Turn::begin).unzip();
            topic.append(
                group,
                Box::new(move |outcome: Result<Appended>| {
                    if let Some(on_its_way) = on_its_way {
                        message.watermark_us = on_its_way.end(outcome.is_ok());
                    }
                    if outcome.is_ok() {
                        driver.send_rows(message);
                    }
                    // a session that went away needs no answer
                    drop(tell_durable.send(outcome));
                }),
            );
        };
        // a full queue blocks, so it must not be this thread that waits
        tokio::task::spawn_blocking(append)
            .await
            .map_err(|error| Error::internal(format!("append: {error}")))?;
        durable
            .await
            .map_err(|_| Error::internal("the log dropped an append"))?
    }

    fn encode(
        &self,
        topic: &Topic,
        deltas: &[Delta],
        options: WriteOptions,
    ) -> Result<Vec<(PartitionId, Record)>> {
        let mut group = Vec::new();
        for delta in deltas {
            for (partition, part) in self.deal(topic.partitions(), delta)? {
                let mut start = 0;
                while start < part.rows() {
                    let length = RECORD_ROWS.min(part.rows() - start);
                    let piece = slice(&part, start, length)?;
                    group.push((
                        partition,
                        Record {
                            rows: u32::try_from(length).unwrap_or(u32::MAX),
                            flags: options.flags,
                            payload: encode_delta(&piece)?.into(),
                        },
                    ));
                    start += length;
                }
            }
        }
        let watermark = options.watermark_us.map(|at| at.to_le_bytes().to_vec());
        let marks = [
            (POSITION, options.position),
            (WATERMARK, watermark.map(Bytes::from)),
        ];
        for (flags, payload) in marks {
            let Some(payload) = payload else { continue };
            group.push((
                PartitionId(0),
                Record {
                    rows: 1,
                    flags,
                    payload: payload.into(),
                },
            ));
        }
        Ok(group)
    }

    /// Splits a delta by partition: by key where there is one, else in turn.
    fn deal(&self, partitions: u32, delta: &Delta) -> Result<Vec<(PartitionId, Delta)>> {
        if partitions <= 1 {
            return Ok(vec![(PartitionId(0), delta.clone())]);
        }
        if self.key.is_empty() {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed) % u64::from(partitions);
            let partition = PartitionId(u32::try_from(turn).unwrap_or(0));
            return Ok(vec![(partition, delta.clone())]);
        }
        let hashes = partition_hashes(&self.key_columns(delta.batch()), delta.rows())?;
        let mut parts = Vec::new();
        for partition in 0..partitions {
            let rows: Vec<u64> = (0_u64..)
                .zip(&hashes)
                .filter(|(_, hash)| *hash % u64::from(partitions) == u64::from(partition))
                .map(|(row, _)| row)
                .collect();
            if !rows.is_empty() {
                parts.push((
                    PartitionId(partition),
                    take(delta, &UInt64Array::from(rows))?,
                ));
            }
        }
        Ok(parts)
    }

    fn key_columns(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.key
            .iter()
            .map(|column| Arc::clone(batch.column(*column)))
            .collect()
    }

    /// Holds the keys of rows that come, every constraint's.
    fn reserve(&self, batches: &[RecordBatch]) -> Result<Vec<KeyHold>> {
        let unique = self.unique.read().clone();
        unique
            .iter()
            .map(|key| key.reserve(&self.collection, batches))
            .collect()
    }

    /// Lets a unique index hold from now on. The caller has the exclusive right.
    ///
    /// # Errors
    /// 23505 when rows that are there break it.
    pub(crate) fn add_unique(&self, index: &Object) -> Result<()> {
        let Some(columns) = index.unique_columns() else {
            return Ok(());
        };
        let schema = Arc::clone(self.collection.read().schema());
        let key = UniqueKey::new(index.name.clone(), &schema, columns, Some(index.id))?;
        key.attach(&self.collection)?;
        self.unique.write().push(Arc::new(key));
        Ok(())
    }

    /// Lets a unique index go.
    pub(crate) fn remove_unique(&self, index: ObjectId) {
        self.unique.write().retain(|key| key.index() != Some(index));
        self.collection.write().remove_key(index);
    }
}

/// Whether the topic lets go of old rows, and the times in them.
fn forgets_rows(topic: &Topic) -> bool {
    let retention = topic.spec().retention;
    retention.max_age_us.is_some() || retention.max_bytes.is_some()
}

struct Held {
    _order: Option<OwnedRwLockReadGuard<()>>,
    _keys: Vec<KeyHold>,
}

struct HeldExclusive {
    _order: OwnedRwLockWriteGuard<()>,
}

fn take(delta: &Delta, rows: &UInt64Array) -> Result<Delta> {
    let batch = take_record_batch(delta.batch(), rows)?;
    match delta.weights() {
        Weights::Ones => Ok(Delta::inserts(batch)),
        Weights::Each(weights) => {
            let weights = arrow::compute::take(weights, rows, None)?;
            Delta::new(batch, arrow::array::AsArray::as_primitive(&weights).clone())
        }
    }
}

fn slice(delta: &Delta, start: usize, length: usize) -> Result<Delta> {
    let batch = delta.batch().slice(start, length);
    match delta.weights() {
        Weights::Ones => Ok(Delta::inserts(batch)),
        Weights::Each(weights) => Delta::new(batch, weights.slice(start, length)),
    }
}
