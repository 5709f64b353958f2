//! What gives rows in FROM: functions over columns of the items before them, over moments, or WITH ORDINALITY, and LATERAL (VALUES ...)
//! of such columns become subqueries.
//!
//! DataFusion's table functions take constants alone, and those of moments only in nanoseconds. `unnest` of an array in a SELECT list takes columns, and a LATERAL
//! subquery puts that list into FROM. A call of constants stays; its column gets the alias as its name, as in PostgreSQL.

use std::ops::ControlFlow;

use sqlparser::ast::{
    ArrayElemTypeDef, DataType, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArgumentList,
    FunctionArguments, Ident, ObjectName, Select, SelectItem, SetExpr, TableAlias,
    TableAliasColumnDef, TableFactor, Value, visit_expressions,
};

use super::build::{cast, number};
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
    if lateral {
        rows_of_columns(factor);
    }
    let call = call_of(factor)?;
    let is_table = matches!(call.name.as_str(), "unnest" | "generate_series" | "range");
    let is_series = call.name != "unnest";
    let reads = |arg: &Expr| reads_columns(arg) || is_series && may_be_moment(arg);
    if is_table && !call.ordinality && !call.args.iter().any(reads) {
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

/// `LATERAL (VALUES (t.a), (t.b))` as the elements of an array a column, where it reads columns.
fn rows_of_columns(factor: &mut TableFactor) {
    let TableFactor::Derived {
        lateral: true,
        subquery,
        ..
    } = factor
    else {
        return;
    };
    let is_plain = subquery.with.is_none()
        && subquery.order_by.is_none()
        && subquery.limit_clause.is_none()
        && subquery.fetch.is_none();
    let SetExpr::Values(values) = subquery.body.as_mut() else {
        return;
    };
    let rows: Vec<&Vec<Expr>> = values.rows.iter().map(|row| &row.content).collect();
    let width = rows.first().map_or(0, |row| row.len());
    let is_table = width > 0 && rows.iter().all(|row| row.len() == width);
    if !is_plain || !is_table || !rows.iter().any(|row| row.iter().any(reads_columns)) {
        return;
    }
    let columns = (0..width).map(|at| {
        let column = rows.iter().map(|row| row[at].clone()).collect();
        SelectItem::ExprWithAlias {
            expr: function("unnest", vec![function("make_array", column)]),
            alias: Ident::new(format!("column{}", at + 1)),
        }
    });
    let body = select_of(columns.collect(), Vec::new());
    *subquery.body = SetExpr::Select(Box::new(body));
}

/// Whether a constant may be a moment: it holds a text or a type's name.
fn may_be_moment(expr: &Expr) -> bool {
    visit_expressions(expr, |inner| match inner {
        Expr::TypedString(_) | Expr::Interval(_) | Expr::Function(_) => ControlFlow::Break(()),
        Expr::Value(value) if matches!(value.value, Value::SingleQuotedString(_)) => {
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })
    .is_break()
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
        ("generate_series" | "range", args) => Some(vec![series(name, args)]),
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

/// The array of a series. A text beside a moment is one too, or the length of a step; and DataFusion's series of timestamps has
/// nanoseconds, with which the years end in 2262.
fn series(name: &str, args: &[Expr]) -> Expr {
    let is_moment = |data_type: &DataType| {
        matches!(
            data_type,
            DataType::Timestamp(..) | DataType::Date | DataType::Datetime(_)
        )
    };
    let moment = args.iter().find_map(|arg| match arg {
        Expr::Cast { data_type, .. } if is_moment(data_type) => Some(data_type.clone()),
        Expr::TypedString(text) if is_moment(&text.data_type) => Some(text.data_type.clone()),
        _ => None,
    });
    let typed = |(place, arg): (usize, &Expr)| match (arg, &moment) {
        (Expr::Value(value), moment) if matches!(value.value, Value::SingleQuotedString(_)) => {
            let data_type = match moment {
                _ if place == 2 => DataType::Interval {
                    fields: None,
                    precision: None,
                },
                Some(moment) => moment.clone(),
                None => return arg.clone(),
            };
            cast(arg.clone(), data_type)
        }
        _ => arg.clone(),
    };
    let array = function(name, args.iter().enumerate().map(typed).collect());
    match moment {
        Some(moment) if moment != DataType::Date => {
            let items = ArrayElemTypeDef::SquareBracket(Box::new(moment), None);
            cast(array, DataType::Array(items))
        }
        _ => array,
    }
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
    let longest = cast(longest, DataType::BigInt(None));
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
