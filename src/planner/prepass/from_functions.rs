//! Functions that give rows, in FROM: over columns of the items before them, or WITH ORDINALITY, they become subqueries.
//!
//! DataFusion's table functions take constants alone. `unnest` of an array in a SELECT list takes columns, and a LATERAL
//! subquery puts that list into FROM. A call of constants stays; its column gets the alias as its name, as in PostgreSQL.

use std::ops::ControlFlow;

use sqlparser::ast::{
    CastKind, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Select, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, Value, visit_expressions,
};

use super::json;
use super::table::{query, select as select_of};

/// Rewrites the FROM items of `select`.
pub(super) fn rewrite(select: &mut Select) {
    let mut first = true;
    let mut values = Vec::new();
    for from in &mut select.from {
        values.extend(item(&mut from.relation, !first));
        first = false;
        for join in &mut from.joins {
            values.extend(item(&mut join.relation, true));
        }
    }
    json::name_values(select, &values);
}

/// Rewrites one item; `lateral` where others stand before it. The item's alias where it means its one column as well.
fn item(factor: &mut TableFactor, lateral: bool) -> Option<Ident> {
    let call = call_of(factor)?;
    let is_table = matches!(call.name.as_str(), "unnest" | "generate_series" | "range");
    if is_table && !call.ordinality && !call.args.iter().any(reads_columns) {
        name_column(factor);
        return None;
    }
    let arrays = arrays_of(&call.name, &call.args)?;
    let value = json::value_alias(&call.name, call.alias.as_ref());
    let columns = columns_of(&call, arrays);
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
    value
}

/// A call in FROM.
struct Call {
    name: String,
    args: Vec<Expr>,
    alias: Option<TableAlias>,
    ordinality: bool,
}

fn call_of(factor: &TableFactor) -> Option<Call> {
    let (name, args, alias, ordinality) = match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            with_ordinality,
            ..
        } => (name.to_string(), plain(&args.args)?, alias, with_ordinality),
        TableFactor::Function {
            name,
            args,
            alias,
            with_ordinality,
            ..
        } => (name.to_string(), plain(args)?, alias, with_ordinality),
        TableFactor::UNNEST {
            array_exprs,
            alias,
            with_offset: false,
            with_ordinality,
            ..
        } => (
            "unnest".to_owned(),
            array_exprs.clone(),
            alias,
            with_ordinality,
        ),
        _ => return None,
    };
    let name = name.to_lowercase();
    arrays_of(&name, &args)?;
    Some(Call {
        name,
        args,
        alias: alias.clone(),
        ordinality: *ordinality,
    })
}

/// The arrays whose elements are the rows of a call, if `name` is a function that the rewrite knows.
pub(super) fn arrays_of(name: &str, args: &[Expr]) -> Option<Vec<Expr>> {
    match (name, args) {
        ("unnest", args) if !args.is_empty() => Some(args.to_vec()),
        ("generate_series" | "range", args) => Some(vec![function(name, args.to_vec())]),
        (name, [value]) if json::parts(name).is_some() => {
            let parts = json::parts(name)?;
            let list = |part: &json::Part| function(part.list, vec![value.clone()]);
            Some(parts.iter().map(list).collect())
        }
        ("string_to_table", args) => Some(vec![function("string_to_array", args.to_vec())]),
        ("generate_subscripts", [array, Expr::Value(dimension)]) if matches!(&dimension.value, Value::Number(number, _) if number == "1") => {
            Some(vec![numbers_of(std::slice::from_ref(array))])
        }
        _ => None,
    }
}

fn number(number: u8) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

/// The array of the numbers from 1 to the length of the longest array.
fn numbers_of(arrays: &[Expr]) -> Expr {
    let mut lengths: Vec<Expr> = arrays
        .iter()
        .map(|array| function("cardinality", vec![array.clone()]))
        .collect();
    let longest = match (lengths.pop(), lengths.is_empty()) {
        (Some(only), true) => only,
        (last, _) => function("greatest", lengths.into_iter().chain(last).collect()),
    };
    let longest = Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(longest),
        data_type: DataType::BigInt(None),
        array: false,
        format: None,
    };
    function("generate_series", vec![number(1), longest])
}

pub(super) fn plain(args: &[FunctionArg]) -> Option<Vec<Expr>> {
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

/// The SELECT list of the subquery: a column an array, and the row's number where it is asked for.
fn columns_of(call: &Call, arrays: Vec<Expr>) -> Vec<SelectItem> {
    let alias = match &call.alias {
        Some(alias) => alias.name.clone(),
        None => Ident::new(&call.name),
    };
    let own = json::parts(&call.name).unwrap_or_default();
    let numbers = call.ordinality.then(|| numbers_of(&arrays));
    arrays
        .into_iter()
        .enumerate()
        .map(|(at, array)| {
            let column = own.get(at).and_then(|part| part.column);
            (array, column.map_or_else(|| alias.clone(), Ident::new))
        })
        .chain(numbers.map(|numbers| (numbers, Ident::new("ordinality"))))
        .map(|(array, alias)| SelectItem::ExprWithAlias {
            expr: function("unnest", vec![array]),
            alias,
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
