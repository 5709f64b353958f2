//! The order of joins in a model: what makes few rows comes first.
//!
//! A maintained join keeps both of its sides, and every change runs through all joins above it. DataFusion joins in the
//! order in which tables are written, and a semi join stands over all of them. Here the inner joins of one part of a plan
//! are taken apart (`graph`), and put together again from the pair that makes the fewest rows on, or from the one that
//! costs least, whichever is cheaper in the end; a semi or anti join comes as soon as it is the one that does. Rows beside
//! a table that is much smaller are not indexed before it changes, and cost little. `sizes` guesses the numbers of rows, from those of the tables at the time of
//! planning: where they are not known the plan stays as it is, and also where little is won.
//!
//! No expression that can fail on a row is moved, so that the rows that fail are the same in any order.

mod graph;
mod rule;
mod sizes;
mod tree;

#[cfg(test)]
mod tests;

pub(super) use rule::JoinOrder;
