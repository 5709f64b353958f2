//! Random queries against the laws of [`super::sql_laws`]: what is maintained must be what batch answers.
//!
//! One case is one seed: it makes a query over the tables of `tests/plans/schema.sql` and the random changes
//! that it is checked under. A query that both modes refuse is left out, and counted. A failing case is made
//! smaller by choosing less ([`choices`]) before it is told.
//!
//! `LOTIC_CASES=<n>` says how many cases run, `LOTIC_SEED=<seed>` which is the first:
//! `LOTIC_CASES=100000 cargo test --lib -- sql_machine --nocapture`.

mod choices;
mod expressions;
mod relations;
mod tests;
