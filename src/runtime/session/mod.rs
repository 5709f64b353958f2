//! One client's conversation: settings, transaction, cursors, and the dispatch of statements.

mod copy;
mod cursor;
mod define;
mod explain;
mod show;
mod transaction;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, SchemaRef};
use bytes::Bytes;
use datafusion::common::{ParamValues, ScalarValue};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use sqlparser::ast;
use tokio::sync::oneshot;

pub use self::copy::CopyIn;
use self::cursor::Cursor;
use self::transaction::Transaction;
use super::dml::Written;
use super::instance::Lotic;
use super::plan::{Planned, Planner, Purpose};
use super::settings::Settings;
use super::stream::{Canceller, guarded, run_on};
use super::world::World;
use crate::base::{CancelFlag, Epoch, Error, Kind, ObjectId, Result};
use crate::planner::context::make_cancellable;
use crate::planner::parse::{self, Parsed, Statement};
use crate::planner::prepass;

/// What a statement gives.
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, on its way to the wire"
)]
pub enum Response {
    /// Rows.
    Rows {
        /// Their columns.
        schema: SchemaRef,
        /// The rows. It ends with an error when the statement is cancelled or takes too long.
        stream: SendableRecordBatchStream,
        /// The command, without a count.
        tag: &'static str,
    },
    /// No rows; the whole tag, as in `INSERT 0 5`.
    Done {
        /// The tag.
        tag: String,
    },
    /// The client shall send rows now.
    CopyIn(CopyIn),
    /// Bytes of COPY TO STDOUT.
    CopyOut {
        /// The bytes, in pieces.
        stream: BoxStream<'static, Result<Bytes>>,
        /// How many columns a row has.
        columns: usize,
        /// Whether the format is binary.
        binary: bool,
    },
    /// The statement was empty.
    Empty,
}

/// Something the user should know, beside the answer.
#[derive(Clone, Debug)]
pub struct Notice {
    /// `NOTICE`, `WARNING`.
    pub severity: &'static str,
    /// SQLSTATE.
    pub code: &'static str,
    /// The text.
    pub message: String,
}

/// Whether a transaction block is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionStatus {
    /// No block.
    Idle,
    /// In a block.
    InTransaction,
    /// In a block that failed: only its end is accepted.
    Failed,
}

/// A statement that is ready to run.
#[derive(Clone, Debug)]
pub struct Prepared {
    parsed: Parsed,
    /// The types of `$1`, `$2`, ...
    pub parameters: Vec<DataType>,
    /// The columns of its rows; none where it returns no rows.
    pub schema: Option<SchemaRef>,
}

/// One client's conversation with the engine.
pub struct Session {
    lotic: Arc<Lotic>,
    user: String,
    settings: Settings,
    canceller: Canceller,
    /// Whether the statement that runs has been cancelled, or has changed definitions for good.
    stop: CancelFlag,
    notices: Vec<Notice>,
    transaction: Arc<Mutex<Transaction>>,
    pinned: Option<Arc<World>>,
    unseen: Arc<Mutex<Vec<oneshot::Receiver<Result<Epoch>>>>>,
    cursors: BTreeMap<String, Cursor>,
    /// Whether its statements come from a client.
    is_client: bool,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Session {
    pub(crate) fn new(lotic: Arc<Lotic>, user: &str, is_client: bool) -> Self {
        let mut settings = Settings::default();
        // a name is always fit for this setting
        drop(settings.set("session_authorization", user));
        settings.take_reports();
        Self {
            lotic,
            user: user.to_owned(),
            settings,
            canceller: Canceller::default(),
            stop: CancelFlag::new(),
            notices: Vec::new(),
            transaction: Arc::default(),
            pinned: None,
            unseen: Arc::default(),
            cursors: BTreeMap::new(),
            is_client,
        }
    }

    /// The user.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Cuts SQL text into statements.
    ///
    /// # Errors
    /// When it does not parse.
    pub fn parse(&self, sql: &str) -> Result<Vec<Parsed>> {
        parse::parse(sql)
    }

    /// Ends the statement that runs, from anywhere.
    pub fn canceller(&self) -> Canceller {
        self.canceller.clone()
    }

    /// The notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// Whether a transaction block is open.
    pub fn transaction_status(&self) -> TransactionStatus {
        self.transaction.lock().status
    }

    /// Settings that changed and that clients are told of.
    pub fn parameter_changes(&mut self) -> Vec<(String, String)> {
        self.settings.take_reports()
    }

    /// A setting of the start-up packet. One that Lotic does not know is ignored, as a client sends
    /// what its own PostgreSQL would take.
    pub fn start_parameter(&mut self, name: &str, value: &str) {
        if let Err(error) = self.settings.set(name, value) {
            tracing::debug!(name, %error, "start-up parameter ignored");
        }
    }

    /// Runs all statements of `sql`, one after the other, and gives the rows of each.
    ///
    /// For callers that want everything in memory: the command line, tests.
    ///
    /// # Errors
    /// The first error; what ran before it stays done.
    pub async fn run(&mut self, sql: &str) -> Result<Vec<(SchemaRef, Vec<RecordBatch>, String)>> {
        use futures::TryStreamExt;
        let mut answers = Vec::new();
        for parsed in self.parse(sql)? {
            let prepared = self.prepare(parsed, &[]).await?;
            match self.execute(&prepared, &[]).await? {
                Response::Rows {
                    schema,
                    stream,
                    tag,
                } => {
                    let batches: Vec<RecordBatch> = stream.try_collect().await?;
                    answers.push((schema, batches, tag.to_owned()));
                }
                Response::Done { tag } => {
                    answers.push((Arc::new(Schema::empty()), Vec::new(), tag));
                }
                Response::Empty => {}
                Response::CopyIn(_) | Response::CopyOut { .. } => {
                    return Err(Error::unsupported(
                        "COPY needs a client that speaks its protocol",
                    ));
                }
            }
        }
        Ok(answers)
    }

    /// Waits until everything that this session has written is visible.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn settle(&mut self) -> Result<()> {
        self.world().await.map(drop)
    }

    /// Plans a statement for its parameters and columns. `hints` are the types that the client
    /// declared.
    ///
    /// # Errors
    /// When it cannot be planned.
    pub async fn prepare(
        &mut self,
        parsed: Parsed,
        hints: &[Option<DataType>],
    ) -> Result<Prepared> {
        let (parameters, schema) = match &parsed.statement {
            Statement::Query(query) => {
                let planned = self.plan(query.as_ref().clone()).await?;
                let schema = planned.analysed_schema()?;
                (parameters_of(&planned, hints)?, Some(schema))
            }
            Statement::Insert(insert) => (
                self.insert_parameters(&insert.table.name, &insert.columns, &insert.source, hints)
                    .await?,
                None,
            ),
            Statement::Update(_) | Statement::Delete(_) => (
                hints
                    .iter()
                    .map(|hint| hint.clone().unwrap_or(DataType::Utf8))
                    .collect(),
                None,
            ),
            other => (Vec::new(), self.fixed_schema(other).await?),
        };
        Ok(Prepared {
            parsed,
            parameters,
            schema,
        })
    }

    /// Runs a statement.
    ///
    /// # Errors
    /// When it fails. In a transaction block only its end is accepted then.
    pub async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        let ends = matches!(
            prepared.parsed.statement,
            Statement::Commit | Statement::Rollback
        );
        if self.transaction_status() == TransactionStatus::Failed && !ends {
            return Err(Error::new(
                Kind::Invalid,
                "25P02",
                "current transaction is aborted, commands ignored until end of transaction block",
            ));
        }
        let token = self.canceller.begin();
        let limit = self.statement_limit();
        let stop = self.begin_statement();
        let dispatched = Box::pin(self.dispatch(prepared, parameters));
        let outcome = guarded(&token, limit, &stop, dispatched).await;
        if outcome.is_err() {
            self.transaction.lock().fail();
        }
        outcome
    }

    /// The statement that comes has neither been cancelled nor taken effect.
    pub(crate) fn begin_statement(&mut self) -> CancelFlag {
        self.stop = CancelFlag::new();
        self.stop.clone()
    }

    async fn dispatch(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        match &prepared.parsed.statement {
            Statement::Empty => Ok(Response::Empty),
            Statement::Query(query) => self.select(query.as_ref().clone(), parameters).await,
            Statement::Insert(_) | Statement::Update(_) | Statement::Delete(_) => {
                self.change(&prepared.parsed.statement, parameters).await
            }
            Statement::Truncate(names) => {
                for name in names {
                    let written = Arc::clone(&self.lotic)
                        .delete(&name.name, None, None, &[])
                        .await?;
                    self.note(written);
                }
                done("TRUNCATE TABLE")
            }
            Statement::CopyFrom(copy) => self.copy_in(copy).await,
            Statement::CopyTo(copy) => self.copy_out(copy).await,
            Statement::Set { name, value, .. } => self.set(name, value),
            Statement::SetTransaction => done("SET"),
            Statement::Reset { name } => {
                self.settings.reset(name.as_deref())?;
                done("RESET")
            }
            Statement::Show(show) => self.show(show),
            Statement::Describe(name) => self.describe(name),
            Statement::Explain(explain) => self.explain(explain).await,
            Statement::Flush => {
                self.lotic.driver().flush().await?;
                done("FLUSH")
            }
            Statement::CheckMaterializedView(name) => self.check(Some(&name.name)).await,
            Statement::CheckAll => self.check(None).await,
            Statement::Refresh(name) => {
                let (added, removed) = self.lotic.refresh(&name.name).await?;
                self.notice(
                    "00000",
                    format!("{added} rows added, {removed} rows taken away"),
                );
                done("REFRESH")
            }
            Statement::Begin { .. } => self.begin(),
            Statement::Commit => self.commit().await,
            Statement::Rollback => self.rollback(),
            Statement::Declare(declare) => self.declare(declare).await,
            Statement::Fetch(fetch) => self.fetch(fetch).await,
            Statement::Close(name) => self.close(name.as_deref()),
            Statement::Discard(word) => self.discard(word),
            Statement::Deallocate(_) => done("DEALLOCATE"),
            Statement::Unlisten => done("UNLISTEN"),
            definition => Box::pin(self.define(definition, &prepared.parsed.text, None)).await,
        }
    }

    /// Waits until this session's own writes are visible, and gives the world to read.
    async fn world(&mut self) -> Result<Arc<World>> {
        if let Some(world) = &self.pinned {
            return Ok(Arc::clone(world));
        }
        if self.settings.read_after_write() {
            let unseen = std::mem::take(&mut *self.unseen.lock());
            for visible in unseen {
                match visible.await {
                    Ok(seen) => seen?,
                    Err(_) => return Err(Error::internal("the engine forgot a write")),
                };
            }
        }
        let world = self.lotic.world();
        if self.transaction_status() == TransactionStatus::InTransaction {
            self.pinned = Some(Arc::clone(&world));
        }
        Ok(world)
    }

    async fn plan(&mut self, query: ast::Query) -> Result<Planned> {
        let world = self.world().await?;
        Planner::new(&self.lotic, &world, Purpose::Read)
            .plan(query)
            .await
    }

    async fn select(&mut self, query: ast::Query, parameters: &[ScalarValue]) -> Result<Response> {
        let (schema, stream) = self.open(query, parameters).await?;
        Ok(Response::Rows {
            schema,
            stream,
            tag: "SELECT",
        })
    }

    /// Starts a query and gives its rows as they come.
    async fn open(
        &mut self,
        query: ast::Query,
        parameters: &[ScalarValue],
    ) -> Result<(SchemaRef, SendableRecordBatchStream)> {
        let planned = self.plan(query).await?;
        self.transaction.lock().check_reads(&planned.reads)?;
        self.warn_of(&planned.reads).await?;
        let stream = self.start(planned, parameters).await?;
        Ok((stream.schema(), stream))
    }

    async fn start(
        &mut self,
        planned: Planned,
        parameters: &[ScalarValue],
    ) -> Result<SendableRecordBatchStream> {
        let plan = if parameters.is_empty() {
            planned.plan
        } else {
            planned
                .plan
                .with_param_values(ParamValues::from(parameters.to_vec()))?
        };
        let physical = crate::planner::context::physical_plan(&planned.state, &plan).await?;
        let flag = CancelFlag::new();
        let physical = make_cancellable(physical, &flag)?;
        let stream = {
            // operators may start work when they are made, so they are made where they run
            let queries = self.lotic.queries();
            let _entered = queries.enter();
            datafusion::physical_plan::execute_stream(physical, planned.state.task_ctx())?
        };
        let token = self.canceller.begin();
        let stream = run_on(
            &self.lotic.queries(),
            stream,
            (&token, flag),
            self.statement_limit(),
        );
        let schema = prepass::restore_names(&stream.schema());
        Ok(rename(stream, &schema))
    }

    /// Warns of models whose rows are not complete.
    async fn warn_of(&mut self, reads: &std::collections::BTreeSet<ObjectId>) -> Result<()> {
        let world = self.world().await?;
        for id in reads {
            let Some(content) = world.contents.get(id) else {
                continue;
            };
            let name = world
                .catalog
                .by_id(*id)
                .map_or("?", |object| object.name.as_str());
            let failed = content.health.failed_rows.count();
            if let Some(failure) = &content.health.failure {
                self.notices.push(Notice {
                    severity: "WARNING",
                    code: "01000",
                    message: format!(
                        "model \"{name}\" has stopped and is as it was at epoch {}: {}",
                        content.health.changed,
                        failure.message()
                    ),
                });
            }
            if failed != 0 {
                self.notices.push(Notice {
                    severity: "WARNING",
                    code: "01000",
                    message: format!("{failed} rows failed in model \"{name}\" and are left out; see lotic.model_errors"),
                });
            }
        }
        Ok(())
    }

    async fn change(
        &mut self,
        statement: &Statement,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        if self.transaction_status() == TransactionStatus::InTransaction {
            return self.stage_change(statement, parameters).await;
        }
        let (verb, written) = self.write(statement, parameters).await?;
        let rows = written.rows;
        self.note(written);
        done(&format!("{verb} {rows}"))
    }

    /// Runs a writing statement now.
    async fn write(
        &mut self,
        statement: &Statement,
        parameters: &[ScalarValue],
    ) -> Result<(&'static str, Written)> {
        let lotic = Arc::clone(&self.lotic);
        match statement {
            Statement::Insert(insert) => {
                public(&insert.table)?;
                if reads_relations(&insert.source) {
                    // INSERT ... SELECT reads what the session wrote before
                    self.world().await?;
                }
                let written = lotic
                    .insert(
                        &insert.table.name,
                        &insert.columns,
                        &insert.source,
                        parameters,
                    )
                    .await?;
                Ok(("INSERT 0", written))
            }
            Statement::Update(update) => {
                public(&update.table)?;
                let written = lotic
                    .update(
                        &update.table.name,
                        update.alias.as_deref(),
                        &update.assignments,
                        update.selection.as_ref(),
                        parameters,
                    )
                    .await?;
                Ok(("UPDATE", written))
            }
            Statement::Delete(delete) => {
                public(&delete.table)?;
                let (alias, filter) = (delete.alias.as_deref(), delete.selection.as_ref());
                Ok((
                    "DELETE",
                    lotic
                        .delete(&delete.table.name, alias, filter, parameters)
                        .await?,
                ))
            }
            _ => Err(Error::internal("not a statement that changes rows")),
        }
    }

    /// Remembers a write until it is visible.
    fn note(&mut self, written: Written) {
        if let Some(receipt) = written.receipt {
            if receipt.late > 0 {
                self.notices.push(Notice {
                    severity: "WARNING",
                    code: "01000",
                    message: format!(
                        "{} rows came too late for the watermark and are in lotic.quarantine",
                        receipt.late
                    ),
                });
            }
            self.unseen.lock().push(receipt.visible);
        }
    }

    fn notice(&mut self, code: &'static str, message: String) {
        self.notices.push(Notice {
            severity: "NOTICE",
            code,
            message,
        });
    }

    fn statement_limit(&self) -> Duration {
        self.settings
            .statement_timeout()
            .unwrap_or(self.lotic.options().statement_timeout)
    }

    /// The types of an INSERT's parameters: those of the columns that they go to.
    async fn insert_parameters(
        &mut self,
        table: &str,
        columns: &[String],
        source: &ast::Query,
        hints: &[Option<DataType>],
    ) -> Result<Vec<DataType>> {
        let mut types: Vec<Option<DataType>> = hints.to_vec();
        let world = self.lotic.world();
        let object = world.catalog.get(table)?;
        let targets: Vec<usize> = if columns.is_empty() {
            (0..object.schema.fields().len()).collect()
        } else {
            columns
                .iter()
                .filter_map(|column| object.schema.index_of(column).ok())
                .collect()
        };
        if let ast::SetExpr::Values(values) = source.body.as_ref() {
            for row in &values.rows {
                for (expr, target) in row.iter().zip(&targets) {
                    let Some(index) = placeholder(expr) else {
                        continue;
                    };
                    if types.len() < index {
                        types.resize(index, None);
                    }
                    types[index - 1]
                        .get_or_insert_with(|| object.schema.field(*target).data_type().clone());
                }
            }
        } else {
            let planned = self.plan(source.clone()).await?;
            return parameters_of(&planned, hints);
        }
        Ok(types
            .into_iter()
            .map(|known| known.unwrap_or(DataType::Utf8))
            .collect())
    }
}

/// The answer of a statement without rows.
fn done(tag: &str) -> Result<Response> {
    Ok(Response::Done {
        tag: tag.to_owned(),
    })
}

/// Rows that are in memory already.
fn rows(batch: RecordBatch, tag: &'static str) -> Response {
    let schema = batch.schema();
    let stream = futures::stream::iter([Ok(batch)]);
    let stream = Box::pin(RecordBatchStreamAdapter::new(Arc::clone(&schema), stream));
    Response::Rows {
        schema,
        stream,
        tag,
    }
}

/// Whether `query` names a relation. That of a plain list of values does not, and need not wait for what it would read.
fn reads_relations(query: &ast::Query) -> bool {
    ast::visit_relations(query, |_| ControlFlow::Break(())).is_break()
}

fn public(name: &parse::Name) -> Result<()> {
    match name.schema.as_deref() {
        None | Some("public") => Ok(()),
        Some(other) => Err(Error::denied(format!(
            "schema \"{other}\" cannot be written"
        ))),
    }
}

/// The number of `$n`, where `expr` is one.
fn placeholder(expr: &ast::Expr) -> Option<usize> {
    let ast::Expr::Value(value) = expr else {
        return None;
    };
    let ast::Value::Placeholder(name) = &value.value else {
        return None;
    };
    name.strip_prefix('$')?
        .parse()
        .ok()
        .filter(|index| *index > 0 && *index <= 65_535)
}

/// The types of a plan's parameters, in order.
fn parameters_of(planned: &Planned, hints: &[Option<DataType>]) -> Result<Vec<DataType>> {
    let found = planned.plan.get_parameter_types()?;
    let mut types: Vec<Option<DataType>> = hints.to_vec();
    for (name, known) in found.into_iter().collect::<BTreeMap<_, _>>() {
        let index: usize = name.trim_start_matches('$').parse().unwrap_or(0);
        if index == 0 || index > 65_535 {
            return Err(Error::syntax(format!("parameter {name} has no position")));
        }
        if types.len() < index {
            types.resize(index, None);
        }
        if types[index - 1].is_none() {
            types[index - 1] = known;
        }
    }
    Ok(types
        .into_iter()
        .map(|known| known.unwrap_or(DataType::Utf8))
        .collect())
}

/// The same rows under the names that the user wrote.
fn rename(stream: SendableRecordBatchStream, schema: &SchemaRef) -> SendableRecordBatchStream {
    use futures::StreamExt;
    if stream.schema() == *schema {
        return stream;
    }
    let named = Arc::clone(schema);
    let renamed = stream.map(move |batch| {
        let batch = batch?;
        let options =
            arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        let columns = batch.columns().to_vec();
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&named),
            columns,
            &options,
        )?)
    });
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), renamed))
}
