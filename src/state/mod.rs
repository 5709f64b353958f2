//! Arrangements: what a stateful operator remembers.
//!
//! An [`Arrangement`] keeps different rows with a weight each and finds them by the whole row or by
//! a key. `chunks` holds the columns; the tables and the arrays a row live beside it.

mod arrangement;
mod chunks;

#[cfg(test)]
mod tests;

pub use arrangement::{Arrangement, Emit, Keys};
