//! Follows files: new files that match the address, and whole lines appended to known ones, each once.
//!
//! `follow` looks and reads; `position` is what the caller stores in one atomic group with the rows, so that
//! a restart goes on exactly where the stored rows end. There is no timing here: the caller polls.
//!
//! A file is known by its content: its first bytes and the last bytes that were read. So a file that is
//! copied back, moved to another device or renamed by a log rotation within the pattern is not read twice,
//! and a file that was replaced is read from its start.

mod follow;
mod position;

#[cfg(test)]
mod tests;

pub use follow::{Tail, TailBatch, Trouble};
pub use position::{FilePosition, TailPosition};
