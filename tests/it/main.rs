//! The integration tests, one binary.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking and say what they skip"
)]

mod bad_input;
mod budget;
mod connectors;
mod damage;
mod durability;
mod flights;
mod full_disk;
mod hostile_clients;
mod serving;
mod tail;
