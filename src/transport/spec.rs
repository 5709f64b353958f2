//! What callers give to the log and get from it.

use bytes::Bytes;

use crate::base::{Offset, PartitionId, TopicId};

/// What a topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TopicSpec {
    /// Never reused, not even after a drop.
    pub id: TopicId,
    /// At least 1, and never changed.
    pub partitions: u32,
    /// Which old segments go.
    pub retention: Retention,
    /// What an acknowledgement means.
    pub durability: Durability,
}

/// Which old segments go. Whole segments go, and never the one written to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Retention {
    /// Segments go once all their records are older, in microseconds.
    pub max_age_us: Option<i64>,
    /// The oldest segments go until the topic, all partitions together, is not above this.
    pub max_bytes: Option<u64>,
}

/// What an acknowledgement means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// The bytes are on disk: a power cut does not lose them.
    #[default]
    Disk,
    /// The operating system has the bytes: a kill does not lose them, a power cut can lose the
    /// latest, always as a whole run of latest appends of the topic.
    Os,
}

/// Sizes and threads of a log.
#[derive(Clone, Copy, Debug)]
pub struct LogOptions {
    /// A segment that has reached this is rolled.
    pub segment_bytes: u64,
    /// Records share a frame up to this size.
    pub frame_bytes: usize,
    /// Groups share a commit window up to this size.
    pub window_bytes: usize,
    /// An append blocks while this much waits in its topic's queue.
    pub queue_bytes: usize,
    /// Threads that commit, shared by all topics.
    pub committers: usize,
    /// A reader reads ahead this much.
    pub read_bytes: usize,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            segment_bytes: 64 << 20,
            frame_bytes: 1 << 20,
            window_bytes: 8 << 20,
            queue_bytes: 32 << 20,
            committers: 2,
            read_bytes: 4 << 20,
        }
    }
}

/// The largest payload of one record in bytes; the caller splits what is larger.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Rows to append, opaque to the log.
#[derive(Clone, Debug)]
pub struct Record {
    /// How many offsets the record takes, at least 1.
    pub rows: u32,
    /// The caller's own.
    pub flags: u16,
    /// At most [`MAX_RECORD_BYTES`].
    pub payload: Payload,
}

/// The bytes of a record to append, in pieces that follow one another.
#[derive(Clone, Debug)]
pub struct Payload {
    pieces: Vec<Bytes>,
    bytes: usize,
}

impl Payload {
    /// The bytes of all pieces.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether there is no byte.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// The pieces.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }
}

impl From<Vec<Bytes>> for Payload {
    fn from(pieces: Vec<Bytes>) -> Self {
        Self {
            bytes: pieces.iter().map(Bytes::len).fold(0, usize::saturating_add),
            pieces,
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::from(vec![bytes])
    }
}

impl From<Vec<u8>> for Payload {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

/// A record read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadRecord {
    /// The place of its first row.
    pub first_offset: Offset,
    /// How many rows it holds.
    pub rows: u32,
    /// As appended.
    pub flags: u16,
    /// When it was committed, microseconds since 1970 UTC. Never goes back within a topic.
    pub timestamp_us: i64,
    /// As appended. It keeps the reader's buffer alive: copy it to hold it for long.
    pub payload: Bytes,
}

/// Where a group went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The first offset of each record, in the group's order.
    pub first_offsets: Vec<(PartitionId, Offset)>,
    /// When it was committed, microseconds since 1970 UTC.
    pub timestamp_us: i64,
}
