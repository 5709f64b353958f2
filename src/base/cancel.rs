//! A flag that says that work shall end; whoever works looks at it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Says that a piece of work shall end.
#[derive(Clone, Debug, Default)]
pub struct CancelFlag(Arc<AtomicBool>);

impl CancelFlag {
    /// A flag that is not raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Raises the flag; it stays raised.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether the flag is raised.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
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
