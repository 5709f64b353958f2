//! The engine in this process: a Lotic in memory for each session, behind its own wire, so that
//! values are compared as the text that clients see.

use std::sync::Arc;

use async_trait::async_trait;
use lotic::runtime::{Lotic, Options};
use lotic::server::{Servers, listen, start_pg};
use tokio_postgres::{Client, NoTls};

use super::host::{Host, output, sql_error};
use super::session::{Output, Session, SqlError};

/// Opens engines.
pub(crate) struct Engine;

struct Running {
    client: Client,
    lotic: Arc<Lotic>,
    servers: Option<Servers>,
}

fn failed(error: &lotic::base::Error) -> SqlError {
    SqlError {
        sqlstate: error.code().to_owned(),
        message: error.message().to_owned(),
    }
}

#[async_trait]
impl Host for Engine {
    fn engine(&self) -> &'static str {
        "lotic"
    }

    async fn open(&self) -> Result<Box<dyn Session>, SqlError> {
        let lotic = Lotic::open(Options::default())
            .await
            .map_err(|e| failed(&e))?;
        let listener = listen(([127, 0, 0, 1], 0).into()).map_err(|e| failed(&e))?;
        let port = listener
            .local_addr()
            .expect("a bound socket has an address")
            .port();
        let servers = start_pg(&lotic, listener, None, true).map_err(|e| failed(&e))?;
        let url = format!("host=127.0.0.1 port={port} user=lotic dbname=lotic");
        let (client, connection) = tokio_postgres::connect(&url, NoTls)
            .await
            .map_err(sql_error)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's connection, outside of the engine"
        )]
        let task = tokio::spawn(connection);
        drop(task);
        Ok(Box::new(Running {
            client,
            lotic,
            servers: Some(servers),
        }))
    }
}

#[async_trait]
impl Session for Running {
    async fn run(&mut self, sql: &str) -> Result<Output, SqlError> {
        let messages = self.client.simple_query(sql).await.map_err(sql_error)?;
        Ok(output(messages))
    }

    async fn close(&mut self) {
        if let Some(servers) = self.servers.take() {
            servers.stop().await;
        }
        self.lotic.shutdown().await;
    }
}
