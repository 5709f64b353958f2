//! The memory that one model may use: its state, its rows, and what a step makes on the way; and that of all of them.
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

/// What a person can do about models that need too much together.
const MODELS_MEMORY_HINT: &str =
    "drop a model, or raise --models-memory; lotic.models tells what each of them takes";

/// Of the memory of all models, one in so many is kept for small ones: whoever asks for the last of it is seldom the one that
/// took the rest.
const KEPT: usize = 8;
/// A model that takes no more than one in so many is small.
const SMALL: usize = 16;

/// A limit in bytes for all models of an engine together.
#[derive(Debug)]
pub struct AllModels {
    limit_bytes: usize,
    used_bytes: AtomicUsize,
}

impl AllModels {
    /// A limit of `limit_bytes`, of which nothing is used.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            used_bytes: AtomicUsize::new(0),
        }
    }

    /// How far all of them may go for one that uses `bytes`.
    fn limit_for(&self, bytes: usize) -> usize {
        match bytes > self.limit_bytes / SMALL {
            true => self.limit_bytes - self.limit_bytes / KEPT,
            false => self.limit_bytes,
        }
    }

    /// What all of them use, in bytes.
    pub fn used_bytes(&self) -> usize {
        self.used_bytes.load(Ordering::Relaxed)
    }
}

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
    /// The limit of all models, and how much of this one counts there.
    all: Option<Arc<AllModels>>,
    counted_bytes: AtomicUsize,
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
            all: None,
            counted_bytes: AtomicUsize::new(0),
        }
    }

    /// The same, where all models together have a limit too.
    #[must_use]
    pub fn among(mut self, all: Arc<AllModels>) -> Self {
        self.all = Some(all);
        self
    }

    /// A budget that nobody stops, in which the same is used.
    #[must_use]
    pub fn unstoppable(&self) -> Self {
        let mut next = Self::new(self.limit_bytes);
        next.all = self.all.clone();
        next.set(self.used());
        next
    }

    /// A budget for a graph within an operator of `outer`'s graph: what it uses counts there for as long as the
    /// operator runs. `counted_bytes` of it are counted there already.
    pub fn within(outer: Arc<Self>, counted_bytes: usize) -> Self {
        let mut inner = Self::with_stop(outer.limit_bytes, outer.stop.clone());
        inner.all = outer.all.clone();
        inner.outer = Some((outer, counted_bytes));
        inner
    }

    /// Says how much is held between operators. What the last operator made counts no longer.
    ///
    /// # Errors
    /// 53200 when that is more than the limit, 57014 when the step shall end.
    pub fn hold(&self, bytes: usize) -> Result<()> {
        self.set(bytes);
        self.check(bytes)
    }

    /// As [`Budget::hold`], when nothing is asked for.
    pub fn set(&self, bytes: usize) {
        self.held_bytes.store(bytes, Ordering::Relaxed);
        self.made_bytes.store(0, Ordering::Relaxed);
        if let Some(all) = &self.all {
            let around = self.outer.as_ref().map_or(0, |(_, counted)| *counted);
            let now = bytes.saturating_sub(around);
            let before = self.counted_bytes.swap(now, Ordering::Relaxed);
            all.used_bytes.fetch_add(now, Ordering::Relaxed);
            all.used_bytes.fetch_sub(before, Ordering::Relaxed);
        }
    }

    /// Counts `bytes` that the present operator is about to keep until it ends.
    ///
    /// # Errors
    /// 53200 when they pass the limit, 57014 when the step shall end.
    pub fn charge(&self, bytes: usize) -> Result<()> {
        let made = self.made_bytes.fetch_add(bytes, Ordering::Relaxed);
        if let Some(all) = &self.all {
            self.counted_bytes.fetch_add(bytes, Ordering::Relaxed);
            all.used_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
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
        self.stop.check()?;
        let used = bytes.saturating_add(self.around());
        if used > self.limit_bytes {
            return Err(Error::out_of_memory(format!(
                "the model needs more than its {} MiB of memory",
                self.limit_bytes >> 20
            ))
            .with_hint(MODEL_MEMORY_HINT));
        }
        match &self.all {
            Some(all) if all.used_bytes() > all.limit_for(used) => {
                Err(Error::out_of_memory(format!(
                    "the models need more than the {} MiB of memory that they may take together, this one {} MiB",
                    all.limit_bytes >> 20,
                    used >> 20
                ))
                .with_hint(MODELS_MEMORY_HINT))
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Budget {
    fn drop(&mut self) {
        if let Some(all) = &self.all {
            let counted = *self.counted_bytes.get_mut();
            all.used_bytes.fetch_sub(counted, Ordering::Relaxed);
        }
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
    fn models_share_what_all_may_take() {
        let all = Arc::new(AllModels::new(160));
        let budget = || Budget::new(150).among(Arc::clone(&all));
        let (large, other) = (budget(), budget());
        large.hold(120).expect("fits");
        large.charge(35).expect_err("more than one may take");
        large.hold(120).expect("fits again");
        other.hold(20).expect("fits to the byte");
        other.charge(1).expect_err("the rest is for small ones");
        other.hold(20).expect("fits again");
        let small = [budget(), budget(), budget()];
        small[0].hold(10).expect("a small one goes on");
        small[1].hold(10).expect("and another");
        small[2].hold(1).expect_err("nothing is left");
        drop(small);
        let next = large.unstoppable();
        drop(large);
        assert_eq!(all.used_bytes(), 140, "what it holds goes over");
        next.set(0);
        other.hold(140).expect("room again");
        drop((next, other));
        assert_eq!(all.used_bytes(), 0);
    }

    #[test]
    fn what_is_within_an_operator_counts_once_among_all() {
        let all = Arc::new(AllModels::new(100));
        let outer = Arc::new(Budget::new(100).among(Arc::clone(&all)));
        outer.hold(60).expect("fits");
        let inner = Budget::within(Arc::clone(&outer), 20);
        inner.hold(30).expect("20 of them are counted");
        assert_eq!(all.used_bytes(), 70);
        inner.charge(5).expect("fits");
        assert_eq!(all.used_bytes(), 75);
        drop(inner);
        assert_eq!(all.used_bytes(), 60);
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
