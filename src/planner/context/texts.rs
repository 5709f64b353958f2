//! Texts written beside a value of another type: `'5' + 3`, `day - '2024-01-01'`, `arrived - left > '1 day'`, `ARRAY[day, '2024-01-01']`.
//!
//! In PostgreSQL such a text is of no type until it is read as one of the value beside it. DataFusion does so where it compares most
//! types, and refuses the rest.

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Expr, ExprSchemable, cast};
use sqlparser::ast::BinaryOperator;

use crate::planner::functions::length_order::is_length;

type Outcome<T> = Result<T, DataFusionError>;

/// Reads the texts; what they stand in is left to the next planner.
#[derive(Debug)]
pub(super) struct TextsBeside;

impl ExprPlanner for TextsBeside {
    fn plan_binary_op(
        &self,
        mut expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Outcome<PlannerResult<RawBinaryExpr>> {
        let kind = match (is_text(&expr.left), is_text(&expr.right)) {
            (true, false) => expr.right.get_type(schema),
            (false, true) => expr.left.get_type(schema),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        if let Ok(kind) = kind
            && let Some(wanted) = beside(&kind, &expr.op)
        {
            let text = if is_text(&expr.left) {
                &mut expr.left
            } else {
                &mut expr.right
            };
            *text = cast(std::mem::take(text), wanted);
        }
        Ok(PlannerResult::Original(expr))
    }

    fn plan_array_literal(
        &self,
        mut elements: Vec<Expr>,
        schema: &DFSchema,
    ) -> Outcome<PlannerResult<Vec<Expr>>> {
        let mut kinds = elements
            .iter()
            .filter(|element| !is_text(element))
            .filter_map(|element| element.get_type(schema).ok());
        let kind = kinds.find(|kind| !kind.is_null() && !kind.is_string());
        drop(kinds);
        if let Some(kind) = kind {
            for element in elements.iter_mut().filter(|element| is_text(element)) {
                *element = cast(std::mem::take(element), kind.clone());
            }
        }
        Ok(PlannerResult::Original(elements))
    }
}

/// Whether `expr` is a text as it was written.
pub(super) fn is_text(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::Literal(
            ScalarValue::Utf8(Some(_)) | ScalarValue::Utf8View(Some(_)),
            _
        )
    )
}

/// What a text is read as beside a value of type `kind`; none where DataFusion reads it itself.
fn beside(kind: &DataType, op: &BinaryOperator) -> Option<DataType> {
    use BinaryOperator::{Divide, Eq, Gt, GtEq, Lt, LtEq, Minus, Modulo, Multiply, NotEq, Plus};
    let length = DataType::Interval(IntervalUnit::MonthDayNano);
    match op {
        Plus | Minus | Multiply | Divide | Modulo if kind.is_numeric() => Some(kind.clone()),
        Minus if matches!(kind, DataType::Date32 | DataType::Timestamp(..)) => Some(kind.clone()),
        Plus if matches!(kind, DataType::Timestamp(..)) => Some(length),
        Plus | Minus | Eq | NotEq | Lt | LtEq | Gt | GtEq if is_length(kind) => Some(length),
        _ => None,
    }
}
