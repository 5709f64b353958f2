//! The integration tests, one binary.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, say what they skip, and wait for their own tasks"
)]

mod asking;
mod bad_input;
mod budget;
mod builds;
mod checks;
mod connectors;
mod consistency;
mod damage;
mod defaults;
mod durability;
mod flights;
mod full_disk;
mod hostile_clients;
mod indexes;
mod object_server;
mod parquet;
mod postgres_server;
mod remote;
mod rights;
mod row_errors;
mod server_process;
mod serving;
mod tail;
mod temporal;
mod watermarks;
