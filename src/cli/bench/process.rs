//! What this process has used so far, as the kernel counts it.

use std::time::Duration;

/// The kernel's ticks of a second in `/proc`: a constant of its interface.
const TICKS_A_SECOND: f64 = 100.0;

/// Seconds of processor that all threads have used; none where the kernel does not say.
pub(super) fn cpu_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/stat").ok()?;
    // the name, in brackets, may hold anything; user and system time are the 12th and 13th after it
    let (_, rest) = text.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_A_SECOND)
}

/// Lets the peak of the memory begin anew, where the kernel can.
pub(super) fn forget_peak() {
    // an old kernel keeps the peak of the whole process, which is no less true
    drop(std::fs::write("/proc/self/clear_refs", "5"));
}

/// The most memory that the process has had resident since [`forget_peak`], in bytes.
pub(super) fn peak_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmHWM:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Processor time of the threads that keep models fresh: the driver and its pool.
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

/// The memory that the process has resident, in bytes.
pub(super) fn resident_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}
