//! Places in arrays: `a[2:]` ends with the array, and there is nothing before place 1, where DataFusion counts from the end.

use sqlparser::ast::{AccessExpr, BinaryOperator, DataType, Expr, Subscript, UnaryOperator, Value};

use super::build::{case, cast, number};
use super::from_functions::function;
use super::rows::binary;

/// Rewrites `expr` where it takes elements of an array.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::CompoundFieldAccess { root, access_chain } = expr else {
        return;
    };
    for at in 0..access_chain.len() {
        // the end of an inner array is not known by a name
        let is_first = at == 0;
        match access_chain.get_mut(at) {
            Some(AccessExpr::Subscript(Subscript::Index { index })) if is_sum(index) => {
                *index = at_least(index.clone(), 0);
            }
            Some(AccessExpr::Subscript(Subscript::Slice {
                lower_bound,
                upper_bound,
                ..
            })) => {
                let end = || {
                    let length = function("cardinality", vec![(**root).clone()]);
                    cast(length, DataType::BigInt(None))
                };
                let lower = lower_bound.take().unwrap_or_else(|| number(1));
                *lower_bound = Some(at_least(lower, 1));
                *upper_bound = match upper_bound.take() {
                    Some(upper) => Some(at_least(upper, 0)),
                    None => is_first.then(end),
                };
            }
            _ => {}
        }
    }
}

/// Whether `expr` computes a number, which may be below zero.
fn is_sum(expr: &Expr) -> bool {
    match expr {
        Expr::Nested(inner) => is_sum(inner),
        Expr::UnaryOp { op, .. } => *op == UnaryOperator::Minus,
        Expr::BinaryOp { op, .. } => matches!(
            op,
            BinaryOperator::Plus
                | BinaryOperator::Minus
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::Modulo
        ),
        _ => false,
    }
}

/// `place`, or `least` where it is less. Done twice it is done once.
fn at_least(place: Expr, least: u8) -> Expr {
    match &place {
        Expr::Value(value) if matches!(&value.value, Value::Number(text, _) if text == "0") => {
            number(least)
        }
        Expr::Value(_) | Expr::Case { .. } => place,
        _ => {
            let is_less = binary(place.clone(), BinaryOperator::Lt, number(least));
            case(vec![(is_less, number(least))], Some(place))
        }
    }
}
