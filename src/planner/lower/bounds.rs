//! Which columns of a plan are bounded by watermarks: below which value no row changes any more.
//!
//! A bound starts at the column of a source's WATERMARK and goes where a column does, through functions that keep the order of
//! times. A node that can change a row for another reason than a row of its input with the same or a later time ends it.
//!
//! | node | bounded in the output |
//! |---|---|
//! | scan, filter, projection | what is bounded in the input, through `date_bin`, `date_trunc`, casts and fixed lengths of time |
//! | union | what is bounded in every input, by the least |
//! | aggregate | keys |
//! | window function | what all partitions are by; the order, where no function looks ahead |
//! | session | the end of the window |
//! | join | a column that a condition ties to a bounded one of the other side: `=`, or not before it |

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType as Type, ScalarValue, TableReference};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{
    Aggregate, Between, BinaryExpr, Cast, Expr, ExprSchemable, Join, LogicalPlan, Operator,
    TableScan, Union, Window,
};

use super::expressions::{reads_elsewhere, unaliased};
use super::keyed::column_of;
use super::lowering::Resolved;
use super::on_close::mark_of;
use super::temporal::reads_clock;
use super::window::{call_of, looks_ahead};
use crate::base::{ObjectId, Result};
use crate::planner::functions::SESSION_END;

/// The name of the only column that a term reads.
pub(super) const TIME: &str = "watermark";

/// The least of what some watermarks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bound {
    pub(super) terms: Vec<Term>,
}

/// What one watermark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Term {
    pub(super) source: ObjectId,
    /// The type of the watermark's column.
    pub(super) time: DataType,
    /// The bound, over a column [`TIME`] of that type.
    pub(super) value: Expr,
}

/// The bounds of a plan's columns, as far as they have some; shorter than the columns where the rest has none.
pub type Bounds = Vec<Option<Bound>>;

/// Names the collection behind a table of a plan.
pub(super) type Resolve<'a> = &'a dyn Fn(&TableReference) -> Option<Resolved>;

impl Bound {
    /// The bound of a column that a watermark is for.
    pub fn of_source(source: ObjectId, time: &DataType) -> Self {
        let value = Expr::Column(Column::new_unqualified(TIME));
        Self {
            terms: vec![Term {
                source,
                time: time.clone(),
                value,
            }],
        }
    }

    fn least(&self, other: &Self) -> Self {
        let mut terms = self.terms.clone();
        for term in &other.terms {
            if !terms.contains(term) {
                terms.push(term.clone());
            }
        }
        Self { terms }
    }

    /// The bound of `expr`, which keeps the order of its only column.
    fn through(&self, expr: &Expr) -> Result<Self> {
        let mut terms = Vec::with_capacity(self.terms.len());
        for term in &self.terms {
            let value = expr.clone().transform_up(|part| {
                Ok(match part {
                    Expr::Column(_) => Transformed::yes(term.value.clone()),
                    part => Transformed::no(part),
                })
            })?;
            terms.push(Term {
                value: value.data,
                ..term.clone()
            });
        }
        Ok(Self { terms })
    }
}

/// The bounds of the columns of `plan`.
///
/// # Errors
/// When an expression of the plan has no type: a defect.
pub(super) fn bounds_of(plan: &LogicalPlan, resolve: Resolve<'_>) -> Result<Bounds> {
    if has_other_reasons(plan) {
        return Ok(Bounds::new());
    }
    match plan {
        LogicalPlan::TableScan(scan) => Ok(of_scan(scan, resolve)),
        LogicalPlan::SubqueryAlias(alias) => bounds_of(&alias.input, resolve),
        LogicalPlan::Filter(filter) => {
            if let Some(join) = inner_join(&filter.input) {
                return of_joined(join, Some(&filter.predicate), resolve);
            }
            let mut bounds = bounds_of(&filter.input, resolve)?;
            if let Some(column) = mark_of(&filter.predicate) {
                // a row that is held back by one column comes late for the others
                let kept = column_of(column, filter.input.schema());
                for (place, bound) in bounds.iter_mut().enumerate() {
                    *bound = bound.take().filter(|_| kept == Some(place));
                }
            }
            Ok(bounds)
        }
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => bounds_of(&sort.input, resolve),
        LogicalPlan::Projection(projection) => {
            let input = bounds_of(&projection.input, resolve)?;
            all_of(&projection.expr, &input, projection.input.schema())
        }
        LogicalPlan::Aggregate(aggregate) => of_aggregate(aggregate, resolve),
        LogicalPlan::Union(union) => of_union(union, resolve),
        LogicalPlan::Window(window) => of_window(window, resolve),
        LogicalPlan::Join(join) => of_joined(join, None, resolve),
        _ => Ok(Bounds::new()),
    }
}

/// The join that `plan` is, when nothing but pairs comes out of it.
pub(super) fn inner_join(plan: &LogicalPlan) -> Option<&Join> {
    match plan {
        LogicalPlan::Join(join) if join.join_type == Type::Inner && !join.null_aware => Some(join),
        _ => None,
    }
}

/// The bounds of the output of a join. A column that may stand for a partner that is not there has none: such a row would never
/// be closed by it.
fn of_joined(join: &Join, above: Option<&Expr>, resolve: Resolve<'_>) -> Result<Bounds> {
    let [mut left, mut right] = of_join(join, above, resolve)?;
    match join.join_type {
        Type::LeftSemi | Type::LeftAnti | Type::LeftMark => return Ok(left),
        Type::RightSemi | Type::RightAnti | Type::RightMark => return Ok(right),
        Type::Inner => {}
        Type::Left => right.clear(),
        Type::Right => left.clear(),
        Type::Full => return Ok(Bounds::new()),
    }
    left.resize(join.left.schema().fields().len(), None);
    left.extend(right);
    Ok(left)
}

/// Whether rows of a node change with the clock or with the answer of a subquery.
pub(super) fn has_other_reasons(plan: &LogicalPlan) -> bool {
    any_other_reason(&plan.expressions())
}

fn any_other_reason(exprs: &[Expr]) -> bool {
    let mut exprs = exprs.iter();
    exprs.any(|expr| reads_clock(expr) || reads_elsewhere(expr))
}

fn of_scan(scan: &TableScan, resolve: Resolve<'_>) -> Bounds {
    let Some(Resolved { bounds, .. }) = resolve(&scan.table_name) else {
        return Bounds::new();
    };
    match &scan.projection {
        None => bounds,
        Some(columns) => {
            let bound = |column: &usize| bounds.get(*column).cloned().flatten();
            columns.iter().map(bound).collect()
        }
    }
}

fn of_aggregate(aggregate: &Aggregate, resolve: Resolve<'_>) -> Result<Bounds> {
    if aggregate
        .group_expr
        .iter()
        .any(|expr| matches!(expr, Expr::GroupingSet(_)))
    {
        return Ok(Bounds::new());
    }
    let input = bounds_of(&aggregate.input, resolve)?;
    all_of(&aggregate.group_expr, &input, aggregate.input.schema())
}

fn of_union(union: &Union, resolve: Resolve<'_>) -> Result<Bounds> {
    let mut all: Option<Bounds> = None;
    for input in &union.inputs {
        let next = bounds_of(input, resolve)?;
        all = Some(match all {
            None => next,
            Some(all) => all
                .iter()
                .zip(&next)
                .map(|(one, other)| Some(one.as_ref()?.least(other.as_ref()?)))
                .collect(),
        });
    }
    Ok(all.unwrap_or_default())
}

fn of_window(window: &Window, resolve: Resolve<'_>) -> Result<Bounds> {
    let schema = window.input.schema();
    let input = bounds_of(&window.input, resolve)?;
    let mut output: Bounds = input
        .iter()
        .enumerate()
        .map(|(column, bound)| {
            let stays = window.window_expr.iter().all(|expr| {
                let partition = call_of(expr).map(|call| &call.params.partition_by);
                let has = |keys: &Vec<Expr>| {
                    keys.iter()
                        .any(|key| column_of(key, schema) == Some(column))
                };
                partition.is_some_and(has) || orders_by(expr, column, schema)
            });
            bound.clone().filter(|_| stays)
        })
        .collect();
    output.resize(schema.fields().len(), None);
    for expr in &window.window_expr {
        let end = call_of(expr).filter(|call| call.fun.name() == SESSION_END);
        let time = end.and_then(|call| call.params.args.first());
        output.push(match time {
            Some(time) => of_expr(time, &input, schema)?,
            None => None,
        });
    }
    Ok(output)
}

/// Whether the rows of each partition are ordered by `column` first, and the function of `expr` sees none behind its own.
fn orders_by(expr: &Expr, column: usize, schema: &DFSchema) -> bool {
    let Some(call) = call_of(expr) else {
        return false;
    };
    let Some(first) = call.params.order_by.first() else {
        return false;
    };
    let rises = first.asc && !first.nulls_first;
    rises && column_of(&first.expr, schema) == Some(column) && !looks_ahead(call)
}

/// The bounds of the columns that the two sides of a join have in its output, of which only pairs count for which `above` is
/// true. A row of one side that lies below them finds no partner any more either.
pub(super) fn of_join(
    join: &Join,
    above: Option<&Expr>,
    resolve: Resolve<'_>,
) -> Result<[Bounds; 2]> {
    let mut tied = [Bounds::new(), Bounds::new()];
    if join.null_aware || any_other_reason(join.filter.as_slice()) {
        return Ok(tied);
    }
    let schemas = [join.left.schema(), join.right.schema()];
    let inputs = [
        bounds_of(&join.left, resolve)?,
        bounds_of(&join.right, resolve)?,
    ];
    let mut conditions: Vec<(Expr, Expr)> = Vec::new();
    for (left, right) in &join.on {
        conditions.extend([(left.clone(), right.clone()), (right.clone(), left.clone())]);
    }
    for condition in join.filter.iter().chain(above).flat_map(split_conjunction) {
        conditions.extend(not_before(condition));
    }
    let moved: Vec<(Expr, Expr)> = conditions
        .iter()
        .filter_map(|(earlier, later)| moved_over(earlier, &defined(later, join)))
        .collect();
    conditions.extend(moved);
    for (earlier, later) in &conditions {
        for (own, other) in [(0, 1), (1, 0)] {
            let Some(column) = column_of(later, schemas[own]) else {
                continue;
            };
            let Some(bound) = inputs[own].get(column).cloned().flatten() else {
                continue;
            };
            let Some(partner) = of_expr(earlier, &inputs[other], schemas[other])? else {
                continue;
            };
            if earlier.get_type(schemas[other])? != *schemas[own].field(column).data_type() {
                continue;
            }
            if tied[own].len() <= column {
                tied[own].resize(column + 1, None);
            }
            tied[own][column].get_or_insert_with(|| bound.least(&partner));
        }
    }
    Ok(tied)
}

/// What a side of a join computes as the column that `expr` is; else `expr` itself.
fn defined(expr: &Expr, join: &Join) -> Expr {
    for side in [&join.left, &join.right] {
        if let LogicalPlan::Projection(projection) = side.as_ref()
            && let Some(column) = column_of(expr, &projection.schema)
            && let Some(computed) = projection.expr.get(column)
        {
            let passes = |part: &Expr| {
                let place = column_of(part, &projection.schema);
                place.and_then(|place| projection.expr.get(place)) == Some(part)
            };
            return match unaliased(computed) {
                Expr::BinaryExpr(sum) if passes(&sum.left) => Expr::BinaryExpr(sum.clone()),
                _ => expr.clone(),
            };
        }
    }
    unaliased(expr).clone()
}

/// `earlier <= time + length` as `earlier - length <= time`.
fn moved_over(earlier: &Expr, later: &Expr) -> Option<(Expr, Expr)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = later else {
        return None;
    };
    let back = match op {
        Operator::Plus => Operator::Minus,
        Operator::Minus => Operator::Plus,
        _ => return None,
    };
    // months are not taken back by what adds them
    let fixed = match right.as_ref() {
        Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(length)), _) => length.months == 0,
        Expr::Literal(value, _) => matches!(value.data_type(), DataType::Duration(_)),
        _ => false,
    };
    let is_column = matches!(left.as_ref(), Expr::Column(_));
    (fixed && is_column).then(|| {
        let moved = BinaryExpr::new(Box::new(earlier.clone()), back, right.clone());
        (Expr::BinaryExpr(moved), left.as_ref().clone())
    })
}

/// Pairs of which the second is not before the first, where `condition` is true.
fn not_before(condition: &Expr) -> Vec<(Expr, Expr)> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (left, right) = (left.as_ref().clone(), right.as_ref().clone());
            match op {
                Operator::Lt | Operator::LtEq => vec![(left, right)],
                Operator::Gt | Operator::GtEq => vec![(right, left)],
                Operator::Eq => vec![(left.clone(), right.clone()), (right, left)],
                _ => Vec::new(),
            }
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => vec![
            (low.as_ref().clone(), expr.as_ref().clone()),
            (expr.as_ref().clone(), high.as_ref().clone()),
        ],
        _ => Vec::new(),
    }
}

/// The bounds of `exprs` over rows with the bounds `input`.
pub(super) fn all_of(exprs: &[Expr], input: &Bounds, schema: &DFSchema) -> Result<Bounds> {
    exprs
        .iter()
        .map(|expr| of_expr(expr, input, schema))
        .collect()
}

/// The bound of `expr`, where it keeps the order of one bounded column.
fn of_expr(expr: &Expr, input: &Bounds, schema: &DFSchema) -> Result<Option<Bound>> {
    let expr = unaliased(expr);
    let Some(column) = rises_with(expr) else {
        return Ok(None);
    };
    let Some(column) = column_of(column, schema) else {
        return Ok(None);
    };
    match input.get(column).and_then(Option::as_ref) {
        Some(bound) if is_time(&expr.get_type(schema)?) => Ok(Some(bound.through(expr)?)),
        _ => Ok(None),
    }
}

/// The column whose order `expr` keeps.
fn rises_with(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Column(_) => Some(expr),
        Expr::Alias(alias) => rises_with(&alias.expr),
        Expr::Cast(Cast { expr, field }) if is_time(field.data_type()) => rises_with(expr),
        Expr::ScalarFunction(call) => {
            let (constants, time): (Vec<&Expr>, Vec<&Expr>) =
                call.args.iter().partition(|arg| is_constant(arg));
            match (call.func.name(), time.as_slice(), constants.len()) {
                ("date_bin" | "date_trunc", [time], 1..) => rises_with(time),
                _ => None,
            }
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match op {
            Operator::Plus | Operator::Minus if is_constant(right) => rises_with(left),
            Operator::Plus if is_constant(left) => rises_with(right),
            _ => None,
        },
        _ => None,
    }
}

fn is_constant(expr: &Expr) -> bool {
    matches!(unaliased(expr), Expr::Literal(..))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32)
}
