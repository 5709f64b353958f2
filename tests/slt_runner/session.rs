//! What the runner asks of an engine.

use std::fmt;

use async_trait::async_trait;

/// A connection to an engine, with objects of its own: no other test sees them.
#[async_trait]
pub(crate) trait Session: Send {
    /// Runs one statement to its end.
    async fn run(&mut self, sql: &str) -> Result<Output, SqlError>;

    /// Returns when everything that was written before is in every materialized view.
    async fn settle(&mut self) -> Result<(), SqlError> {
        self.run("FLUSH").await.map(|_| ())
    }

    /// Does a session see its own writes in materialized views without [`Self::settle`]?
    fn reads_its_writes(&self) -> bool {
        true
    }

    /// Lets go of everything.
    async fn close(&mut self);
}

/// What a statement gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// Rows of text values as PostgreSQL's protocol sends them; `None` is NULL.
    Rows(Vec<Row>),
    /// The number of rows that a statement without rows touched.
    Done(u64),
}

/// One row.
pub(crate) type Row = Vec<Option<String>>;

/// Why a statement failed.
#[derive(Clone, Debug)]
pub(crate) struct SqlError {
    /// Five characters.
    pub(crate) sqlstate: String,
    /// The primary message.
    pub(crate) message: String,
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.sqlstate, self.message)
    }
}

impl std::error::Error for SqlError {}
