//! The way back to the machine for memory that nothing uses.
//!
//! An allocator keeps what was freed, each thread a part of its own, and gives it back while it goes on allocating: a
//! process that rests after it has let go of much keeps all of it. Only the binary knows its allocator, so it brings the
//! function that makes one thread give back what it keeps.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static COLLECT: OnceLock<fn()> = OnceLock::new();
/// How often memory was given back.
static TIMES: AtomicU64 = AtomicU64::new(0);

thread_local! {
    /// Of these times, how many this thread has heard of.
    static HEARD: Cell<u64> = const { Cell::new(0) };
}

/// Names the function that gives back what the thread that calls it keeps. The first one counts.
pub fn set_collector(collect: fn()) {
    COLLECT.get_or_init(|| collect);
}

/// Gives back what this thread keeps, and lets those of the pool do so between their tasks. Takes some milliseconds, and
/// what was given back costs as much again when it is needed: nothing for every step.
pub fn give_back() {
    if let Some(collect) = COLLECT.get() {
        TIMES.fetch_add(1, Ordering::Relaxed);
        rayon::spawn_broadcast(|_| collect());
        collect();
    }
}

/// For a thread that is about to wait: gives back what it keeps if others have done so since it last waited.
pub fn before_waiting() {
    let times = TIMES.load(Ordering::Relaxed);
    if HEARD.replace(times) != times
        && let Some(collect) = COLLECT.get()
    {
        collect();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{before_waiting, give_back, set_collector};

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn this_thread_the_pool_and_threads_that_wait_give_back() {
        set_collector(|| {
            CALLS.fetch_add(1, Ordering::SeqCst);
        });
        give_back();
        // a broadcast that waits comes behind the one that does not
        rayon::broadcast(|_| ());
        assert_eq!(
            CALLS.load(Ordering::SeqCst),
            1 + rayon::current_num_threads()
        );
        let waiting = crate::base::task::thread("waiting", || {
            let before = CALLS.load(Ordering::SeqCst);
            before_waiting();
            before_waiting();
            let calls = CALLS.load(Ordering::SeqCst) - before;
            assert_eq!(calls, 1, "a thread that waits does so once");
        });
        waiting.unwrap().join().unwrap();
    }
}
