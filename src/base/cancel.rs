//! A flag that says that work shall end; whoever works looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use super::error::{Error, Result};

const OPEN: u8 = 0;
const CANCELLED: u8 = 1;
const IN_EFFECT: u8 = 2;

/// Says that a piece of work shall end, unless it has taken effect: the first of the two is final.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicU8>);

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; it stays raised. Work that has taken effect goes on: whether it ends is what
    /// [`Self::is_cancelled`] says then.
    pub fn cancel(&self) {
        self.settle(CANCELLED);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) == CANCELLED
    }

    /// From here on the work is not cancelled any more: what it does stays. It may say so again.
    ///
    /// # Errors
    /// 57014 where the flag was raised before: whoever waited was told so, and nothing may be done.
    pub fn take_effect(&self) -> Result<()> {
        self.settle(IN_EFFECT);
        self.check()
    }

    /// Ends work that nobody waits for any more.
    ///
    /// # Errors
    /// 57014 where the flag is raised.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() {
            return Err(Error::cancelled("canceling statement due to user request"));
        }
        Ok(())
    }

    fn settle(&self, state: u8) {
        // where another one was first, that one counts
        let _first = self
            .0
            .compare_exchange(OPEN, state, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Raises a flag when it is dropped before [`RaiseOnDrop::disarm`]: for a caller that may stop waiting.
#[derive(Debug)]
pub struct RaiseOnDrop(Option<CancelFlag>);

impl RaiseOnDrop {
    /// Will raise `flag`.
    pub fn new(flag: &CancelFlag) -> Self {
        Self(Some(flag.clone()))
    }

    /// The work has ended: there is nothing to stop.
    pub fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for RaiseOnDrop {
    fn drop(&mut self) {
        if let Some(flag) = &self.0 {
            flag.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CancelFlag;

    #[test]
    fn work_that_was_cancelled_takes_no_effect() {
        let flag = CancelFlag::new();
        flag.cancel();
        let error = flag.take_effect().expect_err("it was told to end");
        assert_eq!(error.code(), "57014");
        assert!(flag.is_cancelled());
    }

    #[test]
    fn work_that_has_taken_effect_is_not_cancelled() {
        let flag = CancelFlag::new();
        flag.take_effect().expect("nobody was told anything");
        flag.cancel();
        assert!(!flag.is_cancelled());
        flag.take_effect().expect("it still has");
    }
}
