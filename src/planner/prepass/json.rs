//! JSON: functions that give rows are `unnest` of lists of a value's parts, and aggregates are functions of `array_agg`.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, ObjectName, Select, SelectItem,
    TableAlias, visit_expressions_mut,
};

use super::from_functions::{function, plain};

/// One column of a function that gives rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    /// The function that makes the list of its values.
    pub(super) list: &'static str,
    /// Its name; without one the column is named as the function or its alias.
    pub(super) column: Option<&'static str>,
}

const fn part(list: &'static str, column: Option<&'static str>) -> Part {
    Part { list, column }
}

/// The columns of the function `name`, which gives rows.
pub(super) fn parts(name: &str) -> Option<&'static [Part]> {
    const KEY: Part = part("jsonb_list_member_keys", Some("key"));
    Some(match name {
        "jsonb_array_elements" | "json_array_elements" => {
            const { &[part("jsonb_list_elements", Some("value"))] }
        }
        "jsonb_array_elements_text" | "json_array_elements_text" => {
            const { &[part("jsonb_list_element_texts", Some("value"))] }
        }
        "jsonb_object_keys" | "json_object_keys" => const { &[part("jsonb_list_keys", None)] },
        "jsonb_each" | "json_each" => {
            const { &[KEY, part("jsonb_list_member_values", Some("value"))] }
        }
        "jsonb_each_text" | "json_each_text" => {
            const { &[KEY, part("jsonb_list_member_texts", Some("value"))] }
        }
        _ => return None,
    })
}

/// `name` as a function whose rows have one column, so that it can stand in a SELECT list.
pub(super) fn one_column(name: &str) -> Option<&'static str> {
    const NAMES: [&str; 6] = [
        "jsonb_array_elements",
        "jsonb_array_elements_text",
        "jsonb_object_keys",
        "json_array_elements",
        "json_array_elements_text",
        "json_object_keys",
    ];
    NAMES.into_iter().find(|own| *own == name)
}

/// In `FROM jsonb_array_elements(j) AS e` the column is `value`, and `e` means it too.
pub(super) fn value_alias(name: &str, alias: Option<&TableAlias>) -> Option<Ident> {
    let [
        Part {
            column: Some(_), ..
        },
    ] = parts(name)?
    else {
        return None;
    };
    let alias = alias?;
    alias.columns.is_empty().then(|| alias.name.clone())
}

/// Writes `e.value` for `e` where `e` is one of `aliases`; the columns of the result keep their names.
pub(super) fn name_values(select: &mut Select, aliases: &[Ident]) {
    if aliases.is_empty() {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(Expr::Identifier(name)) = item
            && aliases.contains(name)
        {
            let (expr, alias) = (Expr::Identifier(name.clone()), name.clone());
            *item = SelectItem::ExprWithAlias { expr, alias };
        }
    }
    // Nothing breaks off the walk.
    let ControlFlow::Continue(()) = visit_expressions_mut(select, |expr| {
        if let Expr::Identifier(name) = expr
            && aliases.contains(name)
        {
            *expr = Expr::CompoundIdentifier(vec![name.clone(), Ident::new("value")]);
        }
        ControlFlow::<std::convert::Infallible>::Continue(())
    });
}

/// Rewrites `expr` where it is an aggregate that makes JSON: a list is collected, and JSON made of it.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Function(call) = expr else { return };
    let FunctionArguments::List(list) = &mut call.args else {
        return;
    };
    let Some(args) = plain(&list.args) else {
        return;
    };
    let (outer, element) = match (
        call.name.to_string().to_lowercase().as_str(),
        args.as_slice(),
    ) {
        ("jsonb_agg" | "json_agg", [value]) => {
            ("jsonb_of_list", function("to_jsonb", vec![value.clone()]))
        }
        ("jsonb_object_agg" | "json_object_agg", [key, value]) => {
            // The key as a text: in an array it would stay a number.
            let key = function("jsonb_key", vec![key.clone()]);
            let pair = function("jsonb_build_array", vec![key, value.clone()]);
            ("jsonb_of_pairs", pair)
        }
        _ => return,
    };
    list.args = vec![FunctionArg::Unnamed(FunctionArgExpr::Expr(element))];
    call.name = ObjectName::from(vec![Ident::new("array_agg")]);
    *expr = function(outer, vec![expr.clone()]);
}
