//! Conditions on the left rows of an ASOF join, moved below it.
//!
//! DataFusion would put a condition into all inputs of a node that it does not know, or into none. Of the right side nothing may
//! be left out: another row would be the nearest.

use std::sync::Arc;

use datafusion::common::Result;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Extension, Filter, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

use super::node::AsofNode;
use crate::planner::lower::reads_elsewhere;

/// The rule. It runs before DataFusion's own, which push further down.
#[derive(Debug)]
pub struct PushBelowAsof;

impl OptimizerRule for PushBelowAsof {
    fn name(&self) -> &str {
        "lotic_push_below_asof"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Filter(filter) = &plan else {
            return Ok(Transformed::no(plan));
        };
        let LogicalPlan::Extension(extension) = filter.input.as_ref() else {
            return Ok(Transformed::no(plan));
        };
        let Some(node) = extension.node.as_any().downcast_ref::<AsofNode>() else {
            return Ok(Transformed::no(plan));
        };
        let (below, above): (Vec<Expr>, Vec<Expr>) =
            split_conjunction_owned(filter.predicate.clone())
                .into_iter()
                .partition(|condition| reads_left(condition, node));
        let Some(below) = conjunction(below) else {
            return Ok(Transformed::no(plan));
        };
        let left = LogicalPlan::Filter(Filter::try_new(below, Arc::clone(&node.left))?);
        let node = AsofNode::new(Arc::new(left), Arc::clone(&node.right), node.on.clone())?;
        let node = LogicalPlan::Extension(Extension {
            node: Arc::new(node),
        });
        let plan = match conjunction(above) {
            None => node,
            Some(above) => LogicalPlan::Filter(Filter::try_new(above, Arc::new(node))?),
        };
        Ok(Transformed::yes(plan))
    }
}

/// Whether `condition` is about columns of the left side, and about nothing else.
fn reads_left(condition: &Expr, node: &AsofNode) -> bool {
    let columns = condition.column_refs();
    let left = node.left.schema();
    !reads_elsewhere(condition)
        && !condition.is_volatile()
        && !columns.is_empty()
        && columns
            .into_iter()
            .all(|column| left.maybe_index_of_column(column).is_some())
}
