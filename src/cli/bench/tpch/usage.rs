//! What a piece of work used of this process: time, processor time and memory, as the kernel tells.
//!
//! Where there is no `/proc` the time alone is known, and the rest is 0.

use crate::base::clock::{Clock, SystemClock};
use crate::cli::bench::process;

/// What was used.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Usage {
    /// Time on the clock.
    pub(super) seconds: f64,
    /// Processor time of all threads.
    pub(super) cpu_seconds: f64,
    /// The most memory that the process held in that time.
    pub(super) peak_bytes: u64,
}

impl Usage {
    /// One after the other.
    pub(super) fn then(self, next: Self) -> Self {
        Self {
            seconds: self.seconds + next.seconds,
            cpu_seconds: self.cpu_seconds + next.cpu_seconds,
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
        }
    }
}

/// A running measurement.
#[derive(Debug)]
pub(super) struct Stopwatch {
    clock: SystemClock,
    cpu_seconds: f64,
}

impl Stopwatch {
    /// Begins to measure.
    pub(super) fn start() -> Self {
        process::forget_peak();
        Self {
            clock: SystemClock::new(),
            cpu_seconds: process::cpu_seconds().unwrap_or(0.0),
        }
    }

    /// What was used since the start.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            seconds: self.clock.monotonic().as_secs_f64(),
            cpu_seconds: process::cpu_seconds().unwrap_or(0.0) - self.cpu_seconds,
            peak_bytes: process::peak_bytes().unwrap_or(0),
        }
    }
}
