//! What an engine is opened with.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::base::clock::{ClockRef, SystemClock};
use crate::base::disk::{DiskRef, RealDisk};
use crate::base::rng::{RngRef, SystemRng};

/// Settings of one engine.
#[derive(Clone)]
pub struct Options {
    /// Where it keeps its data. Without a folder everything lives in memory.
    pub data: Option<PathBuf>,
    /// The file of the master key; by default one is generated in the data folder.
    pub key_file: Option<PathBuf>,
    /// The master key itself, as `LOTIC_KEY` gives it.
    pub key: Option<Secret>,
    /// The password of the first user; generated where absent.
    pub password: Option<Secret>,
    /// Whether models follow their inputs (`serve`), or are computed when read (`run`, `sql`).
    pub maintain: bool,
    /// Values for `${name}` in pipeline files.
    pub variables: BTreeMap<String, String>,
    /// The folders and the beginnings of addresses that statements of clients may name.
    pub files: Vec<String>,
    /// Memory that one statement may use, in bytes.
    pub statement_memory_bytes: usize,
    /// Memory that the state and the rows of one model may take, in bytes.
    pub model_memory_bytes: usize,
    /// Memory that those of all models may take together, in bytes.
    pub models_memory_bytes: usize,
    /// Time that one statement may take; zero for no limit.
    pub statement_timeout: Duration,
    /// Partitions that one query works on at the same time.
    pub threads: usize,
    /// The seams.
    pub clock: ClockRef,
    /// The seams.
    pub rng: RngRef,
    /// The seams.
    pub disk: DiskRef,
}

impl Default for Options {
    fn default() -> Self {
        let memory_bytes = memory_of_machine();
        Self {
            data: None,
            key_file: None,
            key: None,
            password: None,
            maintain: true,
            variables: BTreeMap::new(),
            files: vec![".".to_owned()],
            statement_memory_bytes: 1 << 30,
            model_memory_bytes: memory_bytes / 2,
            models_memory_bytes: memory_bytes / 4 * 3,
            statement_timeout: Duration::ZERO,
            threads: std::thread::available_parallelism().map_or(2, usize::from),
            clock: Arc::new(SystemClock::new()),
            rng: Arc::new(SystemRng),
            disk: Arc::new(RealDisk),
        }
    }
}

/// The machine's memory in bytes, or 8 GiB where it does not say.
fn memory_of_machine() -> usize {
    let kibibytes = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
            line.split_whitespace().nth(1)?.parse::<usize>().ok()
        });
    kibibytes.map_or(8 << 30, |kibibytes| kibibytes.saturating_mul(1024))
}

/// Text that no log, error or `Debug` shows.
#[derive(Clone, zeroize::ZeroizeOnDrop)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl std::fmt::Debug for Options {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Options")
            .field("data", &self.data)
            .field("maintain", &self.maintain)
            .finish_non_exhaustive()
    }
}
