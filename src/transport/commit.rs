//! Committing a window: many groups, one write a frame, one sync a file, all or nothing.

use std::collections::BTreeMap;

use super::core::{Core, Writer, sync_or_die};
use super::fatal::fatal;
use super::format::{Place, RECORD_HEADER_BYTES, SegmentHeader};
use super::segment::{ActiveSegment, FIRST_FRAME, WindowMark};
use super::spec::{Appended, Durability, Record};
use crate::base::{Error, Kind, Offset, PartitionId, Result};

/// Told once what became of a group.
pub(super) type Done = Box<dyn FnOnce(Result<Appended>) + Send>;

/// Records that are committed together.
pub(super) struct Group {
    pub(super) records: Vec<(PartitionId, Record)>,
    /// Bytes of all payloads and their headers.
    pub(super) bytes: usize,
    pub(super) done: Done,
}

/// What a window puts into one partition.
#[derive(Default)]
struct Share<'a> {
    frames: Vec<FramePlan<'a>>,
    /// The offset after its last row.
    next: Offset,
}

struct FramePlan<'a> {
    first_offset: Offset,
    records: Vec<&'a Record>,
    bytes: usize,
    rows: u32,
}

/// A window laid out, nothing written yet.
struct Plan<'a> {
    shares: BTreeMap<usize, Share<'a>>,
    parts: u32,
    /// One a group.
    appended: Vec<Appended>,
}

/// What takes a half-written window back.
#[derive(Default)]
struct Undo {
    /// Partition and length before.
    cut: Vec<(usize, u64)>,
    /// Segments begun by this window, the open files of those before kept aside.
    begun: Vec<(usize, Option<ActiveSegment>)>,
}

impl Core {
    /// Commits the groups as one window and tells each what became of it, in the order in which they came.
    pub(super) fn commit(&self, groups: Vec<Group>) {
        let result = self.write_window(&groups);
        let outcomes = match result {
            Ok(appended) => appended.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => groups.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut outcomes = outcomes.into_iter();
        for group in groups {
            let outcome = outcomes.next();
            let outcome = outcome.unwrap_or_else(|| Err(Error::internal("a group was forgotten")));
            tell(group.done, outcome);
        }
    }

    fn write_window(&self, groups: &[Group]) -> Result<Vec<Appended>> {
        let mut writer = self.writer.lock();
        let writer = &mut *writer;
        if let Some(error) = &writer.failed {
            return Err(error.clone());
        }
        let timestamp_us = self.shared.clock.now_us().max(writer.last_us);
        let plan = self.plan(writer, groups, timestamp_us);
        let rolls = plan.shares.keys().any(|at| self.needs_roll(writer, *at));
        if rolls {
            Self::sync_all(writer);
        }
        let mut undo = Undo::default();
        let written = self.write_frames(writer, &plan, timestamp_us, &mut undo);
        let written = written.and_then(|()| self.make_durable(writer, &plan, timestamp_us, rolls));
        if let Err(error) = written {
            self.take_back(writer, undo);
            return Err(error);
        }
        self.publish(writer, &plan);
        drop(undo);
        if writer.durable == writer.window {
            self.write_marks(writer, &plan);
        }
        let appended = plan.appended;
        if rolls && let Err(error) = self.retain(writer) {
            tracing::warn!(topic = %self.spec.id, %error, "retention could not remove old segments");
        }
        Ok(appended)
    }

    fn plan<'a>(&self, writer: &Writer, groups: &'a [Group], timestamp_us: i64) -> Plan<'a> {
        let mut plan = Plan {
            shares: BTreeMap::new(),
            parts: 0,
            appended: Vec::new(),
        };
        for group in groups {
            let mut first_offsets = Vec::with_capacity(group.records.len());
            for (partition, record) in &group.records {
                let at = usize::try_from(partition.0).unwrap_or(usize::MAX);
                let start = writer
                    .partitions
                    .get(at)
                    .map_or(Offset(0), |found| found.next);
                let share = plan.shares.entry(at).or_insert_with(|| Share {
                    frames: Vec::new(),
                    next: start,
                });
                first_offsets.push((*partition, share.next));
                if share.put(record, self.options().frame_bytes) {
                    plan.parts = plan.parts.saturating_add(1);
                }
            }
            plan.appended.push(Appended {
                first_offsets,
                timestamp_us,
            });
        }
        plan
    }

    fn needs_roll(&self, writer: &Writer, partition: usize) -> bool {
        let active = writer
            .partitions
            .get(partition)
            .and_then(|found| found.active.as_ref());
        active.is_none_or(|active| active.len() >= self.options().segment_bytes)
    }

    fn write_frames(
        &self,
        writer: &mut Writer,
        plan: &Plan<'_>,
        timestamp_us: i64,
        undo: &mut Undo,
    ) -> Result<()> {
        let mark = WindowMark {
            window: writer.window.saturating_add(1),
            durable: writer.durable,
            timestamp_us,
            parts: plan.parts,
        };
        let mut part = 0_u32;
        for (at, share) in &plan.shares {
            if self.needs_roll(writer, *at) {
                self.begin_segment(writer, *at, timestamp_us, undo)?;
            } else if let Some(active) = active_of(writer, *at) {
                undo.cut.push((*at, active.len()));
            }
            let mut buffer = std::mem::take(&mut writer.buffer);
            let active = active_of(writer, *at)
                .ok_or_else(|| Error::internal("a window reached a partition without a segment"))?;
            let mut written = Ok(());
            for frame in &share.frames {
                if written.is_ok() {
                    let first = frame.first_offset;
                    written = active.write_data(&mut buffer, &mark, part, first, &frame.records);
                    part = part.saturating_add(1);
                }
            }
            writer.buffer = buffer;
            written?;
        }
        Ok(())
    }

    fn begin_segment(
        &self,
        writer: &mut Writer,
        at: usize,
        created_us: i64,
        undo: &mut Undo,
    ) -> Result<()> {
        let Some(partition) = writer.partitions.get_mut(at) else {
            return Err(Error::internal(format!("no partition {at}")));
        };
        let number = u32::try_from(at).map_err(|_| Error::internal("partition past 2^32"))?;
        let place = Place {
            topic: self.spec.id,
            partition: PartitionId(number),
            base: partition.next,
        };
        let header = SegmentHeader {
            place,
            created_us,
            previous: partition.last(),
        };
        let folder = self.partition_folder(at);
        let active = ActiveSegment::create(self.disk(), &folder, header, &self.area, self.rng())?;
        undo.begun.push((at, partition.active.replace(active)));
        Ok(())
    }

    /// Syncs what the window wrote, where the topic asks for it or a segment was begun.
    fn make_durable(
        &self,
        writer: &mut Writer,
        plan: &Plan<'_>,
        timestamp_us: i64,
        rolls: bool,
    ) -> Result<()> {
        if self.spec.durability == Durability::Os && !rolls {
            return Ok(());
        }
        for at in plan.shares.keys() {
            let Some(active) = active_of(writer, *at) else {
                continue;
            };
            sync_or_die(active);
            let begun = rolls && active.segment.committed() == 0;
            if begun {
                let folder = self.partition_folder(*at);
                if let Err(error) = self.disk().sync_dir(&folder) {
                    fatal(&format!(
                        "could not sync folder {}: {error}",
                        folder.display()
                    ));
                }
            }
        }
        if rolls {
            self.note_bounds_with(writer, plan, timestamp_us)?;
        }
        Ok(())
    }

    /// Writes the bounds as they will be once the window is published.
    fn note_bounds_with(
        &self,
        writer: &mut Writer,
        plan: &Plan<'_>,
        timestamp_us: i64,
    ) -> Result<()> {
        let before = (writer.window, writer.durable, writer.last_us);
        let next_before = writer
            .partitions
            .iter()
            .map(|found| found.next)
            .collect::<Vec<_>>();
        let mut first = self.first_bases();
        writer.durable = writer.window.saturating_add(1);
        writer.last_us = timestamp_us;
        for (at, share) in &plan.shares {
            if let Some(partition) = writer.partitions.get_mut(*at) {
                let base = partition
                    .active
                    .as_ref()
                    .map(|active| active.segment.base());
                partition.next = share.next;
                if let Some(first) = first.get_mut(*at) {
                    *first = first.or(base);
                }
            }
        }
        let noted = self.write_bounds(writer, &first);
        (writer.window, writer.durable, writer.last_us) = before;
        for (partition, next) in writer.partitions.iter_mut().zip(next_before) {
            partition.next = next;
        }
        match noted {
            Err(error) if error.kind() != Kind::Limit => {
                // It is open whether the note names the window: going on could contradict it.
                fatal(&format!(
                    "could not note the bounds of topic {}: {error}",
                    self.spec.id
                ))
            }
            other => other,
        }
    }

    /// Takes a window back that could not be written whole, and makes that durable, so that its
    /// number can be used again.
    fn take_back(&self, writer: &mut Writer, undo: Undo) {
        for (at, before) in undo.begun {
            let Some(partition) = writer.partitions.get_mut(at) else {
                continue;
            };
            let Some(begun) = std::mem::replace(&mut partition.active, before) else {
                continue;
            };
            let path = begun.segment.path.clone();
            drop(begun);
            let folder = self.partition_folder(at);
            let removed = self
                .disk()
                .remove(&path)
                .and_then(|()| self.disk().sync_dir(&folder));
            if let Err(error) = removed {
                writer.failed = Some(stuck(&path, &error));
            }
        }
        for (at, len) in undo.cut {
            let Some(active) = active_of(writer, at) else {
                continue;
            };
            if let Err(error) = active.cut(len) {
                writer.failed = Some(stuck(&active.segment.path, &error));
                continue;
            }
            sync_or_die(active);
        }
    }

    /// Lets readers see the window.
    fn publish(&self, writer: &mut Writer, plan: &Plan<'_>) {
        for (at, share) in &plan.shares {
            let (Some(partition), Some(view)) =
                (writer.partitions.get_mut(*at), self.views.get(*at))
            else {
                continue;
            };
            partition.next = share.next;
            let Some(active) = &partition.active else {
                continue;
            };
            let mut view = view.write();
            if view
                .segments
                .last()
                .is_none_or(|last| last.base() != active.segment.base())
            {
                view.segments.push(std::sync::Arc::clone(&active.segment));
            }
            if let Some(frame) = share.frames.first() {
                let at = active.segment.committed().max(FIRST_FRAME);
                // Marks may lie between: reading passes over them.
                active.segment.note(frame.first_offset, at);
            }
            active.segment.set_committed(active.len());
            view.next = share.next;
        }
        writer.window = writer.window.saturating_add(1);
        if let Some(appended) = plan.appended.first() {
            writer.last_us = appended.timestamp_us;
        }
        let synced = plan.shares.keys().all(|at| {
            let active = writer
                .partitions
                .get(*at)
                .and_then(|found| found.active.as_ref());
            active.is_some_and(|active| !active.is_dirty())
        });
        if synced && writer.durable.saturating_add(1) == writer.window {
            writer.durable = writer.window;
        }
    }

    /// Puts a mark behind the window in every file it touched. Nothing depends on a mark but the
    /// telling of damage from a torn tail, so a full disk only means that there is none.
    fn write_marks(&self, writer: &mut Writer, plan: &Plan<'_>) {
        let mark = WindowMark {
            window: writer.window,
            durable: writer.durable,
            timestamp_us: writer.last_us,
            parts: plan.parts,
        };
        let mut buffer = std::mem::take(&mut writer.buffer);
        for (at, share) in &plan.shares {
            let Some(active) = active_of(writer, *at) else {
                continue;
            };
            let len = active.len();
            if active.write_mark(&mut buffer, &mark, share.next).is_err()
                && let Err(error) = active.cut(len)
            {
                let path = active.segment.path.clone();
                writer.failed = Some(stuck(&path, &error));
            }
        }
        writer.buffer = buffer;
    }
}

impl<'a> Share<'a> {
    /// Adds a record; true where it begins a frame.
    fn put(&mut self, record: &'a Record, frame_bytes: usize) -> bool {
        let bytes = record.payload.len().saturating_add(RECORD_HEADER_BYTES);
        let first_offset = self.next;
        self.next = Offset(self.next.0.saturating_add(u64::from(record.rows)));
        if let Some(frame) = self.frames.last_mut()
            && frame.bytes.saturating_add(bytes) <= frame_bytes
            && let Some(rows) = frame.rows.checked_add(record.rows)
        {
            frame.rows = rows;
            frame.bytes = frame.bytes.saturating_add(bytes);
            frame.records.push(record);
            return false;
        }
        self.frames.push(FramePlan {
            first_offset,
            records: vec![record],
            bytes,
            rows: record.rows,
        });
        true
    }
}

fn active_of(writer: &mut Writer, partition: usize) -> Option<&mut ActiveSegment> {
    writer.partitions.get_mut(partition)?.active.as_mut()
}

fn stuck(path: &std::path::Path, error: &std::io::Error) -> Error {
    Error::unavailable(format!(
        "could not take back a failed write to {}: {error}",
        path.display()
    ))
    .with_hint("restart: what was acknowledged is whole, and the leftover is cut then")
}

/// Tells a group's owner; a panic of his stays his.
pub(super) fn tell(done: Done, outcome: Result<Appended>) {
    let told = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| done(outcome)));
    if let Err(panic) = told {
        let reason = crate::base::task::panic_text(&panic);
        tracing::error!(
            reason,
            "the owner of an append panicked when told the outcome"
        );
    }
}
