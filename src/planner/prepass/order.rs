//! ORDER BY as PostgreSQL reads it.
//!
//! `SELECT DISTINCT a + 1 ... ORDER BY a + 1`: DataFusion knows the column again only by name or number. And within an expression a
//! name is that of an input column, where DataFusion takes the output column of that name: `SELECT ts::date ... ORDER BY max(ts)`.

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Distinct, Expr, Ident, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, visit_expressions,
};

use super::build::number;
use super::names::{copy_name, figure};
use crate::planner::parse::fold_ident;

/// Replaces an ORDER BY expression of a SELECT DISTINCT that is one of its columns by the column's number, and gives a column
/// another name where an ORDER BY expression means an input column by it.
pub(super) fn rewrite(query: &mut Query) {
    let SetExpr::Select(select) = query.body.as_mut() else {
        return;
    };
    let Some(OrderByKind::Expressions(keys)) =
        query.order_by.as_mut().map(|order_by| &mut order_by.kind)
    else {
        return;
    };
    give_way(&mut select.projection, keys);
    if !matches!(select.distinct, Some(Distinct::Distinct)) {
        return;
    }
    for key in keys {
        if is_plain(&key.expr) {
            continue;
        }
        if let Some(place) = column_number(&select.projection, &key.expr) {
            key.expr = place;
        }
    }
}

fn is_plain(key: &Expr) -> bool {
    matches!(
        key,
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) | Expr::Value(_)
    )
}

/// The number of the column that is `wanted`, unless a `*` before it makes the number unknown.
fn column_number(projection: &[SelectItem], wanted: &Expr) -> Option<Expr> {
    for (place, item) in projection.iter().enumerate() {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                if expr == wanted {
                    return Some(number(place + 1));
                }
            }
            _ => return None,
        }
    }
    None
}

/// Hides the names of computed columns that `keys` mean an input column by.
fn give_way(projection: &mut [SelectItem], keys: &mut [OrderByExpr]) {
    let mut meant = BTreeSet::new();
    for key in keys.iter().filter(|key| !is_plain(&key.expr)) {
        meant.extend(names_in(&key.expr, false));
    }
    for (place, item) in projection.iter_mut().enumerate() {
        let (expr, own) = match item {
            SelectItem::UnnamedExpr(expr) => {
                let own = figure(expr);
                (expr, own)
            }
            SelectItem::ExprWithAlias { expr, alias } => {
                let own = fold_ident(alias);
                (expr, own)
            }
            _ => return,
        };
        // What is computed from an input column of that name shows that there is one.
        if is_plain(expr) || !meant.contains(&own) || !names_in(expr, true).contains(&own) {
            continue;
        }
        let alias = Ident::with_quote('"', copy_name(&own, 1));
        let expr = expr.clone();
        *item = SelectItem::ExprWithAlias { expr, alias };
        for key in keys.iter_mut() {
            if let Expr::Identifier(name) = &key.expr
                && fold_ident(name) == own
            {
                key.expr = number(place + 1);
            }
        }
    }
}

/// The column names in `expr` without a table's name before them, or with one too.
fn names_in(expr: &Expr, qualified: bool) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let ControlFlow::Continue(()) = visit_expressions(expr, |expr| {
        match expr {
            Expr::Identifier(name) => {
                names.insert(fold_ident(name));
            }
            Expr::CompoundIdentifier(parts) if qualified => {
                names.extend(parts.last().map(fold_ident));
            }
            _ => {}
        }
        ControlFlow::<Infallible>::Continue(())
    });
    names
}
