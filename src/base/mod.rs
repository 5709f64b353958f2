//! What every other module speaks: identities, errors, and the seams to the outside world.
//!
//! `base` imports nothing of Lotic. The seams (`clock`, `disk`, `rng`, `task`) are the only ways to
//! time, files, randomness and threads, so that a test can own each of them.

mod bytea;
mod cancel;
pub mod clock;
pub mod copy_options;
pub mod disk;
pub mod error;
pub(crate) mod floats;
pub mod ids;
pub mod memory;
pub mod meter;
pub(crate) mod moments;
pub mod rng;
mod store_error;
pub mod task;

pub(crate) use bytea::bytea;
pub use cancel::{CancelFlag, RaiseOnDrop};
pub use error::{COPY_MARK, Error, Kind, Result};
pub use ids::{Epoch, ObjectId, Offset, PartitionId, TopicId};
pub(crate) use store_error::store_error;
