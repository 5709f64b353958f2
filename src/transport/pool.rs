//! The committers: a few threads that serve the queues of all topics.

use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::{JoinHandle, ThreadId};

use parking_lot::{Condvar, Mutex};

use super::topic::Queued;
use crate::base::Result;
use crate::base::task;

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

    fn run(&self) {
        loop {
            let mut ready = self.ready.lock();
            while ready.topics.is_empty() && !ready.closing {
                self.wake.wait(&mut ready);
            }
            let Some(topic) = ready.topics.pop_front() else {
                return;
            };
            drop(ready);
            if topic.commit_once() {
                self.push(topic);
            }
        }
    }
}
