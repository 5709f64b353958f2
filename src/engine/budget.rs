//! The memory that one model may use: its state, its rows, and what a step makes on the way.
//!
//! State is measured between operators. Inside an operator whose output may be far larger than its
//! input (a join), what it makes is charged piece by piece, so that a cross join or one key with
//! very many rows stops the model while it is small, and not the process when it is large.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::base::{CancelFlag, Error, Result};

/// What a person can do about a model that needs too much.
pub const MODEL_MEMORY_HINT: &str =
    "look for a join without a key, or a key that very many rows share; or raise --model-memory";

/// A limit in bytes and what counts against it. Threads of one step share it.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: usize,
    /// What is held for longer than the present operator.
    held_bytes: AtomicUsize,
    /// What the present operator has made.
    made_bytes: AtomicUsize,
    /// The budget of the graph around, if this is that of a graph within an operator, and how much of what is held
    /// here is counted there too.
    outer: Option<(Arc<Budget>, usize)>,
    /// Raised when nobody wants the result any more.
    stop: CancelFlag,
}

impl Budget {
    /// A budget of `limit_bytes`, of which nothing is used.
    pub fn new(limit_bytes: usize) -> Self {
        Self::with_stop(limit_bytes, CancelFlag::new())
    }

    /// As [`Budget::new`], for a step that ends with an error once `stop` is raised.
    pub fn with_stop(limit_bytes: usize, stop: CancelFlag) -> Self {
        Self {
            limit_bytes,
            stop,
            held_bytes: AtomicUsize::new(0),
            made_bytes: AtomicUsize::new(0),
            outer: None,
        }
    }

    /// A budget for a graph within an operator of `outer`'s graph: what it uses counts there for as long as the
    /// operator runs. `counted_bytes` of it are counted there already.
    pub fn within(outer: Arc<Self>, counted_bytes: usize) -> Self {
        let mut inner = Self::with_stop(outer.limit_bytes, outer.stop.clone());
        inner.outer = Some((outer, counted_bytes));
        inner
    }

    /// Says how much is held between operators. What the last operator made counts no longer.
    ///
    /// # Errors
    /// 53200 when that is more than the limit, 57014 when the step shall end.
    pub fn hold(&self, bytes: usize) -> Result<()> {
        self.held_bytes.store(bytes, Ordering::Relaxed);
        self.made_bytes.store(0, Ordering::Relaxed);
        self.check(bytes)
    }

    /// Counts `bytes` that the present operator is about to keep until it ends.
    ///
    /// # Errors
    /// 53200 when they pass the limit, 57014 when the step shall end.
    pub fn charge(&self, bytes: usize) -> Result<()> {
        let made = self.made_bytes.fetch_add(bytes, Ordering::Relaxed);
        let held = self.held_bytes.load(Ordering::Relaxed);
        self.check(held.saturating_add(made).saturating_add(bytes))
    }

    fn used(&self) -> usize {
        let held = self.held_bytes.load(Ordering::Relaxed);
        let here = held.saturating_add(self.made_bytes.load(Ordering::Relaxed));
        here.saturating_add(self.around())
    }

    /// What is used around this budget and not counted in it.
    fn around(&self) -> usize {
        let outer = self.outer.as_ref();
        outer.map_or(0, |(outer, counted)| outer.used().saturating_sub(*counted))
    }

    fn check(&self, bytes: usize) -> Result<()> {
        if self.stop.is_cancelled() {
            return Err(Error::cancelled("canceling statement due to user request"));
        }
        if bytes.saturating_add(self.around()) <= self.limit_bytes {
            return Ok(());
        }
        Err(Error::out_of_memory(format!(
            "the model needs more than its {} MiB of memory",
            self.limit_bytes >> 20
        ))
        .with_hint(MODEL_MEMORY_HINT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raised_flag_ends_the_step() {
        let stop = CancelFlag::new();
        let budget = Budget::with_stop(100, stop.clone());
        budget.charge(1).expect("not raised");
        stop.cancel();
        assert_eq!(budget.charge(1).expect_err("raised").code(), "57014");
        assert_eq!(budget.hold(1).expect_err("raised").code(), "57014");
    }

    #[test]
    fn what_an_operator_makes_counts_until_the_next_one() {
        let budget = Budget::new(100);
        budget.hold(40).expect("fits");
        budget.charge(50).expect("fits");
        assert_eq!(budget.charge(11).expect_err("too much").code(), "53200");
        budget.hold(90).expect("fits again");
        budget.charge(10).expect("fits to the byte");
        assert_eq!(budget.hold(101).expect_err("too much").code(), "53200");
    }

    #[test]
    fn what_a_graph_within_an_operator_uses_counts_once() {
        let outer = Arc::new(Budget::new(100));
        outer.hold(60).expect("fits");
        let inner = Budget::within(Arc::clone(&outer), 20);
        inner
            .hold(60)
            .expect("60 around, of which 20 are these, and 60");
        inner.hold(61).expect_err("too much");
        inner.hold(50).expect("fits again");
        outer.charge(5).expect("fits");
        inner.charge(5).expect("fits to the byte");
        assert_eq!(inner.charge(1).expect_err("too much").code(), "53200");
    }
}
