//! The integration tests, one binary.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skip"
)]

mod checks;
mod connectors;
mod defaults;
mod durability;
mod flights;
mod object_server;
mod remote;
mod rights;
