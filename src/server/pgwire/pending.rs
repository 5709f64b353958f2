//! The sockets that have not logged in yet, and who must go when there are too many.
//!
//! A flood of half-open connections must not keep a good client out, so a full house refuses nobody
//! at the door: it closes the socket that has got least far, and among these the oldest. But each
//! socket first has a moment to show what it wants: while all are that young, the next one waits.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a socket cannot be sent away: a good client says who it is within this time.
const MOMENT: Duration = Duration::from_millis(100);

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

/// A socket before login.
struct Socket {
    since: Instant,
    evicted: CancellationToken,
}

/// All sockets before login.
pub(crate) struct Pending {
    limit: usize,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    next: u64,
    sockets: BTreeMap<(Stage, u64), Socket>,
}

impl Pending {
    /// Room for `limit` sockets.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit: limit.max(1),
            table: Mutex::default(),
        })
    }

    /// Takes a new socket in; sends another away if there is no room. Waits while nobody can be
    /// sent away yet.
    pub(crate) async fn enter(self: &Arc<Self>) -> Waiting {
        loop {
            let now = Instant::now();
            match self.try_enter(now) {
                Ok(waiting) => return waiting,
                Err(again) => tokio::time::sleep_until(again).await,
            }
        }
    }

    /// As `enter`, but says when to try again instead of waiting.
    fn try_enter(self: &Arc<Self>, now: Instant) -> Result<Waiting, Instant> {
        let mut table = self.table.lock();
        if table.sockets.len() >= self.limit {
            let old = |(_, socket): &(&(Stage, u64), &Socket)| socket.since + MOMENT <= now;
            let Some(victim) = table.sockets.iter().find(old).map(|(key, _)| *key) else {
                let oldest = table.sockets.values().map(|socket| socket.since).min();
                return Err(oldest.unwrap_or(now) + MOMENT);
            };
            if let Some(socket) = table.sockets.remove(&victim) {
                socket.evicted.cancel();
            }
        }
        let key = (Stage::Silent, table.next);
        table.next += 1;
        let evicted = CancellationToken::new();
        table.sockets.insert(
            key,
            Socket {
                since: now,
                evicted: evicted.clone(),
            },
        );
        Ok(Waiting {
            pending: Arc::clone(self),
            key,
            evicted,
        })
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
        if let Some(socket) = table.sockets.remove(&self.key) {
            self.key.0 = stage;
            table.sockets.insert(self.key, socket);
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
    fn the_oldest_of_those_that_got_least_far_goes_after_its_moment() {
        let start = Instant::now();
        let pending = Pending::new(2);
        let enter = |now| pending.try_enter(now);
        let mut good = enter(start).unwrap();
        good.reached(Stage::Named);
        let silent = enter(start).unwrap();
        assert_eq!(enter(start).err(), Some(start + MOMENT));
        let newer = enter(start + MOMENT).unwrap();
        assert!(silent.evicted().is_cancelled());
        assert!(!good.evicted().is_cancelled() && !newer.evicted().is_cancelled());
        drop(newer);
        let _other = enter(start + MOMENT).unwrap();
        assert!(!good.evicted().is_cancelled());
    }
}
