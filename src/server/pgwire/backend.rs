//! What the wire needs from the engine, as two traits, so that it can be served and tested apart.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::stream::BoxStream;

use crate::base::Result;
use crate::security::Users;

/// An engine that gives out sessions.
pub trait Backend: Send + Sync + 'static {
    /// One client's conversation with the engine.
    type Session: BackendSession;

    /// Who may log in.
    fn users(&self) -> &Users;

    /// A session for a user who has proved to be `user`, connected to `database`.
    ///
    /// # Errors
    /// When there is no such database, or the engine is closing.
    fn session(&self, user: &str, database: &str) -> Result<Self::Session>;
}

/// One session. Owned by its connection; dropped when the connection ends, at any moment.
#[async_trait]
pub trait BackendSession: Send + 'static {
    /// One statement of an input.
    type Parsed: Send + Sync + 'static;
    /// A planned statement.
    type Prepared: Send + Sync + 'static;

    /// Cuts SQL text into statements. No statement at all is an empty query.
    ///
    /// # Errors
    /// When the text does not parse.
    fn parse(&self, sql: &str) -> Result<Vec<Self::Parsed>>;

    /// Plans a statement. `hints` are the parameter types that the client declared, by position.
    ///
    /// # Errors
    /// When it cannot be planned.
    async fn prepare(
        &mut self,
        parsed: Self::Parsed,
        hints: &[Option<DataType>],
    ) -> Result<Self::Prepared>;

    /// The types of the parameters, and of the rows if the statement returns any.
    fn describe<'a>(&self, prepared: &'a Self::Prepared)
    -> (&'a [DataType], Option<&'a SchemaRef>);

    /// Runs a statement. A stream of rows in the answer is polled later, ends with an error when
    /// cancelled, and outlives further calls on the session.
    ///
    /// # Errors
    /// When it fails.
    async fn execute(
        &mut self,
        prepared: &Self::Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Response>;

    /// Ends the statement that runs, from any thread.
    fn canceller(&self) -> Canceller;

    /// The notices since the last call.
    fn take_notices(&mut self) -> Vec<Notice>;

    /// Whether a transaction block is open.
    fn transaction_status(&self) -> TransactionStatus;

    /// The settings that changed since the last call, by their reported names.
    fn parameter_changes(&mut self) -> Vec<(String, String)>;

    /// A setting from the start-up packet (`TimeZone`, `application_name`, ...). By default ignored.
    ///
    /// # Errors
    /// When the value is unfit; the connection is refused with it.
    fn start_parameter(&mut self, _name: &str, _value: &str) -> Result<()> {
        Ok(())
    }
}

/// Ends what runs in a session.
pub type Canceller = Arc<dyn Fn() + Send + Sync>;

/// What a statement gives.
pub enum Response {
    /// Rows. `tag` is the command, without a count.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The rows.
        stream: SendableRecordBatchStream,
        /// `SELECT`, `FETCH`, `SHOW`, ...
        tag: &'static str,
    },
    /// No rows; the whole tag, as in `INSERT 0 5`.
    Done {
        /// The tag.
        tag: String,
    },
    /// The client shall send rows now.
    CopyIn(Box<dyn CopyTarget>),
    /// Bytes of a COPY TO STDOUT.
    CopyOut {
        /// The bytes, in pieces; a piece is sent as one message.
        stream: BoxStream<'static, Result<Bytes>>,
        /// How many columns a row has.
        columns: usize,
        /// Whether the format is binary.
        binary: bool,
        /// How many rows the stream has given so far, for the tag. Without it lines are counted,
        /// which takes a line break inside a quoted CSV value for the end of a row.
        rows: Option<Arc<AtomicU64>>,
    },
    /// The statement was empty.
    Empty,
}

/// Where the bytes of a COPY FROM STDIN go. Dropped without [`CopyTarget::finish`]: nothing is kept.
#[async_trait]
pub trait CopyTarget: Send {
    /// How many columns a row has.
    fn columns(&self) -> usize;

    /// Takes the next bytes; they may end inside a row.
    ///
    /// # Errors
    /// When they are malformed or there is no room.
    async fn push(&mut self, bytes: Bytes) -> Result<()>;

    /// Commits; gives the tag, as in `COPY 7`.
    ///
    /// # Errors
    /// When the rows cannot be kept; then none is.
    async fn finish(self: Box<Self>) -> Result<String>;
}

/// Something the user should know, beside the answer.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `NOTICE`, `WARNING`, `INFO`, ...
    pub severity: &'static str,
    /// SQLSTATE.
    pub code: &'static str,
    /// The text.
    pub message: String,
}

/// The state that ReadyForQuery reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No transaction block.
    Idle,
    /// In a block.
    InTransaction,
    /// In a block that failed: only its end is accepted.
    Failed,
}
