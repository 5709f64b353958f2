//! The states of aggregates: exact, independent of order, reversible; a column of states a function.
//!
//! The incremental operator and the batch functions keep the same states, so that a model and its batch query agree
//! bit for bit. [`GroupStates`] is the one shape, [`AggregateFunction`] makes the right ones. Floats are summed
//! exactly ([`float_sum`], [`superaccumulator`], and [`block`] at vector speed) and rounded once ([`round`]);
//! integers and decimals in limbs that cannot overflow ([`wide`]) and are checked when they are given. What has no
//! exact state keeps its rows ([`evaluated`]), and a group that is touched is computed anew from its own.

pub mod bits;
pub mod block;
pub mod count;
pub mod distinct;
pub mod evaluated;
pub mod extremum;
pub mod float;
pub mod float_sum;
mod function;
pub mod integer;
pub mod key;
pub mod moments;
pub mod ordered;
mod pick;
pub mod round;
mod states;
pub mod superaccumulator;
pub mod variance;
pub mod wide;

pub use bits::BitOperation;
pub use evaluated::{Evaluated, EvaluatedStates, GroupFunction, Reads};
pub use function::AggregateFunction;
pub use moments::PairMeasure;
pub use pick::{Pick, Place};
pub use states::{GroupError, GroupStates, Groups, Reading, Rows};
pub(in crate::engine) use states::{keep_at, make_room};
pub use variance::Spread;

#[cfg(test)]
mod tests;
