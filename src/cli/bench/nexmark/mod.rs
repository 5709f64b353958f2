//! `lotic bench nexmark`: the auction site of the Nexmark benchmark, its events and its queries.
//!
//! `generator` makes people, auctions and bids in the published proportions, `query` holds the SQL of
//! q0 to q22, `measure` sends the events through the log into one query's model, and `report` says how
//! fast that was and what it took.

mod command;
mod generator;
mod measure;
mod query;
mod report;

#[cfg(test)]
mod tests;

pub(super) use self::command::{NexmarkArgs, run};
