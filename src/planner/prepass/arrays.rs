//! `ARRAY[a, b]` over columns becomes `make_array(a, b)`: DataFusion plans the elements of a literal without the scopes
//! around a subquery, so that a column of the row outside is unknown in it.

use sqlparser::ast::Expr;

use super::from_functions::{function, reads_columns};

/// Rewrites `expr` where it is an array of columns.
pub(super) fn rewrite(expr: &mut Expr) {
    if let Expr::Array(array) = expr
        && array.elem.iter().any(reads_columns)
    {
        *expr = function("make_array", std::mem::take(&mut array.elem));
    }
}
