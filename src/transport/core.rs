//! A topic's state: what readers see, and what the committer owns.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use super::bounds::{Bounds, PartitionBounds};
use super::fatal::fatal;
use super::segment::{ActiveSegment, Segment};
use super::spec::{LogOptions, TopicSpec};
use crate::base::clock::ClockRef;
use crate::base::disk::{Disk, DiskRef};
use crate::base::rng::{Rng, RngRef};
use crate::base::{Error, Offset, PartitionId, Result};
use crate::crypto::{AreaKey, Keyring};

/// What all topics of a log share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) disk: DiskRef,
    pub(super) keyring: Arc<Keyring>,
    pub(super) clock: ClockRef,
    pub(super) rng: RngRef,
    pub(super) options: LogOptions,
}

/// A topic's state.
pub(super) struct Core {
    pub(super) spec: TopicSpec,
    /// The topic's folder.
    pub(super) folder: PathBuf,
    pub(super) area: AreaKey,
    pub(super) shared: Arc<Shared>,
    /// Held for a whole commit. Taken before any view's lock.
    pub(super) writer: Mutex<Writer>,
    /// One a partition.
    pub(super) views: Vec<RwLock<View>>,
}

/// A partition as readers see it.
pub(super) struct View {
    /// Rising by base.
    pub(super) segments: Vec<Arc<Segment>>,
    /// The offset after the last committed row.
    pub(super) next: Offset,
}

/// What the committer owns.
pub(super) struct Writer {
    /// The last committed window.
    pub(super) window: u64,
    /// The last window known to be on disk.
    pub(super) durable: u64,
    /// The latest timestamp given.
    pub(super) last_us: i64,
    /// One a partition.
    pub(super) partitions: Vec<PartitionWriter>,
    /// Reused memory for frames.
    pub(super) buffer: Vec<u8>,
    /// Set once a file could not be cut back: nothing may be appended behind the leftover.
    pub(super) failed: Option<Error>,
}

/// The written side of a partition.
#[derive(Default)]
pub(super) struct PartitionWriter {
    /// None until the first append after start: what was found is never appended to.
    pub(super) active: Option<ActiveSegment>,
    /// Base and length of the last segment found at start.
    pub(super) closed: Option<(Offset, u64)>,
    pub(super) next: Offset,
}

impl PartitionWriter {
    /// Base and length of the last segment, as far as it is on disk.
    pub(super) fn last(&self) -> Option<(Offset, u64)> {
        match &self.active {
            Some(active) => Some((active.segment.base(), active.synced())),
            None => self.closed,
        }
    }
}

impl std::fmt::Debug for Core {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("spec", &self.spec)
            .finish_non_exhaustive()
    }
}

impl Core {
    pub(super) fn disk(&self) -> &dyn Disk {
        self.shared.disk.as_ref()
    }

    pub(super) fn rng(&self) -> &dyn Rng {
        self.shared.rng.as_ref()
    }

    pub(super) fn options(&self) -> &LogOptions {
        &self.shared.options
    }

    /// The folder of a partition.
    pub(super) fn partition_folder(&self, partition: usize) -> PathBuf {
        partition_folder(&self.folder, partition)
    }

    /// The view of a partition, `None` where the topic has no such partition.
    pub(super) fn view(&self, partition: PartitionId) -> Option<&RwLock<View>> {
        self.views.get(usize::try_from(partition.0).ok()?)
    }

    /// First kept offset and next offset.
    pub(super) fn bounds(&self, partition: PartitionId) -> (Offset, Offset) {
        let Some(view) = self.view(partition) else {
            return (Offset(0), Offset(0));
        };
        let view = view.read();
        (
            view.segments
                .first()
                .map_or(view.next, |segment| segment.base()),
            view.next,
        )
    }

    /// The segment that holds the row at `offset`, if it is kept.
    pub(super) fn segment_of(
        &self,
        partition: PartitionId,
        offset: Offset,
    ) -> Option<Arc<Segment>> {
        let view = self.view(partition)?.read();
        let after = view
            .segments
            .partition_point(|segment| segment.base() <= offset);
        view.segments.get(after.checked_sub(1)?).map(Arc::clone)
    }

    /// Bytes of all segments.
    pub(super) fn size_bytes(&self) -> u64 {
        let mut total = 0_u64;
        for view in &self.views {
            for segment in &view.read().segments {
                total = total.saturating_add(segment.committed());
            }
        }
        total
    }

    /// Makes everything written durable.
    pub(super) fn sync_all(writer: &mut Writer) {
        for partition in &mut writer.partitions {
            if let Some(active) = &mut partition.active
                && active.is_dirty()
            {
                sync_or_die(active);
            }
        }
        writer.durable = writer.window;
    }

    /// Writes the note of bounds. Everything it vouches for must be synced.
    pub(super) fn write_bounds(&self, writer: &Writer, first: &[Option<Offset>]) -> Result<()> {
        let partitions = writer
            .partitions
            .iter()
            .zip(first)
            .map(|(partition, first)| PartitionBounds {
                first: *first,
                last: partition.last(),
                next: partition.next,
            });
        let bounds = Bounds {
            window: writer.durable,
            last_us: writer.last_us,
            partitions: partitions.collect(),
        };
        let shared = &self.shared;
        bounds.write(
            self.disk(),
            &self.folder,
            &shared.keyring,
            self.spec.id,
            self.rng(),
        )
    }

    /// The base of each partition's first kept segment.
    pub(super) fn first_bases(&self) -> Vec<Option<Offset>> {
        let first =
            |view: &RwLock<View>| view.read().segments.first().map(|segment| segment.base());
        self.views.iter().map(first).collect()
    }

    /// Syncs, notes the bounds, and lets the files go.
    pub(super) fn close(&self) -> Result<()> {
        let mut writer = self.writer.lock();
        if writer.failed.is_some() {
            // The files hold leftovers that only the examination at start can judge.
            return Ok(());
        }
        let written = writer
            .partitions
            .iter()
            .any(|partition| partition.active.is_some());
        if !written {
            return Ok(());
        }
        Self::sync_all(&mut writer);
        self.write_bounds(&writer, &self.first_bases())?;
        for partition in &mut writer.partitions {
            partition.closed = partition.last();
            partition.active = None;
        }
        Ok(())
    }
}

/// The folder of a partition.
pub(super) fn partition_folder(topic: &Path, partition: usize) -> PathBuf {
    topic.join(partition.to_string())
}

/// Syncs a segment. A sync that failed is never tried again: the kernel may have dropped the bytes
/// and forgotten that it did.
pub(super) fn sync_or_die(active: &mut ActiveSegment) {
    if let Err(error) = active.sync() {
        fatal(&format!(
            "could not sync segment {}: {error}",
            active.name()
        ));
    }
}
