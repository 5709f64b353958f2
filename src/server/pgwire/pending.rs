//! The sockets that have not logged in yet, and who must go when there are too many.
//!
//! A flood of half-open connections must not keep a good client out, so a full house refuses nobody
//! at the door: it closes the socket that has got least far, and among these the oldest.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

/// How far a socket has got. The order matters: the least goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    /// Nothing was received.
    Silent,
    /// It asked for TLS.
    Negotiating,
    /// It named its user.
    Named,
}

/// All sockets before login.
pub(crate) struct Pending {
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    sockets: BTreeMap<(Stage, u64), CancellationToken>,
}

impl Pending {
    /// Room for `limit` sockets.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit: limit.max(1), table: Mutex::default() })
    }

    /// Takes a new socket in; sends another away if there is no room.
    pub(crate) fn enter(self: &Arc<Self>) -> Waiting {
        let evicted = CancellationToken::new();
        let mut table = self.table.lock();
        while table.sockets.len() >= self.limit {
            if let Some((_, victim)) = table.sockets.pop_first() {
                victim.cancel();
            }
        }
        let number = table.next;
        table.next += 1;
        let key = (Stage::Silent, number);
        table.sockets.insert(key, evicted.clone());
        Waiting { pending: Arc::clone(self), key, evicted }
    }
}

/// One socket's place; left when dropped.
pub(crate) struct Waiting {
    pending: Arc<Pending>,
    key: (Stage, u64),
    evicted: CancellationToken,
}

impl Waiting {
    /// Notes that the socket got further.
    pub(crate) fn reached(&mut self, stage: Stage) {
        let mut table = self.pending.table.lock();
        if let Some(token) = table.sockets.remove(&self.key) {
            self.key.0 = stage;
            table.sockets.insert(self.key, token);
        }
    }

    /// The signal to go.
    pub(crate) fn evicted(&self) -> CancellationToken {
        self.evicted.clone()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.pending.table.lock().sockets.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_of_those_that_got_least_far_goes() {
        let pending = Pending::new(2);
        let mut good = pending.enter();
        good.reached(Stage::Named);
        let silent = pending.enter();
        let newer = pending.enter();
        assert!(silent.evicted().is_cancelled());
        assert!(!good.evicted().is_cancelled() && !newer.evicted().is_cancelled());
        drop(newer);
        let _other = pending.enter();
        assert!(!good.evicted().is_cancelled());
    }
}
