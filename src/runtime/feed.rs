//! The tasks that bring rows by themselves: one for each tailed source.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::instance::Lotic;
use crate::base::{ObjectId, Result};
use crate::catalog::Object;

/// The running tasks, by the object that they feed.
#[derive(Debug, Default)]
pub(crate) struct Feeds {
    running: Mutex<BTreeMap<ObjectId, CancellationToken>>,
}

impl Feeds {
    /// Notes a task; it ends when the token does.
    pub(crate) fn begin(&self, id: ObjectId) -> CancellationToken {
        let token = CancellationToken::new();
        if let Some(before) = self.running.lock().insert(id, token.clone()) {
            before.cancel();
        }
        token
    }

    /// Ends the task of `id`, if there is one.
    pub(crate) fn stop(&self, id: ObjectId) {
        if let Some(token) = self.running.lock().remove(&id) {
            token.cancel();
        }
    }

    /// Ends all tasks.
    pub(crate) fn stop_all(&self) {
        for (_, token) in std::mem::take(&mut *self.running.lock()) {
            token.cancel();
        }
    }
}

impl Lotic {
    /// Follows the files of a tailed source.
    pub(super) async fn start_tail(self: &Arc<Self>, _object: &Object) -> Result<()> {
        Ok(())
    }
}
