//! The seam to time.

use std::sync::Arc;
use std::time::Duration;

/// A source of time. Product code never asks the operating system by itself.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Microseconds since 1970-01-01 UTC. May jump.
    fn now_us(&self) -> i64;

    /// Time since some fixed start. Never goes back.
    fn monotonic(&self) -> Duration;
}

/// A shared clock.
pub type ClockRef = Arc<dyn Clock>;

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: std::time::Instant,
}

impl SystemClock {
    /// A clock whose monotonic time starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    pub fn new() -> Self {
        Self {
            start: std::time::Instant::now(),
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now_us(&self) -> i64 {
        let now = std::time::SystemTime::now();
        match now.duration_since(std::time::UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(_) => 0,
        }
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }
}

/// What a bare number counts where a length of time is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BareUnit {
    /// As in the settings of PostgreSQL, whose clients send them so.
    Milliseconds,
    /// As people expect of an option such as `poll`.
    Seconds,
}

/// A length of time: `250us`, `500ms`, `2s`, `1m` or `1min`, `1h`, `7d`; `bare` is the unit of a number
/// without one.
pub fn length_of_time(text: &str, bare: BareUnit) -> Option<Duration> {
    let word = text.trim().to_ascii_lowercase();
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ');
    let factor_us = match (word.strip_prefix(digits).unwrap_or_default().trim(), bare) {
        ("us", _) => 1,
        ("ms", _) | ("", BareUnit::Milliseconds) => 1_000,
        ("s", _) | ("", BareUnit::Seconds) => 1_000_000,
        ("m" | "min", _) => 60_000_000,
        ("h", _) => 3_600_000_000,
        ("d", _) => 86_400_000_000,
        _ => return None,
    };
    let us = digits.parse::<u64>().ok()?.checked_mul(factor_us)?;
    Some(Duration::from_micros(us))
}

/// The length of time of an option; a bare number counts seconds. Never zero.
pub fn duration(text: &str) -> Option<Duration> {
    length_of_time(text, BareUnit::Seconds).filter(|time| !time.is_zero())
}

#[cfg(test)]
mod tests {
    use super::{BareUnit, Duration, duration, length_of_time};

    #[test]
    fn bare_numbers_count_what_the_caller_says_and_units_are_the_same_everywhere() {
        let bare = |unit| length_of_time("1500", unit).unwrap();
        assert_eq!(bare(BareUnit::Milliseconds), Duration::from_millis(1500));
        assert_eq!(bare(BareUnit::Seconds), Duration::from_secs(1500));
        for unit in [BareUnit::Milliseconds, BareUnit::Seconds] {
            for (text, us) in [
                ("250us", 250),
                ("5 ms", 5_000),
                ("2s", 2_000_000),
                ("1m", 60_000_000),
                (" 1MIN ", 60_000_000),
                ("1h", 3_600_000_000),
                ("7d", 604_800_000_000),
                ("0", 0),
            ] {
                let wanted = Some(Duration::from_micros(us));
                assert_eq!(length_of_time(text, unit), wanted, "{text}");
            }
            for text in [
                "",
                "s",
                "-1s",
                "1.5s",
                "1 fortnight",
                "99999999999999999999",
                "99999999999d",
            ] {
                assert_eq!(length_of_time(text, unit), None, "{text}");
            }
        }
        assert_eq!(duration("0s"), None);
    }
}
