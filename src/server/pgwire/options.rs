//! The limits of the wire, and who is let in how.

use std::time::Duration;

use crate::server::tls::Tls;

/// How the server is set up. Every field has a default fit for production.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificate and key; none means clear text only.
    pub tls: Option<Tls>,
    /// Refuse clear text (it needs `tls`).
    pub require_tls: bool,
    /// How users prove themselves.
    pub login: Login,
    /// The limits.
    pub limits: Limits,
}

/// How users prove themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// SCRAM-SHA-256, always.
    #[default]
    Scram,
    /// Every login that comes from this machine is accepted without a password; others use SCRAM.
    TrustLoopback,
}

/// What a client may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sessions at once.
    pub connections: usize,
    /// Of these, kept for superusers.
    pub reserved: usize,
    /// Sockets at once that have not logged in. Over it, the one that has got least far is closed.
    pub pending: usize,
    /// From accept to the end of login.
    pub startup_deadline: Duration,
    /// From the first byte of a message to its last, plus a second a MiB.
    pub message_deadline: Duration,
    /// How long the client may read nothing while there is something to send.
    pub stall_deadline: Duration,
    /// The longest start-up packet, in bytes.
    pub startup_bytes: usize,
    /// The longest message after login, in bytes.
    pub message_bytes: usize,
    /// Bytes of received messages held at once over all connections.
    pub buffered_bytes: usize,
    /// Prepared statements a connection.
    pub statements: usize,
    /// SQL text kept by the prepared statements of a connection, in bytes.
    pub statement_bytes: usize,
    /// Open portals a connection.
    pub portals: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 200,
            reserved: 10,
            pending: 600,
            startup_deadline: Duration::from_secs(10),
            message_deadline: Duration::from_secs(30),
            stall_deadline: Duration::from_secs(300),
            startup_bytes: 10_000,
            message_bytes: 64 << 20,
            buffered_bytes: 512 << 20,
            statements: 4_096,
            statement_bytes: 32 << 20,
            portals: 1_024,
        }
    }
}
