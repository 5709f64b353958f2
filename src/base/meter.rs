//! What has been read so far, counted where it is read and shown to who waits for it.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts that only grow.
#[derive(Debug, Default)]
pub struct Meter {
    rows: AtomicU64,
    bytes: AtomicU64,
    expected_bytes: AtomicU64,
}

/// The counts at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Rows that came out.
    pub rows: u64,
    /// Bytes of files, as they lie there.
    pub bytes: u64,
    /// The sizes of the files that reading has begun on, where they are known.
    pub expected_bytes: u64,
}

impl Meter {
    /// Rows came.
    pub fn add_rows(&self, rows: usize) {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// Bytes were read.
    pub fn add_bytes(&self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// So many bytes will be read.
    pub fn expect_bytes(&self, bytes: u64) {
        self.expected_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// The counts now.
    pub fn read(&self) -> Reading {
        Reading {
            rows: self.rows.load(Ordering::Relaxed),
            bytes: self.bytes.load(Ordering::Relaxed),
            expected_bytes: self.expected_bytes.load(Ordering::Relaxed),
        }
    }
}

impl Reading {
    /// What came after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            rows: self.rows.saturating_sub(earlier.rows),
            bytes: self.bytes.saturating_sub(earlier.bytes),
            expected_bytes: self.expected_bytes.saturating_sub(earlier.expected_bytes),
        }
    }
}

/// What is counted makes no difference between two users of a meter.
impl PartialEq for Meter {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
