//! Rows of VALUES that DataFusion does not plan: those of which one writes as a text what another says in its type,
//! `VALUES (DATE '2024-01-01'), ('2024-01-02')`, and those with subqueries, which become SELECTs.
//!
//! DataFusion refuses a column of both. A text there becomes `coalesce('2024-01-02', DATE '2024-01-01')`, which is the text in the type
//! of the other.

use std::ops::ControlFlow;

use sqlparser::ast::{
    DataType, Expr, Ident, SelectItem, SetExpr, SetOperator, SetQuantifier, Value, Values,
    visit_expressions,
};

use super::from_functions::function;
use super::table::select;

/// Rewrites `body` where it is VALUES.
pub(super) fn rewrite(body: &mut SetExpr) {
    match body {
        SetExpr::Values(values) => {
            texts_in_type(values);
            if let Some(selects) = as_selects(values) {
                *body = selects;
            }
        }
        SetExpr::SetOperation { left, right, .. } => {
            rewrite(left);
            rewrite(right);
        }
        _ => {}
    }
}

/// The rows as SELECTs, where a subquery stands in one.
fn as_selects(values: &Values) -> Option<SetExpr> {
    let asks = |cell: &Expr| {
        visit_expressions(cell, |part| match part {
            Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => {
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })
        .is_break()
    };
    if !values.rows.iter().flat_map(|row| &row.content).any(asks) {
        return None;
    }
    let selects = values.rows.iter().map(|row| {
        let cells = row.content.iter().zip(1..);
        let cells = cells.map(|(cell, place)| SelectItem::ExprWithAlias {
            expr: cell.clone(),
            alias: Ident::new(format!("column{place}")),
        });
        SetExpr::Select(Box::new(select(cells.collect(), Vec::new())))
    });
    selects.reduce(|left, right| SetExpr::SetOperation {
        op: SetOperator::Union,
        set_quantifier: SetQuantifier::All,
        left: Box::new(left),
        right: Box::new(right),
    })
}

fn texts_in_type(values: &mut Values) {
    let width = values.rows.first().map_or(0, |row| row.content.len());
    for column in 0..width {
        let cells = || values.rows.iter().filter_map(|row| row.content.get(column));
        if !cells().any(is_text) {
            continue;
        }
        let Some(typed) = cells().find(|cell| has_type(cell)).cloned() else {
            continue;
        };
        for row in &mut values.rows {
            if let Some(cell) = row.content.get_mut(column)
                && is_text(cell)
            {
                *cell = function("coalesce", vec![cell.clone(), typed.clone()]);
            }
        }
    }
}

fn is_text(cell: &Expr) -> bool {
    matches!(cell, Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)))
}

/// Whether the cell tells a type, which NULL lacks. With numbers DataFusion unites texts itself.
fn has_type(cell: &Expr) -> bool {
    match cell {
        Expr::Nested(inner) | Expr::UnaryOp { expr: inner, .. } => has_type(inner),
        Expr::BinaryOp { left, right, .. } => has_type(left) || has_type(right),
        Expr::Value(value) => matches!(value.value, Value::Boolean(_)),
        Expr::Cast { data_type, .. } => !is_number(data_type),
        _ => true,
    }
}

fn is_number(data_type: &DataType) -> bool {
    use DataType::{
        BigInt, Dec, Decimal, Double, DoublePrecision, Float, Float4, Float8, Int, Int2, Int4,
        Int8, Integer, Numeric, Real, SmallInt,
    };
    matches!(
        data_type,
        SmallInt(_)
            | Int2(_)
            | Int(_)
            | Integer(_)
            | Int4(_)
            | BigInt(_)
            | Int8(_)
            | Real
            | Float4
            | Double(_)
            | DoublePrecision
            | Float8
            | Float(_)
            | Numeric(_)
            | Decimal(_)
            | Dec(_)
    )
}
