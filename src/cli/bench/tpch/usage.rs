//! What a piece of work used of this process: time, processor time and memory, as the kernel tells.
//!
//! Where there is no `/proc` the time alone is known, and the rest is 0.

use std::time::Duration;

use crate::base::clock::{Clock, SystemClock};

/// The kernel counts processor time for `/proc` in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

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
        // 5 sets the high-water mark of memory to what is held now
        if let Err(error) = std::fs::write("/proc/self/clear_refs", "5") {
            tracing::debug!(%error, "peak memory is that since the start of the process");
        }
        Self {
            clock: SystemClock::new(),
            cpu_seconds: cpu_seconds(),
        }
    }

    /// What was used since the start.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            seconds: self.clock.monotonic().as_secs_f64(),
            cpu_seconds: cpu_seconds() - self.cpu_seconds,
            peak_bytes: peak_bytes(),
        }
    }
}

/// Processor time of this process so far.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the name of the program is in parentheses and may hold anything
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks = fields
        .split_whitespace()
        .skip(11)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok());
    ticks.sum::<f64>() / TICKS_A_SECOND
}

/// Processor time of the thread that keeps models fresh.
pub(super) fn driver_cpu() -> Duration {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return Duration::ZERO;
    };
    let times = threads.flatten().filter_map(|thread| {
        let name = std::fs::read_to_string(thread.path().join("comm")).ok()?;
        if name.trim_end() != "lotic-driver" {
            return None;
        }
        let times = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split_whitespace().next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

fn peak_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}
