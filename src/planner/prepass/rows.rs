//! Comparisons of rows, `(a, b) < (c, d)`, `(a, b) IN (SELECT x, y ...)`, column by column.
//!
//! DataFusion compares structs, for which a NULL in a row is a value like any other, and takes one column from a subquery.
//! In SQL a comparison of rows is what the comparisons of their columns make of it: unknown where those leave it open.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Query,
    SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, UnaryOperator, Value,
};

use super::build::cast;
use super::table::{from, query, select};
use crate::base::{Error, Result};

/// What a subquery is called whose columns are compared with those of a row.
const ALIAS: &str = "__lotic_row";

/// The conditions of a WHERE or HAVING: what is unknown there is false, which makes a test of a subquery cheaper.
pub(super) fn condition(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::BinaryOp {
            left,
            op: BinaryOperator::And,
            right,
        } => {
            condition(left)?;
            condition(right)
        }
        Expr::Nested(inner) => condition(inner),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: inner,
        } => {
            let inner = strip(inner);
            if let Expr::InSubquery {
                expr: tested,
                subquery,
                negated,
            } = inner
                && row_of(tested).is_some()
            {
                let flipped = Expr::InSubquery {
                    expr: tested.clone(),
                    subquery: subquery.clone(),
                    negated: !*negated,
                };
                *expr = flipped;
                return condition(expr);
            }
            Ok(())
        }
        Expr::InSubquery {
            expr: tested,
            subquery,
            negated,
        } => {
            let Some(row) = row_of(tested) else {
                return Ok(());
            };
            let test = if *negated {
                not(exists(may_equal(&row), subquery, row.len()))
            } else {
                exists(equals(&row), subquery, row.len())
            };
            *expr = test;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Rewrites `expr` where it compares rows.
///
/// # Errors
/// 42601 for rows of different lengths.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    let made = match expr {
        Expr::BinaryOp { left, op, right } => compared(left, op, right)?,
        Expr::InList {
            expr: tested,
            list,
            negated,
        } => match row_of(tested) {
            Some(row) => Some(in_list(&row, list, *negated)?),
            None => None,
        },
        Expr::InSubquery {
            expr: tested,
            subquery,
            negated,
        } => row_of(tested).map(|row| {
            // true, else unknown where a row could be equal, else false
            let sure = exists(equals(&row), subquery, row.len());
            let unknown = exists(may_equal(&row), subquery, row.len());
            let test = binary(sure, BinaryOperator::Or, both(null(), unknown));
            if *negated { not(test) } else { nested(test) }
        }),
        _ => None,
    };
    if let Some(made) = made {
        *expr = made;
    }
    Ok(())
}

fn compared(left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Option<Expr>> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    if !matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq) {
        return Ok(None);
    }
    let Some(row) = row_of(left) else {
        return Ok(None);
    };
    if let Some(other) = row_of(right) {
        return pairs(row, op, other).map(Some);
    }
    let Expr::Subquery(subquery) = strip_ref(right) else {
        return Ok(None);
    };
    let columns = (0..row.len()).map(column).collect();
    let value = pairs(row.clone(), op, columns)?;
    let rows = over(
        vec![SelectItem::UnnamedExpr(value)],
        subquery,
        row.len(),
        None,
    );
    Ok(Some(Expr::Subquery(Box::new(rows))))
}

fn in_list(row: &[Expr], list: &[Expr], negated: bool) -> Result<Expr> {
    let mut any: Option<Expr> = None;
    for item in list {
        let one = match row_of(item) {
            Some(other) => pairs(row.to_vec(), &BinaryOperator::Eq, other)?,
            None => return Err(unequal()),
        };
        any = Some(match any {
            Some(any) => binary(any, BinaryOperator::Or, one),
            None => one,
        });
    }
    let any = nested(any.ok_or_else(|| Error::syntax("an IN list is empty"))?);
    Ok(if negated { not(any) } else { any })
}

/// The comparison of two rows, from left to right.
fn pairs(left: Vec<Expr>, op: &BinaryOperator, right: Vec<Expr>) -> Result<Expr> {
    use BinaryOperator::{And, Eq, Gt, GtEq, Lt, LtEq, NotEq, Or};
    if left.len() != right.len() {
        return Err(unequal());
    }
    let mut columns = left.into_iter().zip(right).rev();
    let Some((last_left, last_right)) = columns.next() else {
        return Err(unequal());
    };
    let mut made = binary(last_left, op.clone(), last_right);
    for (left, right) in columns {
        made = match op {
            Eq => binary(binary(left, Eq, right), And, made),
            NotEq => binary(binary(left, NotEq, right), Or, made),
            _ => {
                let strict = match op {
                    Lt | LtEq => Lt,
                    GtEq => Gt,
                    other => other.clone(),
                };
                let before = binary(left.clone(), strict, right.clone());
                binary(before, Or, both(binary(left, Eq, right), made))
            }
        };
    }
    Ok(nested(made))
}

/// The expressions of a row of at least two.
fn row_of(expr: &Expr) -> Option<Vec<Expr>> {
    let row = match strip_ref(expr) {
        Expr::Tuple(exprs) => exprs.clone(),
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("row") => {
            let FunctionArguments::List(list) = &call.args else {
                return None;
            };
            let plain = list.args.iter().map(|arg| match arg {
                FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
                _ => None,
            });
            plain.collect::<Option<Vec<Expr>>>()?
        }
        _ => return None,
    };
    (row.len() > 1).then_some(row)
}

/// Whether every column of a row equals that of the subquery.
fn equals(row: &[Expr]) -> Expr {
    let tests = row
        .iter()
        .enumerate()
        .map(|(place, expr)| binary(column(place), BinaryOperator::Eq, expr.clone()));
    all(tests)
}

/// Whether none of them differs for sure.
fn may_equal(row: &[Expr]) -> Expr {
    let tests = row.iter().enumerate().map(|(place, expr)| {
        let equal = binary(column(place), BinaryOperator::Eq, expr.clone());
        let unknown = binary(
            Expr::IsNull(Box::new(column(place))),
            BinaryOperator::Or,
            Expr::IsNull(Box::new(nested(expr.clone()))),
        );
        binary(equal, BinaryOperator::Or, unknown)
    });
    all(tests)
}

fn all(tests: impl Iterator<Item = Expr>) -> Expr {
    tests
        .reduce(both)
        .unwrap_or_else(|| Expr::Value(Value::Boolean(true).into()))
}

/// `EXISTS (SELECT 1 FROM (subquery) WHERE test)`.
fn exists(test: Expr, subquery: &Query, width: usize) -> Expr {
    let one = Expr::Value(Value::Number("1".to_owned(), false).into());
    let rows = over(
        vec![SelectItem::UnnamedExpr(one)],
        subquery,
        width,
        Some(test),
    );
    Expr::Exists {
        subquery: Box::new(rows),
        negated: false,
    }
}

/// `SELECT projection FROM (subquery) WHERE test`, the columns of the subquery named by their places.
fn over(projection: Vec<SelectItem>, subquery: &Query, width: usize, test: Option<Expr>) -> Query {
    let name = |place| TableAliasColumnDef {
        name: column_name(place),
        data_type: None,
    };
    let rows = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery.clone()),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::with_quote('"', ALIAS),
            columns: (0..width).map(name).collect(),
            at: None,
        }),
        sample: None,
    };
    let mut made = select(projection, vec![from(rows)]);
    made.selection = test;
    query(SetExpr::Select(Box::new(made)))
}

fn column_name(place: usize) -> Ident {
    Ident::with_quote('"', format!("{ALIAS}_{}", place + 1))
}

fn column(place: usize) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::with_quote('"', ALIAS), column_name(place)])
}

fn strip(expr: &mut Expr) -> &mut Expr {
    match expr {
        Expr::Nested(inner) => strip(inner),
        expr => expr,
    }
}

fn strip_ref(expr: &Expr) -> &Expr {
    match expr {
        Expr::Nested(inner) => strip_ref(inner),
        expr => expr,
    }
}

fn both(left: Expr, right: Expr) -> Expr {
    binary(left, BinaryOperator::And, right)
}

pub(super) fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp {
        left: Box::new(nested(left)),
        op,
        right: Box::new(nested(right)),
    }
}

fn nested(expr: Expr) -> Expr {
    match expr {
        Expr::BinaryOp { .. } => Expr::Nested(Box::new(expr)),
        expr => expr,
    }
}

pub(super) fn not(expr: Expr) -> Expr {
    Expr::UnaryOp {
        op: UnaryOperator::Not,
        expr: Box::new(nested(expr)),
    }
}

fn null() -> Expr {
    cast(Expr::Value(Value::Null.into()), DataType::Boolean)
}

fn unequal() -> Error {
    Error::syntax("unequal number of entries in row expressions")
}
