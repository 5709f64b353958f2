//! Progress of long work: a moving line on a terminal, plain lines elsewhere, nothing when quiet.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::output::say;
use crate::base::clock::{Clock, SystemClock};
use crate::runtime::Lotic;

/// Work shorter than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// Shows what is being done.
pub(crate) struct Progress {
    quiet: bool,
    terminal: bool,
    clock: SystemClock,
    bar: Option<ProgressBar>,
    began: Duration,
    what: String,
}

impl Progress {
    pub(crate) fn new(quiet: bool) -> Self {
        Self {
            quiet,
            terminal: std::io::stderr().is_terminal(),
            clock: SystemClock::new(),
            bar: None,
            began: Duration::ZERO,
            what: String::new(),
        }
    }

    /// The time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }

    /// Begins a piece of work, `done` of `total`. The figures of `lotic`, rows and bytes read so
    /// far, are shown while it lasts.
    pub(crate) fn begin(
        &mut self,
        what: &str,
        done: usize,
        total: usize,
        lotic: Option<&Arc<Lotic>>,
    ) {
        self.began = self.clock.monotonic();
        self.what = what.to_owned();
        if self.quiet || !self.terminal {
            return;
        }
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        bar.set_style(style);
        let left = self.time_left(done, total);
        let read = lotic.map(|lotic| lotic.rows_held()).unwrap_or(0);
        bar.set_message(format!(
            "{what}, {} of {total}, {read} rows held{left}",
            done + 1
        ));
        bar.enable_steady_tick(Duration::from_millis(120));
        self.bar = Some(bar);
    }

    /// Ends the piece of work. `outcome` is shown where it took long.
    pub(crate) fn end(&mut self, outcome: &str) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let spent = self.clock.monotonic().saturating_sub(self.began);
        if !self.quiet && spent >= PATIENCE {
            say(&format!(
                "{}: {outcome} in {:.1} s",
                self.what,
                spent.as_secs_f64()
            ));
        }
    }

    fn time_left(&self, done: usize, total: usize) -> String {
        if done == 0 || done >= total {
            return String::new();
        }
        let done_of = f64::from(u32::try_from(done).unwrap_or(u32::MAX));
        let missing = f64::from(u32::try_from(total - done).unwrap_or(u32::MAX));
        let seconds = self.began.as_secs_f64() / done_of * missing;
        format!(", about {seconds:.0} s left")
    }
}
