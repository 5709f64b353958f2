//! `generate_series(...)` and `unnest(...)` in FROM, over columns of the items before them, become subqueries.
//!
//! DataFusion's table functions take constants alone. The same functions in a SELECT list take columns, and a LATERAL
//! subquery puts that list into FROM. A call of constants stays; its column gets the alias as its name, as in PostgreSQL.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident,
    ObjectName, Select, SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor,
    visit_expressions,
};

use super::table::{query, select as select_of};

/// Rewrites the FROM items of `select`.
pub(super) fn rewrite(select: &mut Select) {
    let mut first = true;
    for from in &mut select.from {
        item(&mut from.relation, !first);
        first = false;
        for join in &mut from.joins {
            item(&mut join.relation, true);
        }
    }
}

/// Rewrites one item; `lateral` where others stand before it.
fn item(factor: &mut TableFactor, lateral: bool) {
    let Some(call) = call_of(factor) else { return };
    if !call.args.iter().any(reads_columns) {
        name_column(factor);
        return;
    }
    let columns = columns_of(&call);
    let body = select_of(columns, Vec::new());
    let name = match &call.alias {
        Some(alias) => alias.clone(),
        None => TableAlias {
            explicit: true,
            name: Ident::new(call.name),
            columns: Vec::new(),
            at: None,
        },
    };
    *factor = TableFactor::Derived {
        lateral,
        subquery: Box::new(query(SetExpr::Select(Box::new(body)))),
        alias: Some(name),
        sample: None,
    };
}

/// A call in FROM that the rewrite knows.
struct Call {
    name: &'static str,
    args: Vec<Expr>,
    alias: Option<TableAlias>,
}

fn call_of(factor: &TableFactor) -> Option<Call> {
    let (name, args, alias) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality: false,
            ..
        } => (name.to_string(), plain(&args.args)?, alias),
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality: false,
            ..
        } => (name.to_string(), plain(args)?, alias),
        TableFactor::UNNEST {
            array_exprs,
            alias,
            with_offset: false,
            with_ordinality: false,
            ..
        } => ("unnest".to_owned(), array_exprs.clone(), alias),
        _ => return None,
    };
    let name = match name.to_lowercase().as_str() {
        "generate_series" => "generate_series",
        "unnest" => "unnest",
        _ => return None,
    };
    Some(Call {
        name,
        args,
        alias: alias.clone(),
    })
}

fn plain(args: &[FunctionArg]) -> Option<Vec<Expr>> {
    args.iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
            _ => None,
        })
        .collect()
}

/// Whether `expr` names a column.
pub(super) fn reads_columns(expr: &Expr) -> bool {
    visit_expressions(expr, |inner| match inner {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    })
    .is_break()
}

/// The SELECT list of the subquery: one column, or one an array where `unnest` has several.
fn columns_of(call: &Call) -> Vec<SelectItem> {
    let alias = match &call.alias {
        Some(alias) => alias.name.clone(),
        None => Ident::new(call.name),
    };
    let rows = match call.name {
        "unnest" => call.args.iter().map(|arg| vec![arg.clone()]).collect(),
        name => vec![vec![function(name, call.args.clone())]],
    };
    rows.into_iter()
        .map(|args| SelectItem::ExprWithAlias {
            expr: function("unnest", args),
            alias: alias.clone(),
        })
        .collect()
}

/// `FROM generate_series(1, 3) AS g` has the column `g`.
fn name_column(factor: &mut TableFactor) {
    if let TableFactor::Table {
        alias: Some(alias), ..
    }
    | TableFactor::Function {
        alias: Some(alias), ..
    } = factor
        && alias.columns.is_empty()
    {
        alias.columns.push(TableAliasColumnDef {
            name: alias.name.clone(),
            data_type: None,
        });
    }
}

/// A plain call.
pub(super) fn function(name: &str, args: Vec<Expr>) -> Expr {
    let args = args
        .into_iter()
        .map(|arg| FunctionArg::Unnamed(FunctionArgExpr::Expr(arg)))
        .collect();
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args,
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}
