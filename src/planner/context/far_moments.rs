//! Comparisons of a cast with a constant that Arrow cannot cast back.
//!
//! DataFusion estimates a filter's rows by casting the constant back to what the cast reads, and refuses the query where Arrow has no
//! NULL for what does not fit but an error: a timestamp past the year 262,142 as a date. Behind a function it estimates nothing.

use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::{BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan};

use super::each_node::EachPlan;
use crate::planner::functions::canonical;
use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

/// The optimizer rule.
pub(super) const FAR_MOMENTS: EachPlan = EachPlan {
    name: "lotic_far_moments",
    change: |plan| match plan {
        LogicalPlan::Filter(_) => rewrite_over_inputs(plan, hide),
        other => Ok(Transformed::no(other)),
    },
};

fn hide(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let (left, right, far) = match (*left, *right) {
        (Expr::Cast(read), Expr::Literal(value, note)) if op.supports_propagation() => {
            let far = is_far(&read, &value, schema)?;
            (hidden(read, far), Expr::Literal(value, note), far)
        }
        (Expr::Literal(value, note), Expr::Cast(read)) if op.supports_propagation() => {
            let far = is_far(&read, &value, schema)?;
            (Expr::Literal(value, note), hidden(read, far), far)
        }
        (left, right) => (left, right, false),
    };
    let expr = BinaryExpr::new(Box::new(left), op, Box::new(right));
    Ok(Transformed::new_transformed(Expr::BinaryExpr(expr), far))
}

/// Whether casting `value` back to what `read` is a cast of is an error.
fn is_far(read: &Cast, value: &ScalarValue, schema: &DFSchema) -> Outcome<bool> {
    if !matches!(value.data_type(), DataType::Timestamp(..)) || value.is_null() {
        return Ok(false);
    }
    let back = read.expr.get_type(schema)?;
    Ok(cast(&value.to_array()?, &back).is_err())
}

fn hidden(read: Cast, far: bool) -> Expr {
    let read = Expr::Cast(read);
    if far { canonical::call(read) } else { read }
}
