//! Random queries against the laws of [`super::sql_laws`]: what is maintained must be what batch answers.
//!
//! One case is one seed: it makes a query over the tables of [`tables`] and random epochs of changes
//! to them ([`changes`]). The query is maintained under them and compared with batch after every epoch ([`run`]), under another split and
//! order or as one first load, and while everything is taken back again, which must leave no state. A query that batch
//! and models refuse is counted. A failing case is made smaller, the query by choosing less ([`choices`]) and the changes by leaving some
//! out, and is told as a sqllogictest file ([`slt`]).
//!
//! Beside it the same generator is held to itself: [`partitions`] and [`replay`]; and to PostgreSQL.
//!
//! `LOTIC_CASES=<n>` says how many cases run, `LOTIC_SEED=<seed>` which is the first, `LOTIC_JOBS=<n>` on how many threads, and
//! `LOTIC_FOUND=<folder>` where the files go; with `LOTIC_CASES=1` the plans are printed, of the query `LOTIC_SQL` where it is given:
//! `LOTIC_CASES=100000 cargo test --lib -- sql_machine --nocapture`.

mod aggregates;
mod bench;
mod changes;
mod choices;
mod expressions;
mod generator;
mod kinds;
mod live;
mod parallel;
mod partitions;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "../../../tests/it/postgres_server.rs"]
mod postgres_server;
mod queries;
mod relations;
mod replay;
mod run;
mod slt;
mod subqueries;
mod tables;
mod tests;
mod windows;
