//! The brake on guessing: an address that fails often must wait, and so must the answer to a wrong guess.
//!
//! Nobody is locked out for good, and no user is locked out by someone else's guesses: the wait is
//! on the *address* that failed. Guesses from many addresses at one user only make each *failed*
//! answer late, never a right one.
//!
//! The counters live in memory: a restart forgets them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use parking_lot::Mutex;

use crate::base::clock::ClockRef;

/// Failures that cost nothing: people mistype.
const FREE_FAILURES: u32 = 5;
/// After so many failures an address is refused for a while.
const REFUSED_AFTER: u32 = 10;
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A counter is forgotten after so long without a failure.
const FORGET_AFTER: Duration = Duration::from_secs(15 * 60);
const LATE_ANSWER: Duration = Duration::from_secs(1);
/// Bytes of a user's name that are told apart: a flood of long names must not fill the memory.
const NAME_BYTES: usize = 64;
/// Entries kept a table. Beyond it the stalest goes: memory stays bounded under a flood of names.
const MAX_ENTRIES: usize = 16_384;

/// Counts failed logins by address and by user.
#[derive(Debug)]
pub struct Backoff {
    clock: ClockRef,
    tables: Mutex<Tables>,
}

#[derive(Debug, Default)]
struct Tables {
    addresses: HashMap<IpAddr, Failures>,
    users: HashMap<Vec<u8>, Failures>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Failures {
    count: u32,
    last: Duration,
}

impl Backoff {
    /// A brake that nobody has touched yet.
    pub fn new(clock: ClockRef) -> Self {
        Self {
            clock,
            tables: Mutex::default(),
        }
    }

    /// How long `address` must still wait before its next login is looked at.
    pub fn wait(&self, address: IpAddr) -> Option<Duration> {
        let now = self.clock.monotonic();
        let tables = self.tables.lock();
        let failures = tables.addresses.get(&network(address))?;
        let over = failures.count.checked_sub(REFUSED_AFTER)?;
        let wait = FIRST_WAIT
            .saturating_mul(1 << over.min(6))
            .min(LONGEST_WAIT);
        (failures.last + wait)
            .checked_sub(now)
            .filter(|left| !left.is_zero())
    }

    /// Notes a failed login; says how late its answer must go out.
    pub fn failed(&self, address: IpAddr, user: &str) -> Duration {
        let now = self.clock.monotonic();
        let mut tables = self.tables.lock();
        let by_address = count(&mut tables.addresses, network(address), now);
        let name = user.bytes().take(NAME_BYTES).collect();
        let by_user = count(&mut tables.users, name, now);
        if by_address.max(by_user) <= FREE_FAILURES {
            return Duration::ZERO;
        }
        if let Some(failures) = tables.addresses.get_mut(&network(address)) {
            // The wait begins when the answer is out, or it would be over by then.
            failures.last = now + LATE_ANSWER;
        }
        LATE_ANSWER
    }

    /// Notes a good login.
    pub fn succeeded(&self, address: IpAddr) {
        self.tables.lock().addresses.remove(&network(address));
    }
}

fn count<K>(table: &mut HashMap<K, Failures>, key: K, now: Duration) -> u32
where
    K: std::hash::Hash + Eq + Clone,
{
    if table.len() >= MAX_ENTRIES && !table.contains_key(&key) {
        table.retain(|_, failures| now.saturating_sub(failures.last) < FORGET_AFTER);
        if table.len() >= MAX_ENTRIES {
            let stalest = table.iter().min_by_key(|(_, failures)| failures.last);
            if let Some(stalest) = stalest.map(|(key, _)| key.clone()) {
                table.remove(&stalest);
            }
        }
    }
    let failures = table.entry(key).or_default();
    if now.saturating_sub(failures.last) >= FORGET_AFTER {
        failures.count = 0;
    }
    failures.count = failures.count.saturating_add(1);
    failures.last = now;
    failures.count
}

/// Someone with an IPv6 address has a whole /64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::base::clock::Clock;

    #[derive(Debug, Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now_us(&self) -> i64 {
            0
        }

        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn an_address_waits_longer_with_each_failure_and_others_do_not() {
        let clock = Arc::new(Hand::default());
        let brake = Backoff::new(Arc::clone(&clock) as ClockRef);
        let (bad, good) = ("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap());
        for _ in 0..REFUSED_AFTER {
            assert!(brake.wait(bad).is_none());
            brake.failed(bad, "ada");
        }
        assert_eq!(brake.wait(bad), Some(LATE_ANSWER + FIRST_WAIT));
        assert_eq!(brake.failed(bad, "ada"), LATE_ANSWER);
        assert_eq!(brake.wait(bad), Some(LATE_ANSWER + FIRST_WAIT * 2));
        assert_eq!(brake.wait(good), None);
        clock.0.store(3_000, Ordering::Relaxed);
        assert_eq!(brake.wait(bad), None);
        for _ in 0..100 {
            brake.failed(bad, "ada");
        }
        assert_eq!(brake.wait(bad), Some(LATE_ANSWER + LONGEST_WAIT));
        brake.succeeded(bad);
        assert_eq!(brake.wait(bad), None);
    }

    #[test]
    fn a_whole_ipv6_network_counts_as_one_and_tables_stay_bounded() {
        let brake = Backoff::new(Arc::new(Hand::default()));
        for n in 0..20 {
            brake.failed(format!("2001:db8::{n}").parse().unwrap(), "ada");
        }
        assert!(brake.wait("2001:db8::ffff".parse().unwrap()).is_some());
        for n in 0..20_000_u32 {
            brake.failed(IpAddr::V4(n.into()), &n.to_string());
        }
        let tables = brake.tables.lock();
        assert!(tables.addresses.len() <= MAX_ENTRIES && tables.users.len() <= MAX_ENTRIES);
    }
}
