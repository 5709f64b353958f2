//! How far a long step is: written by the graph, read by whoever waits.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Counters of a step that others may look at while it runs.
#[derive(Debug, Default)]
pub struct Progress {
    operators: AtomicUsize,
    done: AtomicUsize,
    rows: AtomicU64,
}

/// What [`Progress`] says at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Operators of the graph.
    pub operators: usize,
    /// Those of them that have run.
    pub done: usize,
    /// Rows that they have taken, all together.
    pub rows: u64,
}

impl Progress {
    /// What is reached now.
    pub fn read(&self) -> Reached {
        Reached {
            operators: self.operators.load(Ordering::Relaxed),
            done: self.done.load(Ordering::Relaxed),
            rows: self.rows.load(Ordering::Relaxed),
        }
    }

    /// A step over `operators` begins.
    pub(super) fn begin(&self, operators: usize) {
        self.operators.store(operators, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    /// An operator is about to take `rows`.
    pub(super) fn take(&self, rows: u64) {
        self.rows.fetch_add(rows, Ordering::Relaxed);
    }

    /// An operator has run.
    pub(super) fn done(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}
