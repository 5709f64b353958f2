//! Room for deep recursion: parsing and planning run on a large stack, whatever thread asks.
//!
//! Parsers and planners recurse, and a stack that runs out ends the process. `stacker` gives the calling
//! thread another stack for the length of a call: no queue that could fill, no second thread
//! whose death would have to be handled, and thread-local state (the runtime, tracing) stays reachable.
//! The bound on the depth itself is in `parse::guard`: this is the room that the bound needs.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The stack of a parse or plan, in bytes. Only what is touched costs memory.
pub const STACK_BYTES: usize = 64 << 20;

/// With less than this left, in bytes, a call gets a new stack; a call inside a call keeps the one it has.
const RED_ZONE: usize = 32 << 20;

/// Runs `body` with at least 32 MiB of stack.
pub fn on_big_stack<R>(body: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(RED_ZONE, STACK_BYTES, body)
}

/// A future whose every poll has the large stack.
pub struct BigStack<F>(Pin<Box<F>>);

/// Polls `future` on the large stack, for planners that are asynchronous.
pub fn poll_on_big_stack<F: Future>(future: F) -> BigStack<F> {
    BigStack(Box::pin(future))
}

impl<F: Future> Future for BigStack<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let inner = self.0.as_mut();
        on_big_stack(|| inner.poll(cx))
    }
}
