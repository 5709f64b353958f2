//! Sinks.

use std::sync::Arc;

use super::instance::Lotic;
use crate::base::Result;
use crate::catalog::Object;

pub(super) fn check(_object: &Object) -> Result<()> {
    Ok(())
}

impl Lotic {
    pub(super) fn start_sink(self: &Arc<Self>, _object: &Object) -> Result<()> {
        Ok(())
    }

    /// Writes every sink once.
    pub async fn run_sinks(self: &Arc<Self>) -> Result<()> {
        Ok(())
    }
}
