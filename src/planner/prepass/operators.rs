//! What PostgreSQL writes as a call and DataFusion as an operator, and the other way round.
//!
//! `mod(a, b)` is `a % b`. `(s).f`, the field of a structure, is `get_field(s, 'f')`.

use sqlparser::ast::{AccessExpr, BinaryOperator, Expr, FunctionArguments, Value};

use super::from_functions::{function, plain};
use crate::planner::parse::fold_ident;

/// Rewrites `expr` where it is one of these.
pub(super) fn rewrite(expr: &mut Expr) {
    match expr {
        Expr::Function(call) if call.over.is_none() && call.filter.is_none() => {
            let FunctionArguments::List(list) = &call.args else {
                return;
            };
            if !call.name.to_string().eq_ignore_ascii_case("mod") {
                return;
            }
            if let Some([left, right]) = plain(&list.args).as_deref() {
                let nested = |expr: &Expr| Box::new(Expr::Nested(Box::new(expr.clone())));
                let (left, right) = (nested(left), nested(right));
                let op = BinaryOperator::Modulo;
                *expr = Expr::Nested(Box::new(Expr::BinaryOp { left, op, right }));
            }
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
