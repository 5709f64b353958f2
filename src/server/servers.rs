//! The running servers of one engine, and how they stop.

use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::http;
use super::pgwire::lotic::Engine;
use super::pgwire::{Login, Options, Server};
use super::tls::Tls;
use crate::base::{Result, task};
use crate::runtime::Lotic;

/// How long running statements may take to end when the server stops.
const PATIENCE: Duration = Duration::from_secs(10);

/// The running servers.
pub struct Servers {
    pg: Server,
    http: CancellationToken,
}

/// Serves PostgreSQL clients on `listener`.
///
/// # Errors
/// When the options contradict themselves.
pub fn start_pg(
    lotic: &Arc<Lotic>,
    listener: TcpListener,
    tls: Option<Tls>,
    trust: bool,
) -> Result<Servers> {
    let login = if trust {
        Login::TrustLoopback
    } else {
        Login::Scram
    };
    let options = Options {
        tls,
        login,
        ..Options::default()
    };
    let (clock, rng) = lotic.seams();
    let pg = Server::start(
        listener,
        Engine::new(Arc::clone(lotic)),
        options,
        clock,
        rng,
    )?;
    Ok(Servers {
        pg,
        http: CancellationToken::new(),
    })
}

impl Servers {
    /// Serves HTTP clients on `listener` too.
    ///
    /// # Errors
    /// Never today; a server with TLS may.
    pub fn add_http(&mut self, lotic: &Arc<Lotic>, listener: TcpListener) -> Result<()> {
        let router = http::router(Arc::clone(lotic));
        let stopping = self.http.clone();
        task::spawn("http", async move {
            let server =
                axum::serve(listener, router).with_graceful_shutdown(stopping.cancelled_owned());
            if let Err(error) = server.await {
                tracing::error!(%error, "the HTTP server ended");
            }
        });
        Ok(())
    }

    /// Stops accepting, says goodbye to idle clients and waits for running statements.
    pub async fn stop(self) {
        self.http.cancel();
        self.pg.shutdown(PATIENCE).await;
    }
}
