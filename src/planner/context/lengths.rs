//! `INTERVAL '1 day' * n` and `INTERVAL '1 day' / n`, for which DataFusion has no operators.

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use sqlparser::ast::BinaryOperator;

use crate::planner::functions::scaled;

type Outcome<T> = Result<T, DataFusionError>;

/// Plans the two operators.
#[derive(Debug)]
pub(super) struct LengthsOfTime;

impl ExprPlanner for LengthsOfTime {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Outcome<PlannerResult<RawBinaryExpr>> {
        if !matches!(expr.op, BinaryOperator::Multiply | BinaryOperator::Divide) {
            return Ok(PlannerResult::Original(expr));
        }
        let (left, right) = (kind(&expr.left, schema), kind(&expr.right, schema));
        let length = |expr| cast(expr, DataType::Interval(IntervalUnit::MonthDayNano));
        let number = |expr| cast(expr, DataType::Float64);
        let planned = match (&expr.op, left, right) {
            (BinaryOperator::Multiply, Kind::Length, Kind::Number) => {
                scaled::times(length(expr.left), number(expr.right))
            }
            (BinaryOperator::Multiply, Kind::Number, Kind::Length) => {
                scaled::times(length(expr.right), number(expr.left))
            }
            (BinaryOperator::Divide, Kind::Length, Kind::Number) => {
                scaled::divided(length(expr.left), number(expr.right))
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(planned))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Length,
    Number,
    Other,
}

/// What an operand is. A parameter beside a length is a number.
fn kind(expr: &Expr, schema: &DFSchema) -> Kind {
    match expr.get_type(schema) {
        _ if matches!(expr, Expr::Placeholder(_)) => Kind::Number,
        Ok(DataType::Interval(_) | DataType::Duration(_)) => Kind::Length,
        Ok(data_type) if data_type.is_numeric() || data_type.is_null() => Kind::Number,
        _ => Kind::Other,
    }
}
