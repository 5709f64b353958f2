//! Topics: an encrypted, partitioned log of opaque bytes.
//!
//! A group of records goes from [`Topic::append`] into the topic's queue. A committer of the pool
//! takes what waits there as one window, packs each partition's records into frames, seals, writes,
//! syncs once a file, and then tells the owners. [`Topic::read`] walks over the frames of a
//! partition, segment by segment, and hands the records out. At start `recover` examines what a
//! crash may have left.
//!
//! ```text
//! DATA/topics/<topic>/topic             sealed: what the topic is, and its wrapped key
//! DATA/topics/<topic>/bounds            sealed: how far the partitions are known to reach
//! DATA/topics/<topic>/<partition>/<base offset, 20 digits>.seg
//! ```
//!
//! `format` holds the bytes of a segment, `recover` the rule that tells a torn tail from damage.
//!
//! What must not exist here: a schema, a second try of a sync that failed, an append to a file that
//! was found at start.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used
)]

mod bounds;
mod chunk;
mod commit;
mod core;
mod fatal;
mod format;
mod log;
mod pool;
mod reader;
mod recover;
mod retention;
mod scan;
mod segment;
mod spec;
mod topic;

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may panic"
)]
mod tests;

pub use self::log::Log;
pub use self::reader::Reader;
pub use self::spec::{
    Appended, Durability, LogOptions, MAX_RECORD_BYTES, Payload, ReadRecord, Record, Retention,
    TopicSpec,
};
pub use self::topic::Topic;
