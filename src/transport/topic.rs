//! A topic: the queue in front of its committer, and the way to its rows.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::commit::{Done, Group, tell};
use super::core::Core;
use super::format::RECORD_HEADER_BYTES;
use super::pool::Pool;
use super::reader::Reader;
use super::spec::{Appended, MAX_RECORD_BYTES, Record, TopicSpec};
use crate::base::{Error, Offset, PartitionId, Result};

/// A topic of the log.
pub struct Topic {
    queued: Arc<Queued>,
    pool: Arc<Pool>,
}

/// A topic's core with the groups that wait for it.
pub(super) struct Queued {
    pub(super) core: Arc<Core>,
    queue: Mutex<Queue>,
    /// Told when there is room, and when the queue falls idle.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    groups: VecDeque<Group>,
    bytes: usize,
    /// Whether a committer has the topic, or will.
    scheduled: bool,
    /// Why nothing more is taken.
    closed: Option<Error>,
}

impl std::fmt::Debug for Topic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.queued.core.fmt(f)
    }
}

impl Topic {
    pub(super) fn new(core: Arc<Core>, pool: Arc<Pool>) -> Self {
        let queued = Queued {
            core,
            queue: Mutex::default(),
            changed: Condvar::new(),
        };
        Self {
            queued: Arc::new(queued),
            pool,
        }
    }

    /// What the topic is.
    pub fn spec(&self) -> &TopicSpec {
        &self.queued.core.spec
    }

    /// How many partitions there are.
    pub fn partitions(&self) -> u32 {
        self.spec().partitions
    }

    /// Appends a group, atomic over all partitions it names: after a crash all of its records are
    /// readable, or none.
    ///
    /// `done` is called exactly once, on a committer thread, once the bytes are as durable as the
    /// topic asks; or the append failed, and nothing of it will ever be readable (53100 where the
    /// disk is full). It must be quick and must not append to the log itself. A group that is wrong
    /// (22023) is refused on the caller's thread. Blocks while the topic's queue is full.
    pub fn append(&self, group: Vec<(PartitionId, Record)>, done: Done) {
        let bytes = match self.check(&group) {
            Ok(bytes) => bytes,
            Err(error) => return tell(done, Err(error)),
        };
        if group.is_empty() {
            let timestamp_us = self.queued.core.shared.clock.now_us();
            return tell(
                done,
                Ok(Appended {
                    first_offsets: Vec::new(),
                    timestamp_us,
                }),
            );
        }
        let limit = self.queued.core.options().queue_bytes;
        let mut queue = self.queued.queue.lock();
        while queue.bytes >= limit && queue.closed.is_none() {
            self.queued.changed.wait(&mut queue);
        }
        if let Some(error) = queue.closed.clone() {
            drop(queue);
            return tell(done, Err(error));
        }
        queue.bytes = queue.bytes.saturating_add(bytes);
        queue.groups.push_back(Group {
            records: group,
            bytes,
            done,
        });
        let schedule = !std::mem::replace(&mut queue.scheduled, true);
        drop(queue);
        if schedule {
            self.pool.push(Arc::clone(&self.queued));
        }
    }

    /// Appends a group and waits for it; for callers that may block.
    ///
    /// # Errors
    /// Those that `append` tells.
    pub fn append_wait(&self, group: Vec<(PartitionId, Record)>) -> Result<Appended> {
        let (sender, receiver) = std::sync::mpsc::sync_channel(1);
        let done: Done = Box::new(move |outcome| {
            // The receiver waits below for as long as the sender lives.
            drop(sender.send(outcome));
        });
        self.append(group, done);
        receiver
            .recv()
            .unwrap_or_else(|_| Err(Error::internal("an append was never answered")))
    }

    /// The committed records of a partition from the one that holds `from` on.
    ///
    /// # Errors
    /// 58P01 where `from` is no longer kept, 22023 where it lies beyond the end.
    pub fn read(&self, partition: PartitionId, from: Offset) -> Result<Reader> {
        if partition.0 >= self.partitions() {
            return Err(self.no_partition(partition));
        }
        Reader::new(Arc::clone(&self.queued.core), partition, from)
    }

    /// The first kept offset, and the offset that the next row gets.
    pub fn bounds(&self, partition: PartitionId) -> (Offset, Offset) {
        self.queued.core.bounds(partition)
    }

    /// Bytes of all segments, all partitions together.
    pub fn size_bytes(&self) -> u64 {
        self.queued.core.size_bytes()
    }

    /// Removes the old segments that the topic's retention does not keep. Also done at every
    /// beginning of a segment.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn apply_retention(&self) -> Result<()> {
        let core = &self.queued.core;
        core.retain(&mut core.writer.lock())
    }

    /// Removes the old segments of a partition whose rows all lie before `offset`, as after a checkpoint.
    ///
    /// # Errors
    /// Those of the disk.
    pub fn forget_before(&self, partition: PartitionId, offset: Offset) -> Result<()> {
        let core = &self.queued.core;
        core.forget_before(&mut core.writer.lock(), partition, offset)
    }

    /// Takes nothing more; what waits is still committed. Returns once it is, unless on a committer.
    pub(super) fn close_queue(&self, why: Error) {
        let mut queue = self.queued.queue.lock();
        queue.closed.get_or_insert(why);
        self.queued.changed.notify_all();
        if self.pool.is_committer() {
            return;
        }
        while queue.scheduled {
            self.queued.changed.wait(&mut queue);
        }
    }

    pub(super) fn core(&self) -> &Core {
        &self.queued.core
    }

    fn check(&self, group: &[(PartitionId, Record)]) -> Result<usize> {
        let mut bytes = 0_usize;
        for (partition, record) in group {
            if partition.0 >= self.partitions() {
                return Err(self.no_partition(*partition));
            }
            if record.rows == 0 {
                return Err(Error::invalid("a record of no rows cannot be appended"));
            }
            if record.payload.len() > MAX_RECORD_BYTES {
                return Err(Error::limit(format!(
                    "a record of {} bytes is above the limit of {MAX_RECORD_BYTES}",
                    record.payload.len()
                )));
            }
            bytes = bytes
                .saturating_add(record.payload.len())
                .saturating_add(RECORD_HEADER_BYTES);
        }
        Ok(bytes)
    }

    fn no_partition(&self, partition: PartitionId) -> Error {
        Error::invalid(format!(
            "topic {} has {} partitions and no partition {partition}",
            self.spec().id,
            self.partitions()
        ))
    }
}

impl Queued {
    /// Commits one window; true where more waits.
    pub(super) fn commit_once(&self) -> bool {
        let limit = self.core.options().window_bytes;
        let mut groups = Vec::new();
        let mut bytes = 0_usize;
        let mut queue = self.queue.lock();
        while let Some(group) = queue.groups.front() {
            if !groups.is_empty() && bytes.saturating_add(group.bytes) > limit {
                break;
            }
            bytes = bytes.saturating_add(group.bytes);
            groups.extend(queue.groups.pop_front());
        }
        queue.bytes = queue.bytes.saturating_sub(bytes);
        drop(queue);
        self.changed.notify_all();
        if !groups.is_empty() {
            self.core.commit(groups);
        }
        let mut queue = self.queue.lock();
        queue.scheduled = !queue.groups.is_empty();
        let more = queue.scheduled;
        drop(queue);
        if !more {
            self.changed.notify_all();
        }
        more
    }
}
