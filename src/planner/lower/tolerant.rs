//! The second try of a batch run whose expressions failed: projections, filters, join conditions, aggregates and window
//! functions that leave failing rows and groups out and report them, as the engine's operators do.
//!
//! A physical optimizer rule that runs before all others puts the tolerant nodes in place of DataFusion's.
//! The rules behind it don't know them, so nothing is pushed into or through them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::projection_pushdown::ProjectionPushdown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::ProjectionExec;
use parking_lot::Mutex;

use super::tolerant_aggregate::TolerantAggregateExec;
use super::tolerant_condition::Condition;
use super::tolerant_exec::TolerantExec;
use crate::base::{Error, Kind};
use crate::engine::RowError;
use crate::planner::asof::LoticQueryPlanner;

pub(super) type Outcome<T> = Result<T, DataFusionError>;

/// Failing rows that are kept as samples; the rest is only counted.
const KEPT_ERRORS: usize = 1_000;

/// The rows that failed in one tolerant run. Clones share what they collect.
#[derive(Clone, Debug, Default)]
pub struct RowErrors(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    count: u64,
    rows: Vec<RowError>,
}

impl RowErrors {
    /// How many rows failed.
    pub fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// The first of them, at most 1,000.
    pub fn take(&self) -> Vec<RowError> {
        std::mem::take(&mut self.0.lock().rows)
    }

    /// Counts a failing row, and keeps it among the first.
    pub(super) fn add(&self, error: DataFusionError, row: RecordBatch, operator: &str) {
        let mut collected = self.0.lock();
        collected.count += 1;
        if collected.rows.len() < KEPT_ERRORS {
            let operator = operator.to_owned();
            collected.rows.push(RowError {
                error: Error::from(error),
                row,
                weight: 1,
                operator,
            });
        }
    }
}

/// Whether `error` may be the fault of one row's values, so that other rows could have gone through; the engine
/// draws the same line. Memory, files and cancellation are no row's fault.
pub fn is_row_error(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            is_row_error(inner)
        }
        DataFusionError::Shared(inner) => is_row_error(inner),
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(own) => {
                // A recursion without an end would not end without some row either.
                !matches!(own.kind(), Kind::Cancelled | Kind::Unavailable)
                    && !matches!(own.code(), "53200" | "54001")
            }
            None => inner
                .downcast_ref::<Arc<DataFusionError>>()
                .is_none_or(|shared| is_row_error(shared)),
        },
        DataFusionError::ResourcesExhausted(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Plan(_) => false,
        _ => true,
    }
}

/// `state` with the rule that makes its plans tolerant; failing rows go to `errors`.
pub fn tolerant_state(state: &SessionState, errors: &RowErrors) -> SessionState {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(Tolerate {
        errors: errors.clone(),
    })];
    // A part of a join's condition that moves below the join would be no part of what is tolerated there.
    let moves = ProjectionPushdown::new();
    let kept = state.physical_optimizers().iter();
    rules.extend(
        kept.filter(|rule| rule.name() != moves.name())
            .map(Arc::clone),
    );
    SessionStateBuilder::new_from_existing(state.clone())
        .with_physical_optimizer_rules(rules)
        .with_query_planner(Arc::new(LoticQueryPlanner))
        .build()
}

/// Puts the tolerant nodes into a plan.
#[derive(Debug)]
struct Tolerate {
    errors: RowErrors,
}

impl PhysicalOptimizerRule for Tolerate {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| self.replace(node))?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "tolerate_failing_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl Tolerate {
    fn replace(
        &self,
        node: Arc<dyn ExecutionPlan>,
    ) -> Outcome<Transformed<Arc<dyn ExecutionPlan>>> {
        let computes = node.is::<FilterExec>()
            || node
                .downcast_ref::<ProjectionExec>()
                .is_some_and(|projection| {
                    projection
                        .expr()
                        .iter()
                        .any(|output| !output.expr.children().is_empty())
                });
        if computes {
            let errors = self.errors.clone();
            return Ok(Transformed::yes(Arc::new(TolerantExec::new(node, errors))));
        }
        if let Some(aggregate) = TolerantAggregateExec::of(&node, &self.errors)? {
            return Ok(Transformed::yes(aggregate));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && let Some(filter) = &join.filter
        {
            let filter = self.condition(filter);
            let join = HashJoinExecBuilder::from(join)
                .with_filter(Some(filter))
                .build()?;
            return Ok(Transformed::yes(Arc::new(join)));
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
            && let Some(filter) = join.filter()
        {
            let filter = self.condition(filter);
            let join = NestedLoopJoinExecBuilder::from(join)
                .with_filter(Some(filter))
                .build()?;
            return Ok(Transformed::yes(Arc::new(join)));
        }
        Ok(Transformed::no(node))
    }

    fn condition(&self, filter: &JoinFilter) -> JoinFilter {
        let condition = Condition::new(Arc::clone(filter.expression()), self.errors.clone());
        let indices = filter.column_indices().to_vec();
        JoinFilter::new(Arc::new(condition), indices, Arc::clone(filter.schema()))
    }
}
