//! The other mode: a model's plan run once by DataFusion over everything there is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::{self, ExecutionPlan};
use futures::StreamExt;

use super::evaluator::with_schema;
use super::limit_on_sort::lower_limits;
use super::rewrite::plan_for_both_modes;
use super::tolerant::{RowErrors, is_row_error, tolerant_state};
use super::tolerant_window::tolerant_windows;
use crate::base::{Error, Result};
use crate::engine::{MODEL_MEMORY_HINT, RowError};
use crate::planner::stack::{on_big_stack, poll_on_big_stack};
use crate::zset::own_bytes;

/// What a batch run gave.
#[derive(Debug)]
pub struct BatchRun {
    /// The columns, the same as the model's.
    pub schema: SchemaRef,
    /// The rows, in no order that means anything.
    pub batches: Vec<RecordBatch>,
    /// How many rows were left out because an expression failed on them.
    pub failed_rows: u64,
    /// The first of these rows.
    pub errors: Vec<RowError>,
}

/// The plan that both modes run, of a model's optimised plan. Not for queries: their ORDER BY is dropped.
///
/// # Errors
/// When the plan cannot be rewritten, which is a defect.
pub fn plan_batch(plan: &LogicalPlan) -> Result<LogicalPlan> {
    on_big_stack(|| plan_for_both_modes(plan))
}

/// Runs a model's optimised plan over the tables that it scans.
///
/// Rows on which an expression fails are left out and reported, as in the maintained model. The first run
/// knows nothing of this and pays nothing for it; only when it fails does a tolerant one follow.
///
/// # Errors
/// When the plan does not run, for another reason than one row's values.
pub async fn run_batch(state: &SessionState, plan: &LogicalPlan) -> Result<BatchRun> {
    let plan = plan_batch(plan)?;
    let schema = Arc::clone(plan.schema().inner());
    let errors = RowErrors::default();
    let batches = match collect(state, &plan).await {
        Err(error) if is_row_error(&error) => {
            let plan = tolerant_windows(plan, &errors)?;
            collect(&tolerant_state(state, &errors), &plan).await
        }
        outcome => outcome,
    };
    let batches = batches.map_err(|error| over_budget(error.into()))?;
    let batches = batches
        .iter()
        .map(|batch| with_schema(batch, &schema))
        .collect::<Result<Vec<_>>>()?;
    Ok(BatchRun {
        schema,
        batches,
        failed_rows: errors.count(),
        errors: errors.take(),
    })
}

/// All rows of a rewritten plan.
pub(super) async fn collect(
    state: &SessionState,
    plan: &LogicalPlan,
) -> std::result::Result<Vec<RecordBatch>, DataFusionError> {
    let physical = physical_batch(state, plan).await?;
    let context = state.task_ctx();
    let held = MemoryConsumer::new("result rows").register(context.memory_pool());
    let mut rows = physical_plan::execute_stream(physical, context)?;
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await {
        let batch = batch?;
        held.try_grow(own_bytes(&batch))?;
        batches.push(batch);
    }
    Ok(batches)
}

/// `error` with the setting that bounds models where it is one of memory.
pub(super) fn over_budget(error: Error) -> Error {
    if error.code() == "53200" {
        return error.with_hint(MODEL_MEMORY_HINT);
    }
    error
}

/// The physical plan of a rewritten plan. The logical optimizer has run already and does not run again: what
/// it would merge or push is what keeps both modes alike.
///
/// # Errors
/// When DataFusion cannot run the plan.
pub async fn physical_batch(
    state: &SessionState,
    plan: &LogicalPlan,
) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let plan = on_big_stack(|| lower_limits(plan.clone()))?;
    poll_on_big_stack(state.query_planner().create_physical_plan(&plan, state)).await
}
