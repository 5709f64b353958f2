//! The three laws for whole queries: random changes, maintained and in batch, must agree.
//!
//! A [`World`] is a set of tables from CREATE TABLE statements. [`check`] plans a query, feeds random
//! inserts, deletes and updates to its dataflow, and after every few steps compares the integral of the
//! output with DataFusion's answer over the integral of the input (law 1). Then the same changes go to a fresh
//! dataflow in another split and order (law 2), and at last everything is taken back (law 3).
//!
//! A failure names its seed; `LOTIC_SEED=<seed>` replays that one, `LOTIC_SEEDS=<n>` runs the first n, and
//! `LOTIC_QUERY=<words>` only the queries whose comment has these words.

#[cfg(test)]
mod closing;
#[cfg(test)]
mod memory;
mod rng;
mod rows;
mod run;
mod world;

#[cfg(test)]
mod tests;

pub use rng::{Rng, seeds};
pub use rows::{Bag, Row};
pub use run::{Subject, check};
pub use world::{Table, World};

#[cfg(test)]
pub(super) use rows::{batch, delta, row_of};
#[cfg(test)]
pub(super) use run::{Maintained, negated, resplit};
#[cfg(test)]
pub(super) use world::Changes;
