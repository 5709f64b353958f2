//! Z-sets over Arrow: rows with weights, and the few pure operations that every layer needs.
//!
//! No async, no files, no clock.

mod delta;

pub use delta::{Delta, Weights};
