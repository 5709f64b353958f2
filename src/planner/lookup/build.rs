//! From a join with a marked condition to one over a node.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Extension, Join, LogicalPlan};

use super::node::PresentNode;
use crate::base::Result;
use crate::planner::functions::LOOKUP_MARK;

/// Puts a node below every join of `plan` whose condition is marked, subqueries included.
///
/// # Errors
/// Never for plans of prepared queries.
pub fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let rewritten = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Join(join) => build(join),
        node => Ok(Transformed::no(node)),
    })?;
    Ok(rewritten.data)
}

fn build(join: Join) -> std::result::Result<Transformed<LogicalPlan>, DataFusionError> {
    let Some(filter) = join.filter.clone() else {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    };
    let (marks, conditions): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter)
        .into_iter()
        .partition(is_mark);
    if marks.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let node = PresentNode { input: join.right };
    let right = LogicalPlan::Extension(Extension {
        node: Arc::new(node),
    });
    Ok(Transformed::yes(LogicalPlan::Join(Join {
        right: Arc::new(right),
        filter: conjunction(conditions),
        ..join
    })))
}

fn is_mark(condition: &Expr) -> bool {
    matches!(condition, Expr::ScalarFunction(call) if call.func.name() == LOOKUP_MARK)
}
