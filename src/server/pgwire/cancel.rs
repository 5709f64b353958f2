//! Cancel requests: the keys that allow them, and how one reaches the statement that runs.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use subtle::ConstantTimeEq;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};

use super::backend::Canceller;
use crate::base::Result;
use crate::base::rng::RngRef;

/// The sessions that can be cancelled, by process id.
#[derive(Default)]
pub(crate) struct Registry {
    slots: Mutex<HashMap<i32, Arc<Slot>>>,
}

/// One session's entry: its secret, and the statement that runs in it.
pub(crate) struct Slot {
    pub(crate) process: i32,
    pub(crate) secret: i32,
    canceller: Canceller,
    running: Mutex<Option<CancellationToken>>,
}

impl Registry {
    /// Enters a session under a new random process id and secret.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub(crate) fn enter(self: &Arc<Self>, canceller: Canceller, rng: &RngRef) -> Result<Entered> {
        loop {
            let mut bytes = [0; 8];
            rng.fill(&mut bytes)?;
            let [a, b, c, d, e, f, g, h] = bytes;
            let process = i32::from_be_bytes([a & 0x7f, b, c, d]);
            let secret = i32::from_be_bytes([e, f, g, h]);
            let mut slots = self.slots.lock();
            if process == 0 || slots.contains_key(&process) {
                continue;
            }
            let slot = Arc::new(Slot {
                process,
                secret,
                canceller,
                running: Mutex::new(None),
            });
            slots.insert(process, Arc::clone(&slot));
            return Ok(Entered {
                registry: Arc::clone(self),
                slot,
            });
        }
    }

    /// Cancels what runs in the session with this key. Without the right key nothing happens, and
    /// the sender cannot tell the difference.
    pub(crate) fn cancel(&self, process: i32, secret: i32) {
        let slot = self.slots.lock().get(&process).map(Arc::clone);
        if let Some(slot) = slot
            && bool::from(slot.secret.to_be_bytes().ct_eq(&secret.to_be_bytes()))
        {
            slot.cancel();
        }
    }

    /// Cancels what runs anywhere.
    pub(crate) fn cancel_all(&self) {
        let slots: Vec<Arc<Slot>> = self.slots.lock().values().map(Arc::clone).collect();
        for slot in slots {
            slot.cancel();
        }
    }
}

impl Slot {
    /// Marks that a statement starts.
    pub(crate) fn start(self: &Arc<Self>) -> Running {
        let token = CancellationToken::new();
        *self.running.lock() = Some(token.clone());
        Running {
            slot: Arc::clone(self),
            token,
        }
    }

    /// A request that finds no statement running has no effect, also not on the next one.
    fn cancel(&self) {
        let token = self.running.lock().clone();
        if let Some(token) = token {
            (self.canceller)();
            token.cancel();
        }
    }
}

/// A session's place in the registry; left when dropped.
pub(crate) struct Entered {
    registry: Arc<Registry>,
    pub(crate) slot: Arc<Slot>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.registry.slots.lock().remove(&self.slot.process);
    }
}

/// A statement that runs; its end is marked when dropped.
pub(crate) struct Running {
    slot: Arc<Slot>,
    token: CancellationToken,
}

impl Running {
    /// Returns when someone cancels it.
    pub(crate) fn cancelled(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Cancels it from inside, as when its client is gone.
    pub(crate) fn cancel(&self) {
        self.slot.cancel();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        *self.slot.running.lock() = None;
    }
}
