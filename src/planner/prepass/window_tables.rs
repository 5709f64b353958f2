//! `TUMBLE(t, ts, size)`, `HOP(t, ts, slide, size)` and `SESSION(t, ts, gap, keys...)` in FROM become subqueries.
//!
//! A tumbling window adds two columns. A hopping window puts every row in `size / slide` windows: a UNION ALL of as many
//! shifted projections, because projection and union are linear operators and so incremental for free. A session is a window function over the rows of
//! its keys, which lowering knows.

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, Ident, Interval,
    ObjectName, Query, SelectItem, SetExpr, SetOperator, SetQuantifier, TableAlias, TableFactor,
    Value, WildcardAdditionalOptions, WindowSpec, WindowType,
};

use super::from_functions::function;
use super::interval::microseconds;
use super::table::{from, query, relation, select};
use crate::base::{Error, Result};
use crate::planner::functions::{SESSION_END, SESSION_START};
use crate::planner::parse::MAX_DEPTH;

/// Rewrites `factor` where it is TUMBLE, HOP or SESSION.
pub(super) fn rewrite(factor: &mut TableFactor) -> Result<()> {
    let TableFactor::Table {
        name,
        alias,
        args: Some(args),
        ..
    } = &*factor
    else {
        return Ok(());
    };
    let subquery = match name.to_string().to_uppercase().as_str() {
        "TUMBLE" => tumble(&plain(&args.args)?)?,
        "HOP" => hop(&plain(&args.args)?)?,
        "SESSION" => session(&plain(&args.args)?)?,
        _ => return Ok(()),
    };
    let alias = match alias {
        Some(alias) => Some(alias.clone()),
        None => default_alias(&args.args),
    };
    *factor = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias,
        sample: None,
    };
    Ok(())
}

/// Without an alias the windows are called by the table's own name.
fn default_alias(args: &[FunctionArg]) -> Option<TableAlias> {
    alias_of(plain(args).ok()?.first()?)
}

/// The name of the table that `input` is.
pub(super) fn alias_of(input: &Expr) -> Option<TableAlias> {
    let name = match input {
        Expr::Identifier(ident) => ident.clone(),
        Expr::CompoundIdentifier(parts) => parts.last()?.clone(),
        _ => return None,
    };
    Some(TableAlias {
        explicit: true,
        name,
        columns: Vec::new(),
        at: None,
    })
}

pub(super) fn plain(args: &[FunctionArg]) -> Result<Vec<Expr>> {
    args.iter()
        .map(|arg| match arg {
            FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Ok(described(expr).clone()),
            other => Err(Error::syntax(format!(
                "unexpected argument {other} of a window table"
            ))),
        })
        .collect()
}

/// The column of `DESCRIPTOR(column)`, as Flink names a time.
fn described(expr: &Expr) -> &Expr {
    if let Expr::Function(call) = expr
        && call.name.to_string().eq_ignore_ascii_case("descriptor")
        && let FunctionArguments::List(list) = &call.args
        && let [FunctionArg::Unnamed(FunctionArgExpr::Expr(column))] = list.args.as_slice()
    {
        return column;
    }
    expr
}

fn tumble(args: &[Expr]) -> Result<Query> {
    let [input, ts, size] = args else {
        return Err(
            Error::syntax("TUMBLE takes a table, a time column and a size")
                .with_hint("TUMBLE(t, ts, INTERVAL '10 minutes')"),
        );
    };
    let size = microseconds(size, "the size of TUMBLE")?;
    let branch = window(
        source(input)?,
        ts,
        &Shape {
            slide: size,
            size,
            back: 0,
        },
    );
    Ok(query(branch))
}

fn hop(args: &[Expr]) -> Result<Query> {
    let [input, ts, slide, size] = args else {
        return Err(
            Error::syntax("HOP takes a table, a time column, a slide and a size")
                .with_hint("HOP(t, ts, INTERVAL '1 minute', INTERVAL '10 minutes')"),
        );
    };
    let slide = microseconds(slide, "the slide of HOP")?;
    let size = microseconds(size, "the size of HOP")?;
    if size % slide != 0 {
        return Err(Error::invalid(
            "the size of HOP must be a multiple of its slide",
        ));
    }
    let copies = usize::try_from(size / slide).unwrap_or(usize::MAX);
    if copies > MAX_DEPTH / 10 {
        return Err(Error::limit(format!(
            "HOP would put each row in {copies} windows, over the limit of {}",
            MAX_DEPTH / 10
        ))
        .with_hint("use a longer slide"));
    }
    let source = source(input)?;
    let mut body: Option<SetExpr> = None;
    let mut back = 0;
    while back < size {
        let branch = window(source.clone(), ts, &Shape { slide, size, back });
        body = Some(match body {
            None => branch,
            Some(left) => SetExpr::SetOperation {
                left: Box::new(left),
                op: SetOperator::Union,
                set_quantifier: SetQuantifier::All,
                right: Box::new(branch),
            },
        });
        back += slide;
    }
    body.map(query)
        .ok_or_else(|| Error::invalid("the size of HOP must be positive"))
}

fn session(args: &[Expr]) -> Result<Query> {
    let [input, ts, gap, keys @ ..] = args else {
        return Err(Error::syntax(
            "SESSION takes a table, a time column, a gap and the columns that keep sessions apart",
        )
        .with_hint("SESSION(t, ts, INTERVAL '10 minutes', user_id)"));
    };
    let gap = microseconds(gap, "the gap of SESSION")?;
    let bound = |name: &str| over(name, vec![ts.clone(), number(gap)], keys);
    let projection = vec![
        SelectItem::Wildcard(WildcardAdditionalOptions::default()),
        named(bound(SESSION_START), "window_start"),
        named(bound(SESSION_END), "window_end"),
    ];
    let select = select(projection, vec![from(source(input)?)]);
    Ok(query(SetExpr::Select(Box::new(select))))
}

/// A window function over all rows with the same `keys`.
fn over(name: &str, args: Vec<Expr>, keys: &[Expr]) -> Expr {
    let mut call = function(name, args);
    if let Expr::Function(function) = &mut call {
        function.over = Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by: keys.to_vec(),
            order_by: Vec::new(),
            window_frame: None,
        }));
    }
    call
}

fn number(number: i64) -> Expr {
    Expr::Value(Value::Number(number.to_string(), false).into())
}

pub(super) fn source(input: &Expr) -> Result<TableFactor> {
    match input {
        Expr::Identifier(ident) => Ok(relation(ObjectName::from(vec![ident.clone()]))),
        Expr::CompoundIdentifier(parts) => Ok(relation(ObjectName::from(parts.clone()))),
        Expr::Subquery(subquery) => Ok(TableFactor::Derived {
            lateral: false,
            subquery: subquery.clone(),
            alias: Some(TableAlias {
                explicit: true,
                name: Ident::new("__window_input"),
                columns: Vec::new(),
                at: None,
            }),
            sample: None,
        }),
        other => Err(Error::syntax(format!(
            "{other} is neither a table nor a subquery"
        ))),
    }
}

/// The windows of one projection, in microseconds.
struct Shape {
    slide: i64,
    size: i64,
    /// How far the window starts before the last slide.
    back: i64,
}

fn window(source: TableFactor, ts: &Expr, shape: &Shape) -> SetExpr {
    let last = function("date_bin", vec![interval(shape.slide), ts.clone()]);
    let start = shift(last.clone(), -shape.back);
    let end = shift(last, shape.size - shape.back);
    let projection = vec![
        SelectItem::Wildcard(WildcardAdditionalOptions::default()),
        named(start, "window_start"),
        named(end, "window_end"),
    ];
    SetExpr::Select(Box::new(select(projection, vec![from(source)])))
}

fn named(expr: Expr, name: &str) -> SelectItem {
    SelectItem::ExprWithAlias {
        expr,
        alias: Ident::new(name),
    }
}

fn shift(expr: Expr, by: i64) -> Expr {
    let op = match by {
        0 => return expr,
        1.. => BinaryOperator::Plus,
        _ => BinaryOperator::Minus,
    };
    let right = Box::new(interval(by.saturating_abs()));
    Expr::BinaryOp {
        left: Box::new(expr),
        op,
        right,
    }
}

fn interval(microseconds: i64) -> Expr {
    let text = format!("{microseconds} microseconds");
    Expr::Interval(Interval {
        value: Box::new(Expr::Value(Value::SingleQuotedString(text).into())),
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    })
}
