//! Where rows that cannot be decoded go: with their bytes, their place and the reason.

use bytes::Bytes;
use parking_lot::Mutex;

/// One record that could not become a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRecord {
    /// The name of the source, as in `CREATE SOURCE name`.
    pub source: String,
    /// `file:line` for text files, `file:table:rowid` for SQLite, `line N` for pushed bodies.
    pub place: String,
    /// The record as it came, without its line end.
    pub bytes: Bytes,
    /// What is wrong with it, naming the column where one is to blame.
    pub reason: String,
}

/// Takes bad records. Implementations must not block for long: decoding waits for them.
///
/// 1. `put` is called once for each bad record of a scan, in no promised order.
/// 2. Two scans of one source report the same record twice, with equal `source` and `place`: whoever
///    keeps records tells them apart by these two.
/// 3. An error ends the scan: a record is never dropped because it could not be quarantined.
pub trait Quarantine: Send + Sync + std::fmt::Debug {
    /// Keeps one bad record.
    ///
    /// # Errors
    /// When it cannot be kept.
    fn put(&self, record: BadRecord) -> crate::base::Result<()>;
}

/// Keeps bad records in memory: for tests, previews and push bodies that are answered at once.
#[derive(Debug, Default)]
pub struct MemoryQuarantine {
    records: Mutex<Vec<BadRecord>>,
}

impl MemoryQuarantine {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes what was kept so far.
    pub fn take(&self) -> Vec<BadRecord> {
        std::mem::take(&mut self.records.lock())
    }

    /// The number of records kept.
    pub fn len(&self) -> usize {
        self.records.lock().len()
    }

    /// Whether nothing was kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Quarantine for MemoryQuarantine {
    fn put(&self, record: BadRecord) -> crate::base::Result<()> {
        self.records.lock().push(record);
        Ok(())
    }
}
