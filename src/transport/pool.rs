//! The committers: a few threads that serve the queues of all topics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};
use std::time::Duration;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::topic::Queued;
use crate::base::{Result, memory, task};

/// How long a committer waits for work before it gives back the buffers that it kept, if others have given theirs.
const REST: Duration = Duration::from_secs(2);

/// Topics with work, and the threads that do it.
pub(super) struct Pool {
    ready: Mutex<Ready>,
    wake: Condvar,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

#[derive(Default)]
struct Ready {
    /// A topic is here at most once.
    topics: VecDeque<Arc<Queued>>,
    closing: bool,
}

impl Pool {
    /// Starts `count` committers.
    pub(super) fn start(count: usize) -> Result<Arc<Self>> {
        let pool = Arc::new(Self {
            ready: Mutex::default(),
            wake: Condvar::new(),
            threads: Mutex::default(),
        });
        for at in 0..count.max(1) {
            let own = Arc::clone(&pool);
            let thread = task::thread(&format!("log-commit-{at}"), move || own.run())?;
            pool.threads.lock().push(thread);
        }
        Ok(pool)
    }

    /// Gives a topic with work to the committers.
    pub(super) fn push(&self, topic: Arc<Queued>) {
        self.ready.lock().topics.push_back(topic);
        self.wake.notify_one();
    }

    /// Whether the caller is a committer, who must not wait for committers.
    pub(super) fn is_committer(&self) -> bool {
        let me: ThreadId = std::thread::current().id();
        self.threads
            .lock()
            .iter()
            .any(|thread| thread.thread().id() == me)
    }

    /// Ends the committers once their work is done.
    pub(super) fn close(&self) {
        self.ready.lock().closing = true;
        self.wake.notify_all();
        if self.is_committer() {
            return;
        }
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a committer of the log had panicked");
            }
        }
    }

    /// The next topic with work; none once there is no more and the pool closes.
    fn next(&self) -> Option<Arc<Queued>> {
        let mut ready = self.ready.lock();
        let mut rested = false;
        while ready.topics.is_empty() && !ready.closing {
            if rested {
                self.wake.wait(&mut ready);
            } else if self.wake.wait_for(&mut ready, REST).timed_out() {
                rested = true;
                MutexGuard::unlocked(&mut ready, memory::before_waiting);
            }
        }
        ready.topics.pop_front()
    }

    fn run(&self) {
        loop {
            let Some(topic) = self.next() else {
                return;
            };
            if topic.commit_once() {
                self.push(topic);
            }
        }
    }
}
