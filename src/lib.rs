//! Lotic: stream-batch SQL on Apache DataFusion.
//!
//! The modules stand in the order of the data: what everything speaks first, then how rows are
//! kept, moved, computed and served. `ARCHITECTURE.md` holds the picture and the import table.

pub mod base;
pub mod zset;

pub mod catalog;
pub mod crypto;

pub mod security;
pub mod state;
pub mod transport;

pub mod engine;

pub mod models;
pub mod planner;
pub mod sinks;
pub mod sources;

pub mod runtime;

pub mod server;

pub mod cli;

#[cfg(any(test, feature = "testing"))]
pub mod testing;
