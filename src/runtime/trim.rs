//! When memory that nothing uses goes back to the machine: a while after many rows have come or gone.
//!
//! Under a load that goes on it never does, nor while a model is filled: what one step lets go of the next one needs.

use std::time::Duration;

use crate::base::memory;

/// Memory is worth looking for once so many rows have come or gone.
const ROWS: usize = 32 * 1024;
/// How long nothing much must have happened.
const QUIET: Duration = Duration::from_secs(1);

/// What was done since the last time.
#[derive(Debug, Default)]
pub(super) struct Trim {
    rows: usize,
    due: Option<Duration>,
}

impl Trim {
    /// Notes that rows have come or gone at `now`.
    pub(super) fn note(&mut self, rows: usize, now: Duration) {
        self.rows = self.rows.saturating_add(rows);
        if self.rows >= ROWS {
            self.rows = 0;
            self.due = Some(now + QUIET);
        }
    }

    /// Notes at `now` that something was let go of of which nobody knows how much it was.
    pub(super) fn note_much(&mut self, now: Duration) {
        self.note(ROWS, now);
    }

    /// Notes at `now` that what is kept is likely to be needed at once.
    pub(super) fn put_off(&mut self, now: Duration) {
        if let Some(due) = &mut self.due {
            *due = now + QUIET;
        }
    }

    /// How long it is until [`Self::run`] has something to do.
    pub(super) fn wait(&self, now: Duration) -> Option<Duration> {
        self.due.map(|due| due.saturating_sub(now))
    }

    /// Gives memory back if it is time.
    pub(super) fn run(&mut self, now: Duration) {
        if self.due.take_if(|due| *due <= now).is_some() {
            memory::give_back();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_goes_back_once_after_many_rows_and_some_rest() {
        let at = Duration::from_secs;
        let mut trim = Trim::default();
        trim.note(ROWS - 1, at(1));
        assert_eq!(trim.wait(at(1)), None, "too few rows");
        trim.note(1, at(5));
        assert_eq!(trim.wait(at(5)), Some(QUIET));
        trim.note_much(at(5) + QUIET / 2);
        trim.run(at(5) + QUIET);
        assert_eq!(
            trim.wait(at(5) + QUIET),
            Some(QUIET / 2),
            "more rows came meanwhile"
        );
        trim.put_off(at(7));
        assert_eq!(trim.wait(at(7)), Some(QUIET), "a model is being filled");
        trim.run(at(8));
        assert_eq!(trim.wait(at(9)), None);
    }
}
