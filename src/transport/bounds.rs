//! The sealed note beside a topic's partitions: from where to where the log is known to reach.
//!
//! It is written when a segment is begun, when old ones go, when the log closes and after a
//! recovery, always after the bytes that it vouches for were synced. A file that is shorter than
//! its note, or a segment that the note names and that is not there, is damage; what lies beyond
//! the note is examined at start.

use std::path::Path;

use crate::base::disk::Disk;
use crate::base::rng::Rng;
use crate::base::{Error, Offset, Result, TopicId};
use crate::crypto::{Keyring, read_sealed, write_sealed};

/// The file's name.
const NAME: &str = "bounds";

/// How far a topic is known to reach.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct Bounds {
    /// The last commit window whose bytes are all within the bounds; 0 for none.
    pub(super) window: u64,
    /// The latest timestamp given.
    pub(super) last_us: i64,
    /// One a partition.
    pub(super) partitions: Vec<PartitionBounds>,
}

/// How far a partition is known to reach.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(super) struct PartitionBounds {
    /// Base of the first segment that is kept.
    pub(super) first: Option<Offset>,
    /// Base and length of the last segment.
    pub(super) last: Option<(Offset, u64)>,
    /// The offset after the last row.
    pub(super) next: Offset,
}

impl Bounds {
    /// The bounds of an empty topic.
    pub(super) fn empty(partitions: u32) -> Self {
        let count = usize::try_from(partitions).unwrap_or(usize::MAX);
        Self {
            window: 0,
            last_us: 0,
            partitions: vec![PartitionBounds::default(); count],
        }
    }

    pub(super) fn read(
        disk: &dyn Disk,
        folder: &Path,
        keyring: &Keyring,
        topic: TopicId,
    ) -> Result<Self> {
        let path = folder.join(NAME);
        let text = read_sealed(disk, &path, keyring, &purpose(topic))?;
        serde_json::from_slice(&text).map_err(|error| {
            Error::corrupt(format!("{}: not a note of bounds: {error}", path.display()))
        })
    }

    pub(super) fn write(
        &self,
        disk: &dyn Disk,
        folder: &Path,
        keyring: &Keyring,
        topic: TopicId,
        rng: &dyn Rng,
    ) -> Result<()> {
        let text = serde_json::to_vec(self).map_err(|error| Error::internal(error.to_string()))?;
        write_sealed(
            disk,
            &folder.join(NAME),
            keyring,
            &purpose(topic),
            &text,
            rng,
        )
    }
}

fn purpose(topic: TopicId) -> String {
    format!("bounds of topic {topic}")
}
