//! The seam to randomness.

use std::sync::Arc;

use super::{Error, Result};

/// A source of random bytes fit for keys.
pub trait Rng: Send + Sync + std::fmt::Debug {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// When the operating system has none to give.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// A shared source of randomness.
pub type RngRef = Arc<dyn Rng>;

/// The operating system's generator.
#[derive(Debug, Default)]
pub struct SystemRng;

impl Rng for SystemRng {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        getrandom::fill(bytes).map_err(|error| {
            Error::unavailable(format!("no random bytes from the system: {error}"))
        })
    }
}
