//! Progress of long work: a moving line on a terminal, plain lines elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};

use super::output::say;
use crate::base::clock::{Clock, SystemClock};
use crate::base::meter::Reading;
use crate::base::task;
use crate::runtime::Lotic;

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often the moving line is drawn anew.
const TICK: Duration = Duration::from_millis(200);
/// How often a plain line is written.
const LINE: Duration = Duration::from_secs(5);

/// Shows what is being done.
pub(crate) struct Progress {
    quiet: bool,
    clock: SystemClock,
    began: Duration,
    what: String,
    shown: Option<Shown>,
}

/// The thread that shows the work that runs.
struct Shown {
    /// Dropped when the work has ended.
    end: mpsc::Sender<()>,
    thread: JoinHandle<()>,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            clock: SystemClock::new(),
            began: Duration::ZERO,
            what: String::new(),
            shown: None,
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Begins a piece of work, `place` tells which of how many. What `lotic` reads is shown while it
    /// lasts.
    pub(crate) fn begin(
        &mut self,
        what: &str,
        place: Option<(usize, usize)>,
        lotic: Option<&Arc<Lotic>>,
    ) {
        self.stop();
        self.began = self.clock.monotonic();
        what.clone_into(&mut self.what);
        if self.quiet {
            return;
        }
        let head = match place {
            Some((done, total)) if total > 1 => format!("{what} ({} of {total})", done + 1),
            _ => what.to_owned(),
        };
        // taken here: the work may have begun when the thread does
        let read = lotic.map(|lotic| (Arc::clone(lotic), lotic.reading()));
        let (end, ended) = mpsc::channel();
        // where the system refuses a thread the work goes on without being shown
        self.shown = task::thread("progress", move || show(&head, read.as_ref(), &ended))
            .ok()
            .map(|thread| Shown { end, thread });
    }

    /// Ends the piece of work. `outcome` is shown where it took long.
    pub(crate) fn end(&mut self, outcome: &str) {
        self.stop();
        let spent = self.clock.monotonic().saturating_sub(self.began);
        if !self.quiet && spent >= PATIENCE {
            say(&format!(
                "{}: {outcome} in {:.1} s",
                self.what,
                spent.as_secs_f64()
            ));
        }
    }

    fn stop(&mut self) {
        if let Some(shown) = self.shown.take() {
            drop(shown.end);
            // a panic of the thread was logged where it happened
            drop(shown.thread.join());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Shows the work called `head` until the other side of `ended` is dropped.
fn show(head: &str, read: Option<&(Arc<Lotic>, Reading)>, ended: &mpsc::Receiver<()>) {
    let clock = SystemClock::new();
    let terminal = std::io::stderr().is_terminal();
    let (mut pause, mut bar) = (PATIENCE, None);
    while ended.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
        let read = read.map(|(lotic, start)| lotic.reading().since(*start));
        let line = line(head, read.unwrap_or_default(), clock.monotonic());
        if terminal {
            pause = TICK;
            bar.get_or_insert_with(spinner).set_message(line);
        } else {
            pause = LINE;
            say(&line);
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

fn spinner() -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let style = ProgressStyle::with_template("{spinner} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar.enable_steady_tick(TICK);
    bar
}

/// `model m (2 of 5): 1,000 rows, 2 MiB of 10 MiB, 1 MiB/s, about 8 s left, 2 s`.
fn line(head: &str, read: Reading, spent: Duration) -> String {
    let mut parts = Vec::new();
    if read.rows > 0 {
        parts.push(format!("{} rows", HumanCount(read.rows)));
    }
    if read.bytes > 0 {
        let known = read.expected_bytes >= read.bytes;
        let of = match known {
            true => format!(" of {}", HumanBytes(read.expected_bytes)),
            false => String::new(),
        };
        parts.push(format!("{}{of}", HumanBytes(read.bytes)));
        let milliseconds = u64::try_from(spent.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = read.bytes.saturating_mul(1000) / milliseconds;
        parts.push(format!("{}/s", HumanBytes(rate)));
        let missing = read.expected_bytes.saturating_sub(read.bytes);
        if known && missing > 0 && rate > 0 {
            parts.push(format!("about {} s left", missing.div_ceil(rate)));
        }
    }
    parts.push(format!("{} s", spent.as_secs()));
    format!("{head}: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::{Reading, line};
    use std::time::Duration;

    #[test]
    fn the_line_tells_what_is_known_and_no_more() {
        let at = |rows, bytes, expected_bytes| {
            let read = Reading {
                rows,
                bytes,
                expected_bytes,
            };
            line("model m", read, Duration::from_secs(2))
        };
        assert_eq!(at(0, 0, 0), "model m: 2 s");
        assert_eq!(
            at(1_000, 2 << 20, 10 << 20),
            "model m: 1,000 rows, 2.00 MiB of 10.00 MiB, 1.00 MiB/s, about 8 s left, 2 s"
        );
        assert_eq!(at(5, 0, 0), "model m: 5 rows, 2 s");
        assert_eq!(
            at(5, 2 << 20, 0),
            "model m: 5 rows, 2.00 MiB, 1.00 MiB/s, 2 s"
        );
    }
}
