//! The wires: PostgreSQL's and HTTP. Nothing below knows who asks.

pub mod http;
pub mod pgwire;
mod servers;
mod tls;

pub use servers::{Servers, start_pg};
pub use tls::Tls;
//! What clients talk to: the PostgreSQL wire and the TLS under it.

pub mod pgwire;
pub mod tls;
