//! One run of one query: an engine of its own, the model first, then the events.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    Array, ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use futures::{StreamExt, TryStreamExt};
use tokio::sync::mpsc;

use super::generator::{Block, Generator};
use super::query::Query;
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Error, Result, task};
use crate::cli::bench::process;
use crate::cli::config::Settings;
use crate::runtime::{Lotic, Session};

/// Blocks that are made and not yet sent.
const BLOCKS_AHEAD: usize = 4;
/// Blocks that are sent and not yet acknowledged.
const BLOCKS_IN_FLIGHT: usize = 8;
/// Rows of the side input of q13.
const SIDE_ROWS: i64 = 10_000;

/// What every run of a bench has in common.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// How many events to make.
    pub(super) events: u64,
    /// Events of one block.
    pub(super) block: u64,
    /// `disk` or `os`, as WITH (durability = ...) takes it.
    pub(super) durability: &'static str,
    /// After this time no more events are sent.
    pub(super) limit: Duration,
    /// Makes the events.
    pub(super) generator: Arc<Generator>,
}

/// What a run measured.
#[derive(Clone, Debug)]
pub(super) struct Run {
    /// Events that were made: all, or those up to the limit of time.
    pub(super) events: u64,
    /// From the first event's making to all being visible.
    pub(super) time: Duration,
    /// Seconds of processor in that time, all threads.
    pub(super) cpu_seconds: Option<f64>,
    /// The most memory in that time.
    pub(super) peak_bytes: Option<u64>,
    /// Memory of the operators' state, and its rows.
    pub(super) state: (u64, u64),
    /// Rows of the model.
    pub(super) result_rows: u64,
    /// Nodes of the plan that are evaluated anew at every change.
    pub(super) recomputed: usize,
}

/// How a query did.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// It ran.
    Ran(Run),
    /// The engine has no plan for it, and this is what it says.
    Refused(String),
}

/// An engine with the streams and the model of one query.
pub(super) struct Stage {
    lotic: Arc<Lotic>,
    session: Session,
    query: Query,
}

/// Runs `query` once, in a data folder of its own.
///
/// # Errors
/// When the engine fails, or the model does on the way.
pub(super) async fn run(query: Query, plan: &Plan, settings: &Settings) -> Result<Outcome> {
    let name = format!("lotic-nexmark-{}-{}", std::process::id(), query.name());
    let folder = std::env::temp_dir().join(name);
    let outcome = in_folder(query, plan, settings, &folder).await;
    std::fs::remove_dir_all(&folder)
        .map_err(|error| Error::io(format!("remove {}", folder.display()), &error))?;
    outcome
}

async fn in_folder(
    query: Query,
    plan: &Plan,
    settings: &Settings,
    folder: &Path,
) -> Result<Outcome> {
    let lotic = Lotic::open(settings.options(Some(folder.to_owned()), true)).await?;
    let outcome = on_engine(&lotic, query, plan).await;
    lotic.shutdown().await;
    outcome
}

async fn on_engine(lotic: &Arc<Lotic>, query: Query, plan: &Plan) -> Result<Outcome> {
    let mut stage = Stage::prepare(lotic, query, plan.durability).await?;
    if let Err(refusal) = stage.create_model().await {
        return Ok(Outcome::Refused(refusal.message().to_owned()));
    }
    let recomputed = stage.recomputed_nodes().await?;
    process::forget_peak();
    let clock = SystemClock::new();
    let cpu_before = process::cpu_seconds();
    let events = stage.send(plan, &clock).await?;
    let time = clock.monotonic();
    let cpu_after = process::cpu_seconds();
    let peak_bytes = process::peak_bytes();
    stage.check_alive()?;
    Ok(Outcome::Ran(Run {
        events,
        time,
        cpu_seconds: cpu_before
            .zip(cpu_after)
            .map(|(before, after)| after - before),
        peak_bytes,
        state: stage.state().await?,
        result_rows: stage.figure("rows"),
        recomputed,
    }))
}

impl Stage {
    /// Makes the streams that `query` reads.
    ///
    /// # Errors
    /// When the engine does not take them.
    pub(super) async fn prepare(
        lotic: &Arc<Lotic>,
        query: Query,
        durability: &str,
    ) -> Result<Self> {
        let mut session = lotic.session("lotic");
        for stream in query.reads {
            let more = if query.needs_sending_time() {
                ", p_time TIMESTAMP"
            } else {
                ""
            };
            let create = format!(
                "CREATE SOURCE {} ({}{more}) WITH (durability = '{durability}')",
                stream.name(),
                stream.columns()
            );
            session.run(&create).await?;
        }
        if query.needs_side_input() {
            session
                .run("CREATE TABLE side_input (key BIGINT PRIMARY KEY, value TEXT)")
                .await?;
            lotic
                .push_batches("side_input", vec![side_input()?])
                .await?;
        }
        Ok(Self {
            lotic: Arc::clone(lotic),
            session,
            query,
        })
    }

    /// Makes the model, over streams without rows yet.
    ///
    /// # Errors
    /// When the engine has no plan for it.
    pub(super) async fn create_model(&mut self) -> Result<()> {
        let create = format!(
            "CREATE MATERIALIZED VIEW {} AS {}",
            self.query.name(),
            self.query.sql
        );
        self.session.run(&create).await.map(drop)
    }

    /// Sends the events of `plan` and waits until all are visible; gives how many were made.
    ///
    /// # Errors
    /// When they cannot be made or written.
    pub(super) async fn send(&mut self, plan: &Plan, clock: &dyn Clock) -> Result<u64> {
        let (sender, receiver) = mpsc::channel(BLOCKS_AHEAD);
        let making = plan.clone();
        task::thread("lotic-nexmark", move || make(&making, &sender))?;
        let made = futures::stream::unfold(receiver, async |mut receiver| {
            receiver.recv().await.map(|block| (block, receiver))
        });
        let mut acknowledged = std::pin::pin!(
            made.map(|block| self.push(block))
                .buffered(BLOCKS_IN_FLIGHT)
        );
        let mut events = 0;
        while let Some(sent) = acknowledged.try_next().await? {
            events += sent;
            if clock.monotonic() > plan.limit {
                break;
            }
        }
        self.lotic.flush().await?;
        Ok(events)
    }

    async fn push(&self, block: Result<Block>) -> Result<u64> {
        let block = block?;
        for stream in self.query.reads {
            let rows = block.rows(*stream);
            if rows.num_rows() == 0 {
                continue;
            }
            let rows = if self.query.needs_sending_time() {
                let (clock, _) = self.lotic.seams();
                with_time(rows, clock.now_us())?
            } else {
                rows.clone()
            };
            self.lotic.push_batches(stream.name(), vec![rows]).await?;
        }
        Ok(block.events)
    }

    /// How many rows of the model differ from its query in batch.
    ///
    /// # Errors
    /// When the query fails.
    #[cfg(test)]
    pub(super) async fn differences(&self) -> Result<usize> {
        self.lotic.count_differences(&self.query.name()).await
    }

    /// How many nodes of the model's plan are evaluated anew at every change.
    ///
    /// # Errors
    /// When the model cannot be explained.
    pub(super) async fn recomputed_nodes(&mut self) -> Result<usize> {
        let explain = format!("EXPLAIN (INCREMENTAL) {}", self.query.sql);
        let mut nodes = 0;
        for (_, batches, _) in self.session.run(&explain).await? {
            for batch in &batches {
                let lines = arrow::compute::cast(batch.column(0), &DataType::Utf8View)?;
                nodes += lines
                    .as_string_view()
                    .iter()
                    .flatten()
                    .filter(|line| line.starts_with("recomputed"))
                    .count();
            }
        }
        Ok(nodes)
    }

    /// # Errors
    /// When the model has stopped.
    pub(super) fn check_alive(&self) -> Result<()> {
        if self.figure("model_up") == 1 {
            return Ok(());
        }
        Err(Error::internal(format!(
            "the model of {} stopped on the way",
            self.query.name()
        ))
        .with_hint("the log says why; more memory for models may help (--model-memory)"))
    }

    /// A figure of the model.
    pub(super) fn figure(&self, name: &str) -> u64 {
        let model = self.query.name();
        self.lotic
            .figures()
            .iter()
            .find(|figure| figure.name == name && figure.object.as_deref() == Some(model.as_str()))
            .map_or(0, |figure| figure.value)
    }

    /// Bytes and rows of the state of the model's operators.
    async fn state(&mut self) -> Result<(u64, u64)> {
        let ask = format!(
            "SELECT CAST(coalesce(sum(state_bytes), 0) AS BIGINT), \
             CAST(coalesce(sum(state_rows), 0) AS BIGINT) FROM lotic.operators WHERE model = '{}'",
            self.query.name()
        );
        let answers = self.session.run(&ask).await?;
        let batch = answers.first().and_then(|(_, batches, _)| batches.first());
        let number = |column: usize| {
            let column = batch?.columns().get(column)?;
            let value = column.as_primitive_opt::<Int64Type>()?.values().first()?;
            u64::try_from(*value).ok()
        };
        Ok((number(0).unwrap_or(0), number(1).unwrap_or(0)))
    }
}

/// Makes all blocks, until nobody takes them any more.
fn make(plan: &Plan, sender: &mpsc::Sender<Result<Block>>) {
    let mut first = 0;
    while first < plan.events {
        let events = plan.block.min(plan.events - first);
        let block = plan.generator.block(first, events);
        if sender.blocking_send(block).is_err() {
            return;
        }
        first += events;
    }
}

/// `rows` with the time at which they are sent.
fn with_time(rows: &RecordBatch, now_us: i64) -> Result<RecordBatch> {
    let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from_value(
        now_us,
        rows.num_rows(),
    ));
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().to_vec();
    fields.push(Arc::new(Field::new(
        "p_time",
        times.data_type().clone(),
        true,
    )));
    let mut columns = rows.columns().to_vec();
    columns.push(times);
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// A text for every key that `auction` modulo 10,000 can be.
fn side_input() -> Result<RecordBatch> {
    let schema: SchemaRef = Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, false),
        Field::new("value", DataType::Utf8View, true),
    ]));
    let values = (0..SIDE_ROWS).map(|key| Some(format!("value-{key}")));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int64Array::from_iter_values(0..SIDE_ROWS)),
        Arc::new(values.collect::<StringViewArray>()),
    ];
    Ok(RecordBatch::try_new(schema, columns)?)
}
