//! The PostgreSQL wire, protocol 3.0: own accept loop, own limits, streaming both ways.
//!
//! The life of a connection, in the order of the files: `server` accepts and admits, `startup` reads
//! the first packet and turns on TLS, `login` proves the user, `connection` serves messages until
//! the end: `simple`, `extended` and `copy` are the three conversations, `stream` sends rows,
//! `cancel` ends them from outside. Under these: `input` cuts the byte stream into bounded messages
//! (`budget`), `frontend` decodes them, `output` encodes answers, `encode` and `parameters` turn
//! Arrow values into PostgreSQL's and back, `types` names the types, `error` maps errors.
//!
//! Answers are written with the message types of the `pgwire` crate. Requests are not read with
//! it: its decoders trust the counts and lengths inside a message and panic on short ones, and its
//! connection loop has no cap on connections, buffers a result before sending it and allocates by
//! the client's `max_rows`. Everything that comes from outside goes through `input` and `frontend`.
//!
//! What is served is anything that implements [`backend::Backend`].

pub mod backend;
pub mod budget;
mod cancel;
mod connection;
mod copy;
pub mod encode;
mod error;
mod extended;
mod frontend;
mod input;
mod login;
pub mod lotic;
pub mod options;
mod output;
mod parameters;
mod pending;
pub mod server;
mod simple;
mod startup;
mod stream;
pub mod types;

#[cfg(test)]
mod tests;

pub use backend::{Backend, BackendSession};
pub use options::{Limits, Login, Options};
pub use server::Server;
