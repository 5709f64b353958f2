//! Keys of a join that are the same constant on both sides, left out.
//!
//! Simplification makes them of `a IS NULL = b IS NULL` where neither can be. They say nothing, and DataFusion computes both under one
//! name, renames the sides for it, and refuses a side that has two columns of one name.

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::{Expr, Join, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

/// The optimizer rule. It runs behind those that simplify.
#[derive(Debug)]
pub(super) struct ConstantKeys;

impl OptimizerRule for ConstantKeys {
    fn name(&self) -> &str {
        "lotic_constant_keys"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>, DataFusionError> {
        let LogicalPlan::Join(join) = plan else {
            return Ok(Transformed::no(plan));
        };
        let says_nothing = join.on.iter().any(holds);
        // Without any key some kinds of join have no plan.
        if !says_nothing || join.on.iter().all(holds) {
            return Ok(Transformed::no(LogicalPlan::Join(join)));
        }
        let on = join.on.into_iter().filter(|pair| !holds(pair)).collect();
        Ok(Transformed::yes(LogicalPlan::Join(Join { on, ..join })))
    }
}

/// Whether both sides are one constant that equals itself.
fn holds((left, right): &(Expr, Expr)) -> bool {
    match (left, right) {
        (Expr::Literal(left, _), Expr::Literal(right, _)) => !left.is_null() && left == right,
        _ => false,
    }
}
