//! How far a watermark stays behind its column: `WATERMARK FOR ts AS ts - INTERVAL '5 seconds'`.

use sqlparser::ast::{BinaryOperator, Expr};

use super::interval::microseconds;
use crate::base::{Error, Result};
use crate::planner::parse::{Watermark, fold_ident};

/// The microseconds between a watermark and the newest time of its column; 0 where both are the same.
///
/// # Errors
/// 0A000 when the bound is neither the column nor the column without an interval of fixed length.
pub fn watermark_delay_us(watermark: &Watermark) -> Result<i64> {
    match unwrapped(&watermark.bound) {
        bound if is_column(bound, &watermark.column) => Ok(0),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::Minus,
            right,
        } if is_column(unwrapped(left), &watermark.column) => delay(unwrapped(right)),
        other => Err(Error::unsupported(format!(
            "the watermark {other} is not its column without an interval"
        ))
        .with_hint(format!(
            "WATERMARK FOR {0} AS {0} - INTERVAL '5 seconds'",
            watermark.column
        ))),
    }
}

fn delay(interval: &Expr) -> Result<i64> {
    if let Expr::Interval(literal) = interval
        && literal.value.to_string().trim_matches('\'').trim() == "0"
    {
        return Ok(0);
    }
    microseconds(interval, "the delay of a watermark")
}

fn unwrapped(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => unwrapped(inner),
        expr => expr,
    }
}

fn is_column(expr: &Expr, column: &str) -> bool {
    matches!(expr, Expr::Identifier(ident) if fold_ident(ident) == column)
}
