//! Z-sets over Arrow: rows with weights, and the few pure operations that every layer needs.
//!
//! No async, no files, no clock. Two rows are equal when SQL's DISTINCT would merge them: NULL
//! equals NULL, NaN equals NaN, and -0.0 equals 0.0 (`canonical` makes those one bit pattern, so
//! that everything behind it may compare bits).

mod buffers;
pub mod canonical;
pub mod consolidate;
mod delta;
pub mod encode;
pub mod equal;
pub mod hash;
pub mod order;
mod size;

#[cfg(test)]
mod tests;

pub use consolidate::{Merged, WHOLE_ROWS, consolidate, differences, gather, merge, net};
pub use delta::{Delta, Weights, batch_of};
pub use size::own_bytes;
