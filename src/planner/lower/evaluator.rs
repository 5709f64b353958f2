//! Recomputed parts of a model: DataFusion evaluates a plan over given rows, on the calling thread.

use std::future::Future;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::cast;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::execution_props::ExecutionProps;

use super::tolerant::{RowErrors, is_row_error, tolerant_state};
use super::tolerant_window::tolerant_windows;
use super::{batch, region};
use crate::base::{Error, Result, task};
use crate::engine::operators::Evaluate;

/// Makes the evaluators of recomputed nodes.
pub trait EvaluatorFactory {
    /// An evaluator of `plan`, whose placeholders scan inputs of these schemas.
    ///
    /// # Errors
    /// When DataFusion cannot run the plan.
    fn evaluator(&self, plan: LogicalPlan, inputs: Vec<SchemaRef>) -> Result<Arc<dyn Evaluate>>;

    /// What expressions need to know of their session: time zone and other options.
    fn execution_props(&self) -> ExecutionProps;

    /// How many threads one step may keep busy.
    fn threads(&self) -> usize;
}

/// Evaluators that run in a session state: its functions, memory pool and options.
#[derive(Debug)]
pub struct DataFusionEvaluators {
    state: SessionState,
    threads: usize,
}

impl DataFusionEvaluators {
    /// Evaluators over `state`, one partition each: the engine is what runs in parallel.
    pub fn new(state: &SessionState) -> Self {
        let threads = state.config().target_partitions();
        // The catalog list is shared with `state`: a default catalog built here would replace its own.
        let config = state
            .config()
            .clone()
            .with_target_partitions(1)
            .with_create_default_catalog_and_schema(false);
        let state = SessionStateBuilder::new_from_existing(state.clone())
            .with_config(config)
            .build();
        Self { state, threads }
    }
}

impl EvaluatorFactory for DataFusionEvaluators {
    fn evaluator(&self, plan: LogicalPlan, inputs: Vec<SchemaRef>) -> Result<Arc<dyn Evaluate>> {
        let evaluator = Evaluator {
            state: self.state.clone(),
            plan,
        };
        // A plan that cannot run is refused when the model is made, not at its first row.
        let empty: Vec<Vec<RecordBatch>> = inputs.iter().map(|_| Vec::new()).collect();
        let bound = region::bind(&evaluator.plan, &empty)?;
        let state = self.state.clone();
        block_on(async move { batch::physical_batch(&state, &bound).await })??;
        Ok(Arc::new(evaluator))
    }

    fn execution_props(&self) -> ExecutionProps {
        let mut props = self.state.execution_props().clone();
        props.query_execution_start_time = None;
        props.config_options = Some(Arc::clone(self.state.config_options()));
        props
    }

    fn threads(&self) -> usize {
        self.threads
    }
}

/// One recomputed part of a model.
struct Evaluator {
    state: SessionState,
    plan: LogicalPlan,
}

impl Evaluate for Evaluator {
    /// Plans anew each time: a plan holds the rows it scans, and keeps state of its last run. Planning costs
    /// some 100 microseconds, less than what one recomputation of more than a few rows does.
    fn evaluate(&self, inputs: &[Vec<RecordBatch>]) -> Result<Vec<RecordBatch>> {
        let plan = region::bind(&self.plan, inputs)?;
        let state = self.state.clone();
        let batches = block_on(async move {
            match batch::collect(&state, &plan).await {
                // The failing rows are left out, as everywhere; that they failed is not told from here.
                Err(error) if is_row_error(&error) => {
                    let errors = RowErrors::default();
                    let plan = tolerant_windows(plan, &errors)?;
                    let state = tolerant_state(&state, &errors);
                    batch::collect(&state, &plan).await
                }
                outcome => outcome,
            }
        })?
        .map_err(|error| batch::over_budget(error.into()))?;
        let schema = self.plan.schema().inner();
        batches
            .into_iter()
            .map(|batch| with_schema(&batch, schema))
            .collect()
    }

    fn describe(&self) -> String {
        self.plan.display().to_string()
    }
}

/// `batch` under `schema`, cast where DataFusion chose another type for the same values.
pub(super) fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.num_columns() != schema.fields().len() {
        return Err(Error::internal(format!(
            "a recomputed node gave {} columns instead of {}",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                Ok(Arc::clone(column))
            } else {
                Ok(cast(column, field.data_type())?)
            }
        })
        .collect::<Result<Vec<_>>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

/// Runs `future` to its end on this thread, with a small runtime of its own for the tasks that
/// DataFusion spawns. A thread that drives another runtime may not block on one, so there the work moves to a
/// fresh thread and the caller waits: right, but not meant for the engine's hot path.
///
/// # Errors
/// When no runtime or thread can be started, or the work panics.
pub(super) fn block_on<T: Send + 'static>(
    future: impl Future<Output = T> + Send + 'static,
) -> Result<T> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Ok(runtime()?.block_on(future));
    }
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let handle = task::thread("lotic-evaluate", move || {
        let result = runtime().map(|runtime| runtime.block_on(future));
        // The receiver waits below for as long as this thread lives.
        drop(sender.send(result));
    })?;
    let result = receiver.recv();
    drop(handle.join());
    result.map_err(|_closed| Error::internal("the evaluation of a recomputed node panicked"))?
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .map_err(|error| Error::io("start a runtime", &error))
}
