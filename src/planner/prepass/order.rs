//! `SELECT DISTINCT a + 1 ... ORDER BY a + 1`: DataFusion knows the column again only by name or number.

use sqlparser::ast::{Distinct, Expr, OrderByKind, Query, SelectItem, SetExpr, Value};

/// Replaces an ORDER BY expression of a SELECT DISTINCT that is one of its columns by the column's number.
pub(super) fn rewrite(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_ref() else { return };
    if !matches!(select.distinct, Some(Distinct::Distinct)) {
        return;
    }
    let Some(OrderByKind::Expressions(keys)) = query.order_by.as_mut().map(|order_by| &mut order_by.kind)
    else {
        return;
    };
    for key in keys {
        if matches!(key.expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)) {
            continue;
        }
        if let Some(number) = column_number(&select.projection, &key.expr) {
            key.expr = Expr::Value(Value::Number(number.to_string(), false).into());
        }
    }
}

/// The number of the column that is `wanted`, unless a `*` before it makes the number unknown.
fn column_number(projection: &[SelectItem], wanted: &Expr) -> Option<usize> {
    for (place, item) in projection.iter().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                if expr == wanted {
                    return Some(place + 1);
                }
            }
            _ => return None,
        }
    }
    None
}
