//! The way back to the machine for memory that nothing uses.
//!
//! An allocator keeps what was freed, each thread a part of its own, and gives it back while it goes on allocating: a
//! process that rests after it has let go of much keeps all of it. Only the binary knows its allocator, so it brings the
//! function that makes one thread give back what it keeps.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Handle;

/// How long a runtime keeps a thread for blocking work that has none: it gives back what it kept when it ends, and not before.
pub const KEEP_ALIVE: Duration = Duration::from_secs(2);

static COLLECT: OnceLock<fn()> = OnceLock::new();
/// How often memory was given back.
static TIMES: AtomicU64 = AtomicU64::new(0);
/// The next number of [`WAITING`].
static NUMBERS: AtomicU64 = AtomicU64::new(0);
/// The runtimes whose threads may be waiting, each under a number of its own.
static WAITING: Mutex<Vec<(u64, Handle)>> = Mutex::new(Vec::new());

thread_local! {
    /// Of these times, how many this thread has heard of.
    static HEARD: Cell<u64> = const { Cell::new(0) };
}

/// Names the function that gives back what the thread that calls it keeps. The first one counts.
pub fn set_collector(collect: fn()) {
    COLLECT.get_or_init(|| collect);
}

/// Gives back what this thread keeps, and lets those of the pool and of the named runtimes do so between their tasks. Takes
/// some milliseconds, and what was given back costs as much again when it is needed: nothing for every step.
pub fn give_back() {
    if let Some(collect) = COLLECT.get() {
        TIMES.fetch_add(1, Ordering::Relaxed);
        rayon::spawn_broadcast(|_| collect());
        for (_, runtime) in WAITING.lock().iter() {
            // A thread takes long enough over the first that another wakes for the next.
            for _ in 0..2 * runtime.metrics().num_workers() {
                runtime.spawn(async { before_waiting() });
            }
        }
        collect();
    }
}

/// Names a runtime whose waiting threads are woken to give back what they keep, until the answer is dropped.
pub fn wake_threads_of(runtime: &Handle) -> Waking {
    let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
    WAITING.lock().push((number, runtime.clone()));
    Waking(number)
}

/// For as long as it is there, the threads of its runtime are woken.
#[derive(Debug)]
pub struct Waking(u64);

impl Drop for Waking {
    fn drop(&mut self) {
        WAITING.lock().retain(|(number, _)| *number != self.0);
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

    use super::{WAITING, before_waiting, give_back, set_collector, wake_threads_of};

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
        // threads that wait already
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_park(before_waiting)
            .build()
            .unwrap();
        let waking = wake_threads_of(runtime.handle());
        let before = CALLS.load(Ordering::SeqCst);
        give_back();
        let rest = 1 + rayon::current_num_threads();
        for _ in 0..1_000 {
            if CALLS.load(Ordering::SeqCst) > before + rest {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        assert!(CALLS.load(Ordering::SeqCst) > before + rest);
        let number = waking.0;
        drop(waking);
        assert!(!WAITING.lock().iter().any(|(named, _)| *named == number));
    }
}
