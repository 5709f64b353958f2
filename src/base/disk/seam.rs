//! What Lotic asks of a disk.

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A blocking disk. Every file of the data folder is read and written through one.
///
/// Contract:
/// 1. What `sync`, `truncate`, `write_atomic` and `sync_dir` returned `Ok` for survives a power cut.
/// 2. Anything else may or may not survive one, in any order and in parts.
/// 3. After a failed `sync` nothing is known of the bytes since the last one that succeeded: the caller never retries it.
pub trait Disk: Send + Sync + Debug {
    /// Creates a folder and those above it. Does nothing where it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;

    /// The paths in a folder, sorted.
    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>>;

    /// Whether a file or folder is there. An error is not an absence.
    fn try_exists(&self, path: &Path) -> io::Result<bool>;

    /// Creates a file to append to. Fails if it exists.
    fn open_append_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Opens a file to read from.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>>;

    /// The whole of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;

    /// Puts `bytes` at `path`, whole or not at all: temporary file, sync, rename, sync of the folder.
    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()>;

    /// Cuts a file to `len` bytes and syncs it.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;

    /// Overwrites a file with zeros in place and syncs it, so that its bytes do not outlive `remove`.
    /// A disk that copies on write may keep them all the same.
    fn wipe(&self, path: &Path) -> io::Result<()>;

    /// Renames a file or folder within one folder. Durable after `sync_dir` of that folder.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file. Durable after `sync_dir` of its folder.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Removes a folder and all in it.
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;

    /// Makes the creations, renames and removals in a folder durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// The length of a file in bytes.
    fn len(&self, path: &Path) -> io::Result<u64>;

    /// The permission bits of a file.
    fn mode(&self, path: &Path) -> io::Result<u32>;
}

/// A file being appended to.
pub trait DiskFile: Send {
    /// Appends all of `bytes`. After an error an unknown part of them is in the file.
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes and the length durable.
    fn sync(&mut self) -> io::Result<()>;

    /// The length in bytes, counting whole successful writes only.
    fn len(&self) -> u64;

    /// Whether nothing was written yet.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Cuts the file; later writes go on from there. Not durable before `sync`.
    fn set_len(&mut self, len: u64) -> io::Result<()>;
}

/// A file being read.
pub trait DiskRead: Send + Sync {
    /// Fills `bytes` from byte `at` on; returns how many there were, fewer only at the file's end.
    fn read_at(&self, at: u64, bytes: &mut [u8]) -> io::Result<usize>;
}

/// A shared disk.
pub type DiskRef = Arc<dyn Disk>;
