//! `GAP_FILL(t, ts, INTERVAL '1 minute', keys...)` in FROM, with INTERPOLATE, LOCF and KEEPNULL in the SELECT over it.
//!
//! The rows of a key in the order of their times, each with the next one beside it, are what a window function gives;
//! a row for every step up to the next is what `unnest` gives. Both are incremental and look at neighbours alone, and so is
//! this: a change touches the gaps around it. What a plain column is in a row that fills a gap is decided where the columns
//! of `t` are known, in `context::gap_fill`, which finds there what it needs in the name of a column.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArguments, Ident, OrderByExpr, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, Value, VisitMut, VisitorMut, WildcardAdditionalOptions, WindowSpec, WindowType,
};

use super::from_functions::{function, plain};
use super::interval::microseconds;
use super::table::{from, query, select as select_of};
use super::window_tables::{alias_of, plain as plain_args, source};
use crate::base::{Error, Result};
use crate::planner::parse::fold_ident;

/// How a column is filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strategy {
    /// On the straight line between the values before and behind.
    Interpolate,
    /// The last value before.
    Locf,
    /// NULL.
    KeepNull,
}

impl Strategy {
    const ALL: [(&str, Self); 3] = [
        ("interpolate", Self::Interpolate),
        ("locf", Self::Locf),
        ("keepnull", Self::KeepNull),
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Interpolate => "interpolate",
            Self::Locf => "locf",
            Self::KeepNull => "keepnull",
        }
    }
}

/// What a query asks of a GAP_FILL, kept in the name of a column until the columns of its table are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GapSpec {
    /// The column of the times.
    pub time: String,
    /// Microseconds of a step.
    pub length_us: i64,
    /// The columns that keep series apart.
    pub keys: Vec<String>,
    /// What the query asks for beside the columns.
    pub filled: Vec<(Strategy, String)>,
}

const MARK: &str = "__lotic_gap\u{2}";
const PART: char = '\u{2}';
const PIECE: char = '\u{3}';

/// The name of the column that is the step of a row.
pub const STEP: &str = "__lotic_gap_step";
/// The name of the column that is the list of the steps up to the next row.
pub const STEPS: &str = "__lotic_gap_steps";

/// The name of the column that holds what stands in the next row's `column`.
pub fn next_of(column: &str) -> String {
    format!("__lotic_gap_next_{column}")
}

/// The name of the column that is `column` filled so.
pub fn filled_as(strategy: Strategy, column: &str) -> String {
    format!("__lotic_gap_{}_{column}", strategy.name())
}

impl GapSpec {
    fn to_name(&self) -> String {
        let filled = self.filled.iter();
        let filled: Vec<String> = filled
            .map(|(strategy, column)| format!("{}{PIECE}{column}", strategy.name()))
            .collect();
        let piece = PIECE.to_string();
        let part = PART.to_string();
        let keys = self.keys.join(&piece);
        [
            format!("{MARK}{}", self.time),
            self.length_us.to_string(),
            keys,
            filled.join(&part),
        ]
        .join(&part)
    }

    /// The request in a column's name, if it is one.
    pub fn of_name(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix(MARK)?.split(PART);
        let time = parts.next()?.to_owned();
        let length_us = parts.next()?.parse().ok()?;
        let keys = parts.next()?.split(PIECE).filter(|key| !key.is_empty());
        let keys = keys.map(str::to_owned).collect();
        let filled = parts.filter_map(|part| {
            let (strategy, column) = part.split_once(PIECE)?;
            let known = Strategy::ALL.iter().find(|(name, _)| *name == strategy)?;
            Some((known.1, column.to_owned()))
        });
        Some(Self {
            time,
            length_us,
            keys,
            filled: filled.collect(),
        })
    }
}

/// Rewrites the GAP_FILL in FROM of `select`, if there is one, and the strategies over it.
pub(super) fn rewrite(select: &mut Select) -> Result<()> {
    let relations = select.from.iter().flat_map(|from| {
        let joined = from.joins.iter().map(|join| &join.relation);
        std::iter::once(&from.relation).chain(joined)
    });
    let mut calls: Vec<_> = relations.filter_map(call_of).collect();
    let Some((args, alias)) = calls.pop() else {
        return Ok(());
    };
    if !calls.is_empty() {
        return Err(
            Error::unsupported("two GAP_FILL in one FROM are not supported")
                .with_hint("put one of them in a subquery"),
        );
    }
    let args = args?;
    let [input, time, length, keys @ ..] = args.as_slice() else {
        return Err(
            Error::syntax("GAP_FILL takes a table, a time column, an interval and the columns that keep series apart")
                .with_hint("GAP_FILL(t, ts, INTERVAL '1 minute', device)"),
        );
    };
    // Without a name the columns of its table would not be looked at.
    let unnamed = || TableAlias {
        explicit: true,
        name: Ident::new("gap_fill"),
        columns: Vec::new(),
        at: None,
    };
    let alias = alias.or_else(|| alias_of(input));
    let alias = Some(alias.unwrap_or_else(unnamed));
    let mut spec = GapSpec {
        time: column_of(time)?,
        length_us: microseconds(length, "the interval of GAP_FILL")?,
        keys: keys.iter().map(column_of).collect::<Result<_>>()?,
        filled: Vec::new(),
    };
    collect(select, &mut spec)?;
    let subquery = series(source(input)?, &spec);
    let derived = TableFactor::Derived {
        lateral: false,
        subquery: Box::new(subquery),
        alias,
        sample: None,
    };
    replace(select, derived);
    Ok(())
}

/// Puts `derived` in the place of the GAP_FILL.
fn replace(select: &mut Select, derived: TableFactor) {
    let mut places = select.from.iter_mut().flat_map(|from| {
        let joined = from.joins.iter_mut().map(|join| &mut join.relation);
        std::iter::once(&mut from.relation).chain(joined)
    });
    if let Some(factor) = places.find(|factor| call_of(factor).is_some()) {
        *factor = derived;
    }
}

/// The arguments and the alias of a call of GAP_FILL.
fn call_of(factor: &TableFactor) -> Option<(Result<Vec<Expr>>, Option<TableAlias>)> {
    match factor {
        TableFactor::Table {
            name,
            args: Some(args),
            alias,
            ..
        } if name.to_string().eq_ignore_ascii_case("gap_fill") => {
            Some((plain_args(&args.args), alias.clone()))
        }
        _ => None,
    }
}

/// The name of the column that `expr` is.
fn column_of(expr: &Expr) -> Result<String> {
    match expr {
        Expr::Identifier(name) => Ok(fold_ident(name)),
        Expr::CompoundIdentifier(parts) if !parts.is_empty() => {
            Ok(parts.last().map(fold_ident).unwrap_or_default())
        }
        other => Err(Error::unsupported(format!(
            "{other} is no column, and GAP_FILL and its strategies take columns"
        ))
        .with_hint("compute it in a subquery: GAP_FILL((SELECT ...), ts, ...)")),
    }
}

/// Writes the strategies of `select` as columns, and adds them to `spec`.
fn collect(select: &mut Select, spec: &mut GapSpec) -> Result<()> {
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item
            && let Some((strategy, _)) = strategy_of(expr)
        {
            *item = SelectItem::ExprWithAlias {
                expr: expr.clone(),
                alias: Ident::new(strategy.name()),
            };
        }
    }
    let mut walk = Collect { spec };
    let mut parts = select.projection.visit(&mut walk);
    if parts.is_continue() {
        parts = select.selection.visit(&mut walk);
    }
    if parts.is_continue() {
        parts = select.group_by.visit(&mut walk);
    }
    if parts.is_continue() {
        parts = select.having.visit(&mut walk);
    }
    if let ControlFlow::Break(error) = parts {
        return Err(error);
    }
    let star = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    if star && !spec.filled.is_empty() {
        return Err(
            Error::unsupported("* beside INTERPOLATE, LOCF or KEEPNULL is not supported")
                .with_hint("name the columns"),
        );
    }
    Ok(())
}

struct Collect<'a> {
    spec: &'a mut GapSpec,
}

impl VisitorMut for Collect<'_> {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        let Some((strategy, column)) = strategy_of(expr) else {
            return ControlFlow::Continue(());
        };
        let name = match column_of(&column) {
            Ok(name) => name,
            Err(error) => return ControlFlow::Break(error),
        };
        let filled = Ident::with_quote('"', filled_as(strategy, &name));
        *expr = match column {
            Expr::CompoundIdentifier(mut parts) => {
                parts.pop();
                parts.push(filled);
                Expr::CompoundIdentifier(parts)
            }
            _ => Expr::Identifier(filled),
        };
        let wanted = (strategy, name);
        if !self.spec.filled.contains(&wanted) {
            self.spec.filled.push(wanted);
        }
        ControlFlow::Continue(())
    }
}

/// The strategy that `expr` calls, and its argument.
fn strategy_of(expr: &Expr) -> Option<(Strategy, Expr)> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let name = call.name.to_string().to_lowercase();
    let (_, strategy) = Strategy::ALL.iter().find(|(known, _)| *known == name)?;
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    match plain(&list.args)?.as_slice() {
        [column] => Some((*strategy, column.clone())),
        _ => None,
    }
}

/// Every row once for itself and once for each step before the next one of its series.
fn series(input: TableFactor, spec: &GapSpec) -> Query {
    let quoted = |name: &str| Expr::Identifier(Ident::with_quote('"', name));
    let number = |number: i64| Expr::Value(Value::Number(number.to_string(), false).into());
    let star = || SelectItem::Wildcard(WildcardAdditionalOptions::default());
    let named = |expr, name: String| SelectItem::ExprWithAlias {
        expr,
        alias: Ident::with_quote('"', name),
    };
    let lead = |column: &str| {
        let mut call = function("lead", vec![quoted(column)]);
        if let Expr::Function(call) = &mut call {
            call.over = Some(WindowType::WindowSpec(WindowSpec {
                window_name: None,
                partition_by: spec.keys.iter().map(|key| quoted(key)).collect(),
                order_by: vec![OrderByExpr::from(Ident::with_quote('"', &spec.time))],
                window_frame: None,
            }));
        }
        call
    };
    let mut ahead: Vec<&str> = vec![&spec.time];
    for (strategy, column) in &spec.filled {
        if *strategy == Strategy::Interpolate && !ahead.contains(&column.as_str()) {
            ahead.push(column);
        }
    }
    let mut columns = vec![star()];
    columns.extend(
        ahead
            .into_iter()
            .map(|column| named(lead(column), next_of(column))),
    );
    let beside = select_of(columns, vec![from(input)]);

    let steps = function(
        lotic_udfs::GAP_STEPS,
        vec![
            quoted(&spec.time),
            quoted(&next_of(&spec.time)),
            number(spec.length_us),
        ],
    );
    let counted = select_of(
        vec![star(), named(steps, STEPS.to_owned())],
        vec![from(derived(beside, "__lotic_gap_rows"))],
    );
    let opened = select_of(
        vec![
            star(),
            named(function("unnest", vec![quoted(STEPS)]), STEP.to_owned()),
            named(Expr::Value(Value::Boolean(true).into()), spec.to_name()),
        ],
        vec![from(derived(counted, "__lotic_gap_rows"))],
    );
    query(SetExpr::Select(Box::new(opened)))
}

fn derived(select: Select, name: &str) -> TableFactor {
    TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query(SetExpr::Select(Box::new(select)))),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::new(name),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    }
}
