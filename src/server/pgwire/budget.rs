//! How many bytes of received messages all connections may hold together.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A budget in bytes, shared.
#[derive(Debug)]
pub struct Budget {
    left: AtomicUsize,
}

impl Budget {
    /// A budget of `bytes`.
    pub fn new(bytes: usize) -> Arc<Self> {
        Arc::new(Self {
            left: AtomicUsize::new(bytes),
        })
    }

    /// An empty claim on it.
    pub fn claim(self: &Arc<Self>) -> Claim {
        Claim {
            budget: Arc::clone(self),
            bytes: 0,
        }
    }

    /// What nobody holds.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }
}

/// What one connection holds. Given back when dropped.
#[derive(Debug)]
pub struct Claim {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Claim {
    /// Makes the claim `bytes` large. False, and unchanged, when the budget has not got so much.
    pub fn resize(&mut self, bytes: usize) -> bool {
        if bytes <= self.bytes {
            self.budget
                .left
                .fetch_add(self.bytes - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - self.bytes;
            let take = |left: usize| left.checked_sub(more);
            let left = &self.budget.left;
            if left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
                .is_err()
            {
                return false;
            }
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn claims_never_pass_the_budget_and_give_back() {
        let budget = Budget::new(100);
        let (mut one, mut two) = (budget.claim(), budget.claim());
        assert!(one.resize(60) && !two.resize(41) && two.resize(40));
        assert!(one.resize(10));
        assert_eq!(budget.left(), 50);
        drop((one, two));
        assert_eq!(budget.left(), 100);
    }
}
