//! The way back to the machine for memory that nothing uses.
//!
//! An allocator keeps what was freed, each thread a part of its own, and gives it back while it goes on allocating: a
//! process that rests after it has let go of much keeps all of it. Only the binary knows its allocator, so it brings the
//! function that makes one thread give back what it keeps.

use std::sync::OnceLock;

static COLLECT: OnceLock<fn()> = OnceLock::new();

/// Names the function that gives back what the thread that calls it keeps. The first one counts.
pub fn set_collector(collect: fn()) {
    COLLECT.get_or_init(|| collect);
}

/// Gives back what this thread keeps, and lets those of the pool do so between their tasks. Takes some milliseconds, and
/// what was given back costs as much again when it is needed: nothing for every step.
pub fn give_back() {
    if let Some(collect) = COLLECT.get() {
        rayon::spawn_broadcast(|_| collect());
        collect();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{give_back, set_collector};

    static CALLS: AtomicUsize = AtomicUsize::new(0);

    #[test]
    fn this_thread_and_all_of_the_pool_give_back() {
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
    }
}
