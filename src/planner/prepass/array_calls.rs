//! Calls and operators of arrays that mean another thing to DataFusion than to PostgreSQL.
//!
//! `array_remove` and `array_replace` are of all elements, an empty array has no length, and `a && b` asks whether two arrays share an
//! element, of which NULL is none.

use sqlparser::ast::{
    BinaryOperator, DataType, Expr, Function, FunctionArguments, Ident, ObjectName, Value,
};

use super::build::{case, cast, number};
use super::from_functions::{function, plain};
use super::rows::binary;

/// Rewrites `expr` where it is one of these.
pub(super) fn rewrite(expr: &mut Expr) {
    let made = match expr {
        Expr::Function(call) if call.over.is_none() => called(call),
        Expr::BinaryOp {
            left,
            op: BinaryOperator::PGOverlap,
            right,
        } => Some(overlap(left, right)),
        _ => None,
    };
    if let Some(made) = made {
        *expr = made;
    }
}

fn called(call: &mut Function) -> Option<Expr> {
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let args = plain(&list.args)?;
    match (call.name.to_string().to_lowercase().as_str(), &args[..]) {
        (name @ ("array_remove" | "array_replace"), _) => {
            let all = Ident::new(format!("{name}_all"));
            call.name = ObjectName::from(vec![all]);
            None
        }
        ("array_length" | "array_upper", [_, _]) => {
            let length = function("nullif", vec![length(args), number(0)]);
            Some(cast(length, DataType::Int(None)))
        }
        ("array_lower", [_, _]) => {
            let has_one = binary(length(args), BinaryOperator::Gt, number(0));
            Some(case(vec![(has_one, number(1))], None))
        }
        _ => None,
    }
}

/// The length of an array in a dimension, 0 where it is empty: DataFusion's `array_length` by its other name.
fn length(args: Vec<Expr>) -> Expr {
    function("list_length", args)
}

/// Whether two arrays share an element. DataFusion counts NULL for one: where both have it, they have to share two.
fn overlap(left: &Expr, right: &Expr) -> Expr {
    let null = || Expr::Value(Value::Null.into());
    let is_null = |array: &Expr| Expr::IsNull(Box::new(array.clone()));
    let has_null = |array: &Expr| {
        let place = function("array_position", vec![array.clone(), null()]);
        Expr::IsNotNull(Box::new(place))
    };
    let both = vec![left.clone(), right.clone()];
    let shared = function("array_intersect", both.clone());
    let shared = function("cardinality", vec![shared]);
    let unknown = binary(is_null(left), BinaryOperator::Or, is_null(right));
    let nulls = binary(has_null(left), BinaryOperator::And, has_null(right));
    let share_two = binary(shared, BinaryOperator::Gt, number(1));
    let share_one = function("array_has_any", both);
    case(vec![(unknown, null()), (nulls, share_two)], Some(share_one))
}
