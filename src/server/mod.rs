//! What clients talk to: the PostgreSQL wire and the TLS under it.

pub mod pgwire;
pub mod tls;
