//! The one way to start a thread or a task: named, and a panic is logged where it happened.

use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;

use super::{Error, Result};

/// Starts a named thread.
///
/// # Errors
/// When the system refuses another thread.
pub fn thread<F>(name: &str, body: F) -> Result<std::thread::JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    thread_with_stack(name, 8 << 20, body)
}

/// Starts a named thread with a stack of `stack_bytes`.
///
/// # Errors
/// When the system refuses another thread.
pub fn thread_with_stack<F>(
    name: &str,
    stack_bytes: usize,
    body: F,
) -> Result<std::thread::JoinHandle<()>>
where
    F: FnOnce() + Send + 'static,
{
    let owned = name.to_owned();
    std::thread::Builder::new()
        .name(name.to_owned())
        .stack_size(stack_bytes)
        .spawn(move || {
            if let Err(panic) = std::panic::catch_unwind(AssertUnwindSafe(body)) {
                tracing::error!(
                    thread = owned,
                    reason = panic_text(&panic),
                    "thread panicked"
                );
            }
        })
        .map_err(|error| Error::io(format!("start thread {name}"), &error))
}

/// Starts a named task on the current runtime. A panic in it is logged and ends that task alone.
pub fn spawn<F>(name: &'static str, future: F) -> tokio::task::JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    tokio::spawn(async move {
        if let Err(panic) = AssertUnwindSafe(future).catch_unwind().await {
            tracing::error!(task = name, reason = panic_text(&panic), "task panicked");
        }
    })
}

/// Runs `work` as a task of the current runtime and waits for it. The task goes on to its end when the caller stops
/// waiting: for what must not be left half done.
///
/// # Errors
/// Those of `work`; when it panics.
pub async fn whole<T, F>(name: &'static str, work: F) -> Result<T>
where
    T: Send + 'static,
    F: Future<Output = Result<T>> + Send + 'static,
{
    let (sender, receiver) = tokio::sync::oneshot::channel();
    spawn(name, async move {
        // Whoever waited may be gone.
        drop(sender.send(work.await));
    });
    receiver
        .await
        .unwrap_or_else(|_| Err(Error::internal(format!("task {name} ended early"))))
}

/// The text of a panic's payload.
pub fn panic_text(panic: &Box<dyn std::any::Any + Send>) -> String {
    if let Some(text) = panic.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text.clone()
    } else {
        "unknown panic".to_owned()
    }
}
