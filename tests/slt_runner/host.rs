//! Where the tests run: who opens a [`Session`] for a file.

use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

use super::session::{Output, Row, Session, SqlError};

/// Opens sessions, each in a world of its own.
#[async_trait]
pub(crate) trait Host: Send + Sync {
    /// The word after `onlyif` and `skipif`.
    fn engine(&self) -> &'static str;

    /// A session for one file.
    async fn open(&self) -> Result<Box<dyn Session>, SqlError>;
}

/// The host of this run.
/// The engine in this process, or the PostgreSQL server at `LOTIC_SLT_URL`, against which the
/// expected answers were made.
pub(crate) fn choose() -> Option<Box<dyn Host>> {
    Some(match std::env::var("LOTIC_SLT_URL") {
        Ok(url) => Box::new(Server { url }),
        Err(_) => Box::new(super::engine::Engine),
    })
}

/// A server that is already there, reached by PostgreSQL's protocol.
struct Server {
    url: String,
}

/// Schemas of this process so far.
static SCHEMAS: AtomicU32 = AtomicU32::new(0);

#[async_trait]
impl Host for Server {
    fn engine(&self) -> &'static str {
        "postgresql"
    }

    async fn open(&self) -> Result<Box<dyn Session>, SqlError> {
        let (client, connection) = tokio_postgres::connect(&self.url, NoTls)
            .await
            .map_err(sql_error)?;
        #[expect(
            clippy::disallowed_methods,
            reason = "a test's connection, outside of the engine"
        )]
        let task = tokio::spawn(connection);
        drop(task);
        let number = SCHEMAS.fetch_add(1, Ordering::Relaxed);
        let schema = format!("slt_{}_{number}", std::process::id());
        let mut session = Connection {
            client,
            schema,
            models: Vec::new(),
        };
        for sql in ["CREATE SCHEMA", "SET search_path TO"] {
            session.run(&format!("{sql} {}", session.schema)).await?;
        }
        Ok(Box::new(session))
    }
}

/// A connection to PostgreSQL, which has to be told to refresh its materialized views.
struct Connection {
    client: Client,
    schema: String,
    models: Vec<String>,
}

#[async_trait]
impl Session for Connection {
    async fn run(&mut self, sql: &str) -> Result<Output, SqlError> {
        let messages = self.client.simple_query(sql).await.map_err(sql_error)?;
        let words: Vec<&str> = sql.split_whitespace().take(4).collect();
        if let [verb, kind, "VIEW", name] = words[..] {
            match (verb, kind) {
                ("CREATE", "MATERIALIZED") => self.models.push(bare(name)),
                ("DROP", "MATERIALIZED") => self.models.retain(|model| *model != bare(name)),
                _ => {}
            }
        }
        Ok(output(messages))
    }

    async fn settle(&mut self) -> Result<(), SqlError> {
        for model in self.models.clone() {
            self.run(&format!("REFRESH MATERIALIZED VIEW {model}"))
                .await?;
        }
        Ok(())
    }

    fn reads_its_writes(&self) -> bool {
        false
    }

    async fn close(&mut self) {
        // A schema that stays behind disturbs nobody: its name holds this process and a number.
        let sql = format!("DROP SCHEMA {} CASCADE", self.schema);
        drop(self.client.simple_query(&sql).await);
    }
}

/// A view's name without the list of its columns.
fn bare(name: &str) -> String {
    name.split('(').next().unwrap_or(name).to_owned()
}

/// The output of simple-query messages: text values.
pub(crate) fn output(messages: Vec<SimpleQueryMessage>) -> Output {
    let mut rows: Option<Vec<Row>> = None;
    let mut touched = 0;
    for message in messages {
        match message {
            SimpleQueryMessage::RowDescription(_) => {
                rows.get_or_insert_default();
            }
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len())
                    .map(|k| row.get(k).map(str::to_owned))
                    .collect();
                rows.get_or_insert_default().push(values);
            }
            SimpleQueryMessage::CommandComplete(count) => touched = count,
            _ => {}
        }
    }
    rows.map_or(Output::Done(touched), Output::Rows)
}

/// A client's error as the runner takes it.
#[expect(
    clippy::needless_pass_by_value,
    reason = "the shape that map_err wants"
)]
pub(crate) fn sql_error(error: tokio_postgres::Error) -> SqlError {
    let (sqlstate, message) = error.as_db_error().map_or_else(
        || ("08006".to_owned(), error.to_string()),
        |db| (db.code().code().to_owned(), db.message().to_owned()),
    );
    SqlError { sqlstate, message }
}
