//! The rule of the optimizer.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::graph::Graph;

/// Another order has to be this much better: guesses are guesses.
const WORTH: f64 = 0.9;

/// Puts joins in order. It runs behind the rules that move conditions, and before the one that drops columns.
#[derive(Debug)]
pub(in crate::planner::context) struct JoinOrder;

impl OptimizerRule for JoinOrder {
    fn name(&self) -> &'static str {
        "lotic_join_order"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        if !matches!(plan, LogicalPlan::Join(_)) {
            return Ok(Transformed::no(plan));
        }
        let Some((graph, present)) = Graph::of(&plan) else {
            return Ok(Transformed::no(plan));
        };
        let Some(better) = graph.cheapest() else {
            return Ok(Transformed::no(plan));
        };
        if graph.cost(&better) >= graph.cost(&present) * WORTH {
            return Ok(Transformed::no(plan));
        }
        let joined = Arc::new(graph.plan(&better)?);
        let columns = plan.schema().columns().into_iter().map(Expr::Column);
        let schema = Arc::clone(plan.schema());
        let plan = Projection::try_new_with_schema(columns.collect(), joined, schema)?;
        Ok(Transformed::yes(LogicalPlan::Projection(plan)))
    }
}
