//! Functions that give rows, in a SELECT list: `generate_series(1, n)` becomes `unnest` of the array that DataFusion
//! makes of it, and each element a row, as in PostgreSQL.
//!
//! A call that stands as an argument of another function stays an array.

use sqlparser::ast::{Expr, FunctionArguments, Ident, Select, SelectItem};

use super::from_functions::{arrays_of, function, plain};
use super::json;

/// Rewrites the columns of `select`.
pub(super) fn rewrite(select: &mut Select) {
    for item in &mut select.projection {
        match item {
            SelectItem::ExprWithAlias { expr, .. } => {
                open(expr);
            }
            SelectItem::UnnamedExpr(expr) => {
                if let Some(name) = open(expr) {
                    *item = SelectItem::ExprWithAlias {
                        expr: expr.clone(),
                        alias: Ident::new(name),
                    };
                }
            }
            _ => {}
        }
    }
}

/// Rewrites the calls in `expr`; the name of the function if `expr` was nothing else.
fn open(expr: &mut Expr) -> Option<&'static str> {
    match expr {
        Expr::Nested(inner) => return open(inner),
        Expr::Cast { expr: inner, .. } | Expr::UnaryOp { expr: inner, .. } => {
            open(inner);
        }
        Expr::BinaryOp { left, right, .. } => {
            open(left);
            open(right);
        }
        Expr::Function(call) if call.over.is_none() => {
            let name = match call.name.to_string().to_lowercase().as_str() {
                "generate_series" => "generate_series",
                "generate_subscripts" => "generate_subscripts",
                "string_to_table" => "string_to_table",
                name => json::one_column(name)?,
            };
            let FunctionArguments::List(list) = &call.args else {
                return None;
            };
            let arrays = arrays_of(name, &plain(&list.args)?)?;
            *expr = function("unnest", arrays);
            return Some(name);
        }
        _ => {}
    }
    None
}
