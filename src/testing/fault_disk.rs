//! A disk that fails when told to: full at the k-th write or past a quota, broken at the k-th sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::base::disk::{Disk, DiskFile, DiskRead, DiskRef};

const NEVER: u64 = u64::MAX;

/// Counts and faults, shared by the disk and its open files.
#[derive(Debug)]
struct Faults {
    writes: AtomicU64,
    syncs: AtomicU64,
    written: AtomicU64,
    /// From this write on, counted from 1, the disk is full.
    full_at_write: AtomicU64,
    /// Past this many bytes the disk is full.
    quota_bytes: AtomicU64,
    /// This sync, counted from 1, fails with EIO.
    broken_at_sync: AtomicU64,
}

/// A disk over another, with faults.
///
/// A write that finds the disk full puts half of its bytes into the file, as a real one may.
#[derive(Clone, Debug)]
pub struct FaultDisk {
    inner: DiskRef,
    faults: Arc<Faults>,
}

impl FaultDisk {
    /// A disk over `inner`, without faults yet.
    pub fn new(inner: DiskRef) -> Self {
        let faults = Faults {
            writes: AtomicU64::new(0),
            syncs: AtomicU64::new(0),
            written: AtomicU64::new(0),
            full_at_write: AtomicU64::new(NEVER),
            quota_bytes: AtomicU64::new(NEVER),
            broken_at_sync: AtomicU64::new(NEVER),
        };
        Self {
            inner,
            faults: Arc::new(faults),
        }
    }

    /// From the `k`-th write from now on, counted from 1, the disk is full.
    pub fn full_at_write(&self, k: u64) {
        let at = self.writes().saturating_add(k);
        self.faults.full_at_write.store(at, Ordering::SeqCst);
    }

    /// After `bytes` more the disk is full.
    pub fn full_after_bytes(&self, bytes: u64) {
        let at = self
            .faults
            .written
            .load(Ordering::SeqCst)
            .saturating_add(bytes);
        self.faults.quota_bytes.store(at, Ordering::SeqCst);
    }

    /// The `k`-th sync from now on, counted from 1, fails with EIO.
    pub fn broken_at_sync(&self, k: u64) {
        let at = self.faults.syncs.load(Ordering::SeqCst).saturating_add(k);
        self.faults.broken_at_sync.store(at, Ordering::SeqCst);
    }

    /// Takes all faults away: space is there again.
    pub fn heal(&self) {
        self.faults.full_at_write.store(NEVER, Ordering::SeqCst);
        self.faults.quota_bytes.store(NEVER, Ordering::SeqCst);
        self.faults.broken_at_sync.store(NEVER, Ordering::SeqCst);
    }

    /// Writes so far, refused ones included.
    pub fn writes(&self) -> u64 {
        self.faults.writes.load(Ordering::SeqCst)
    }
}

impl Faults {
    /// How many of `len` bytes fit.
    fn room(&self, len: usize) -> usize {
        let number = self.writes.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        let bytes = u64::try_from(len).unwrap_or(u64::MAX);
        let before = self.written.load(Ordering::SeqCst);
        let full = number >= self.full_at_write.load(Ordering::SeqCst)
            || before.saturating_add(bytes) > self.quota_bytes.load(Ordering::SeqCst);
        if full {
            return len / 2;
        }
        self.written.fetch_add(bytes, Ordering::SeqCst);
        len
    }

    fn sync(&self) -> io::Result<()> {
        let number = self.syncs.fetch_add(1, Ordering::SeqCst).saturating_add(1);
        if number == self.broken_at_sync.load(Ordering::SeqCst) {
            return Err(io::Error::from_raw_os_error(libc::EIO));
        }
        Ok(())
    }
}

fn full() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

impl Disk for FaultDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<PathBuf>> {
        self.inner.list(path)
    }

    fn try_exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.try_exists(path)
    }

    fn open_append_new(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let inner = self.inner.open_append_new(path)?;
        Ok(Box::new(FaultFile {
            inner,
            faults: Arc::clone(&self.faults),
        }))
    }

    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskRead>> {
        self.inner.open_read(path)
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.inner.read(path)
    }

    fn write_atomic(&self, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
        if self.faults.room(bytes.len()) < bytes.len() {
            return Err(full());
        }
        self.faults.sync()?;
        self.inner.write_atomic(path, bytes, mode)
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.truncate(path, len)
    }

    fn wipe(&self, path: &Path) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.wipe(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir_all(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync_dir(path)
    }

    fn len(&self, path: &Path) -> io::Result<u64> {
        self.inner.len(path)
    }

    fn mode(&self, path: &Path) -> io::Result<u32> {
        self.inner.mode(path)
    }
}

struct FaultFile {
    inner: Box<dyn DiskFile>,
    faults: Arc<Faults>,
}

impl DiskFile for FaultFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = self.faults.room(bytes.len());
        if room == bytes.len() {
            return self.inner.write_all(bytes);
        }
        self.inner
            .write_all(bytes.get(..room).unwrap_or_default())?;
        Err(full())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.faults.sync()?;
        self.inner.sync()
    }

    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
}
