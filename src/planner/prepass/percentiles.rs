//! `percentile_cont(ARRAY[0.5, 0.9]) WITHIN GROUP (ORDER BY x)`: an array of one percentile each, NULL where there is no value.

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments,
};

use super::arrays::elements_of;
use super::build::{case, number};
use super::from_functions::{function, plain};
use super::rows::binary;

/// Rewrites `expr` where it is such a call.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(call) = &*expr else { return };
    let name = call.name.to_string().to_lowercase();
    if !matches!(name.as_str(), "percentile_cont" | "percentile_disc") {
        return;
    }
    let FunctionArguments::List(list) = &call.args else {
        return;
    };
    let args = plain(&list.args).unwrap_or_default();
    let [array] = &args[..] else { return };
    let (Some(fractions), [key]) = (elements_of(array), &call.within_group[..]) else {
        return;
    };
    let each = fractions
        .iter()
        .map(|fraction| with_fraction(call, fraction));
    let any = binary(count(call, &key.expr), BinaryOperator::Gt, number(0));
    *expr = case(vec![(any, function("make_array", each.collect()))], None);
}

/// The call for one percentile.
fn with_fraction(call: &Function, fraction: &Expr) -> Expr {
    let mut call = call.clone();
    if let FunctionArguments::List(list) = &mut call.args {
        list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(
            fraction.clone(),
        ))];
    }
    Expr::Function(call)
}

/// How many values the call is over.
fn count(call: &Function, value: &Expr) -> Expr {
    let mut count = function("count", vec![value.clone()]);
    if let Expr::Function(count) = &mut count {
        count.filter.clone_from(&call.filter);
        count.over.clone_from(&call.over);
    }
    count
}
