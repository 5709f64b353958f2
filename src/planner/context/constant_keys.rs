//! Keys of a join that are the same constant on both sides, and keys of an order that are constant, left out.
//!
//! Simplification makes the first of `a IS NULL = b IS NULL` where neither can be. They say nothing, and DataFusion computes both under
//! one name, renames the sides for it, and refuses a side that has two columns of one name. The second it makes of
//! `coalesce(date '..' + interval '..', a)`: the batch plan sorts by no constant, so it would not see that one fails, which a
//! model would.

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Sort, lit};

use super::each_node::EachPlan;
use super::total_order::{constants, is_constant};

/// The optimizer rule. It runs behind those that simplify.
pub(super) const CONSTANT_KEYS: EachPlan = EachPlan {
    name: "lotic_constant_keys",
    change: without_constant_keys,
};

fn without_constant_keys(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>, DataFusionError> {
    let join = match plan {
        LogicalPlan::Join(join) => join,
        LogicalPlan::Sort(sort) => return Ok(without_constants(sort)),
        other => return Ok(Transformed::no(other)),
    };
    let says_nothing = join.on.iter().any(holds);
    // Without any key some kinds of join have no plan.
    if !says_nothing || join.on.iter().all(holds) {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let on = join.on.into_iter().filter(|pair| !holds(pair)).collect();
    Ok(Transformed::yes(LogicalPlan::Join(Join { on, ..join })))
}

/// The sort without its constant keys. Where all are, one that cannot fail is left: a LIMIT above looks for its sort.
fn without_constants(mut sort: Sort) -> Transformed<LogicalPlan> {
    let constant = constants(&sort.input);
    let is_left_out =
        |key: &SortKey| is_constant(&key.expr, &constant) && !matches!(key.expr, Expr::Literal(..));
    if !sort.expr.iter().any(is_left_out) {
        return Transformed::no(LogicalPlan::Sort(sort));
    }
    sort.expr.retain(|key| !is_left_out(key));
    if sort.expr.is_empty() {
        sort.expr.push(SortKey::new(lit(0), true, false));
    }
    Transformed::yes(LogicalPlan::Sort(sort))
}

/// Whether both sides are one constant that equals itself.
fn holds((left, right): &(Expr, Expr)) -> bool {
    match (left, right) {
        (Expr::Literal(left, _), Expr::Literal(right, _)) => !left.is_null() && left == right,
        _ => false,
    }
}
