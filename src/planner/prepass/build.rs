//! Pieces of trees that several rewrites make.

use std::fmt::Display;

use sqlparser::ast::helpers::attached_token::AttachedToken;
use sqlparser::ast::{CaseWhen, CastKind, DataType, Expr, Value};

/// A literal number.
pub(super) fn number(number: impl Display) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

/// `CAST(expr AS data_type)`.
pub(super) fn cast(expr: Expr, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type,
        array: false,
        format: None,
    }
}

/// `CASE WHEN condition THEN result ... ELSE otherwise END`, the pairs being of conditions and results.
pub(super) fn case(pairs: Vec<(Expr, Expr)>, otherwise: Option<Expr>) -> Expr {
    let pairs = pairs.into_iter();
    let conditions = pairs.map(|(condition, result)| CaseWhen { condition, result });
    Expr::Case {
        case_token: AttachedToken::empty(),
        end_token: AttachedToken::empty(),
        operand: None,
        conditions: conditions.collect(),
        else_result: otherwise.map(Box::new),
    }
}
