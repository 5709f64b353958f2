//! `a @> b` and `a <@ b` of arrays: an element that is NULL equals none, so that nothing contains it. To DataFusion it is a value.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::functions_nested::expr_fn::{array_has_all, array_position};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, lit, when};
use sqlparser::ast::BinaryOperator;

/// Plans the operators, before DataFusion's planners do.
#[derive(Debug)]
pub(super) struct ArrayOperators;

impl ExprPlanner for ArrayOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Result<PlannerResult<RawBinaryExpr>, DataFusionError> {
        if !matches!(expr.op, BinaryOperator::AtArrow | BinaryOperator::ArrowAt) {
            return Ok(PlannerResult::Original(expr));
        }
        let is_array = |side: &Expr| {
            side.get_type(schema).is_ok_and(|data_type| {
                matches!(
                    data_type,
                    DataType::List(_) | DataType::LargeList(_) | DataType::FixedSizeList(..)
                )
            })
        };
        if !is_array(&expr.left) || !is_array(&expr.right) {
            return Ok(PlannerResult::Original(expr));
        }
        let (whole, part) = match expr.op {
            BinaryOperator::AtArrow => (expr.left, expr.right),
            _ => (expr.right, expr.left),
        };
        let null = array_position(part.clone(), lit(ScalarValue::Null), lit(1_i64));
        let contains = when(whole.clone().is_null(), lit(ScalarValue::Boolean(None)))
            .when(null.is_not_null(), lit(false))
            .otherwise(array_has_all(whole, part))?;
        Ok(PlannerResult::Planned(contains))
    }
}
