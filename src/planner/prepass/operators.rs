//! What PostgreSQL writes as a call and DataFusion as an operator, and the other way round.
//!
//! `mod(a, b)` is `a % b`. `(s).f`, the field of a structure, is `get_field(s, 'f')`. `date_part('second', t)` is EXTRACT's as a float.
//! `timezone('Asia/Tokyo', t)` is what `t AT TIME ZONE 'Asia/Tokyo'` means. Texts are compared by their bytes, so `COLLATE "C"` says
//! nothing new.

use sqlparser::ast::{
    AccessExpr, BinaryOperator, DataType, DateTimeField, Expr, ExtractSyntax, FunctionArguments,
    ObjectName, Value,
};

use super::build::cast;
use super::from_functions::{function, plain};
use crate::planner::parse::fold_ident;

/// Rewrites `expr` where it is one of these.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(call) if call.over.is_none() && call.filter.is_none() => {
            let FunctionArguments::List(list) = &call.args else {
                return;
            };
            let Some(args) = plain(&list.args) else {
                return;
            };
            let made = match (call.name.to_string().to_lowercase().as_str(), &args[..]) {
                ("mod", [left, right]) => {
                    let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
                    let (left, right) = (nested(left), nested(right));
                    let op = BinaryOperator::Modulo;
                    Some(Expr::Nested(Box::new(Expr::BinaryOp { left, op, right })))
                }
                ("date_part", [part, moment]) => float_part(part, moment),
                _ => None,
            };
            if let Some(made) = made {
                *expr = made;
            }
        }
        Expr::Collate {
            expr: inner,
            collation,
        } if is_of_bytes(collation) => *expr = Expr::Nested(inner.clone()),
        Expr::AtTimeZone {
            timestamp,
            time_zone,
        } => {
            let args = vec![(**time_zone).clone(), (**timestamp).clone()];
            *expr = function("timezone", args);
        }
        // `t.s['f']` is a column of t first.
        Expr::CompoundFieldAccess { root, access_chain }
            if !matches!(**root, Expr::Identifier(_) | Expr::CompoundIdentifier(_)) =>
        {
            let fields = access_chain
                .iter()
                .take_while(|access| matches!(access, AccessExpr::Dot(Expr::Identifier(_))))
                .count();
            if fields == 0 {
                return;
            }
            let mut value = (**root).clone();
            for access in access_chain.drain(..fields) {
                if let AccessExpr::Dot(Expr::Identifier(name)) = access {
                    let name = Value::SingleQuotedString(fold_ident(&name));
                    value = function("get_field", vec![value, Expr::Value(name.into())]);
                }
            }
            if access_chain.is_empty() {
                *expr = value;
            } else {
                **root = value;
            }
        }
        _ => {}
    }
}

/// Whether the collation compares texts by their bytes.
fn is_of_bytes(collation: &ObjectName) -> bool {
    let name = collation.0.last().and_then(|part| part.as_ident());
    name.is_some_and(|name| matches!(name.value.as_str(), "C" | "POSIX" | "ucs_basic" | "default"))
}

/// The parts of a moment that have a fraction, which DataFusion's `date_part` cuts.
fn float_part(part: &Expr, moment: &Expr) -> Option<Expr> {
    let Expr::Value(value) = part else {
        return None;
    };
    let Value::SingleQuotedString(part) = &value.value else {
        return None;
    };
    let field = match part.to_lowercase().as_str() {
        "second" | "seconds" => DateTimeField::Second,
        "millisecond" | "milliseconds" => DateTimeField::Millisecond,
        _ => return None,
    };
    let part = Expr::Extract {
        field,
        syntax: ExtractSyntax::From,
        expr: Box::new(moment.clone()),
    };
    Some(cast(part, DataType::DoublePrecision))
}
