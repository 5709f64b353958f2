//! How far each followed file was read, and what it was when it was.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// Bytes that a file is known by, at each end of what was read.
pub(crate) const WINDOW: usize = 256;

/// How far the files of one source were read. Empty at first; only [`super::Tail`] makes new ones.
///
/// Serialised as JSON or any other self-describing form; fields are only ever added, with defaults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TailPosition {
    /// By the file's path as the source names it. Entries of vanished files stay: the file may come back.
    pub files: BTreeMap<String, FilePosition>,
}

/// How far one file was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FilePosition {
    /// Bytes that are rows by now (of the decompressed content).
    pub offset: u64,
    /// The number of the next line, counted from 1.
    pub line: u64,
    /// A compressed file that was read to its end: it is not looked at again.
    #[serde(default)]
    pub done: bool,
    /// Device and inode when it was last read: finds a renamed file.
    #[serde(default)]
    pub inode: (u64, u64),
    /// The first bytes of the file, at most 256.
    #[serde(default)]
    pub head: Vec<u8>,
    /// A pinned hash (xxh3) of the at most 256 bytes before `offset` (of the stored bytes, so 0 for
    /// compressed files).
    #[serde(default)]
    pub tail: u64,
}

/// Whether a file is the one that a position was taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sameness {
    /// It is, perhaps with more behind.
    Same,
    /// It is shorter than what was read, and so far the same bytes.
    Shrunk,
    /// It is another file under the same name.
    Other,
}

impl FilePosition {
    /// Compares with a file of `size` stored bytes that starts with `head`; `before` are the bytes before
    /// `offset`, as far as the file has them.
    pub(crate) fn compare(
        &self,
        size: u64,
        head: &[u8],
        before: &[u8],
        compressed: bool,
    ) -> Sameness {
        let common = head.len().min(self.head.len());
        if head[..common] != self.head[..common] {
            return Sameness::Other;
        }
        if compressed {
            return if head.len() < self.head.len() {
                Sameness::Shrunk
            } else {
                Sameness::Same
            };
        }
        if size < self.offset {
            return Sameness::Shrunk;
        }
        if fingerprint(before) == self.tail {
            Sameness::Same
        } else {
            Sameness::Other
        }
    }
}

/// The pinned hash of the bytes before an offset.
pub(crate) fn fingerprint(before: &[u8]) -> u64 {
    xxh3_64(before)
}
