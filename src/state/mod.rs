//! Arrangements: what a stateful operator remembers.
//!
//! An [`Arrangement`] keeps different rows with a weight each and finds them by the whole row or by
//! a key. A [`Keyed`] finds them by key alone, and takes rows in without looking for equal ones. `chunks` holds
//! the columns; the tables and the arrays a row live beside it. An [`Ordered`] keeps them in a total order, for
//! operators that ask which rows stand around one. A [`Sorted`] keeps them in groups, each in order, for operators that
//! ask which rows of a group come first. [`ByNumbers`] finds the slots of a [`Keyed`] by what numbers they have, for joins that
//! compare. `together` looks many keys up at once.

mod against;
mod arrangement;
mod blocks;
mod by_numbers;
mod chains;
mod changes;
mod chunks;
mod keyed;
mod ordered;
mod pairs;
mod places;
mod renumber;
mod search;
mod slot_weights;
mod sorted;
mod together;

#[cfg(test)]
mod tests;

pub use against::{Against, Peers};
pub use arrangement::{Arrangement, Keys};
pub use blocks::Place;
pub use by_numbers::{ByNumbers, Window};
pub use changes::SlotChanges;
pub use keyed::Keyed;
pub use ordered::{Change, OrderKey, Ordered, OrderedRows, Standing};
pub use pairs::{Emit, Pairs};
pub use sorted::{Arrival, Run, Sorted};
