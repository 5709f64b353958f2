//! The wires: PostgreSQL's and HTTP. Nothing below knows who asks.

pub mod http;
pub mod pgwire;
mod servers;
pub mod tls;

pub use pgwire::server::listen;
pub use servers::{Servers, start_pg};
pub use tls::Tls;
