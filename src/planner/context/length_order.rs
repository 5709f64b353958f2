//! Lengths of time compared and sorted as PostgreSQL does it, by the numbers that `functions::length_order` makes of them. Only the keys
//! of groups and partitions stay as they are written.

use std::sync::Arc;

use arrow::datatypes::{DataType, IntervalUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{Column, DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::{Case, ScalarFunction, Sort as SortKey};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Projection, Sort, Subquery, cast, lit, when,
};
use datafusion::optimizer::AnalyzerRule;

use super::one_zero::is_comparison;
use super::texts::is_text;
use crate::planner::functions::checked::rewrite_over_inputs;
use crate::planner::functions::length_order::{is_length, number_of};

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule. It runs before DataFusion's coercion, which would make intervals of both sides.
#[derive(Debug, Default)]
pub(super) struct LengthOrder;

impl AnalyzerRule for LengthOrder {
    fn name(&self) -> &str {
        "lotic_length_order"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let sorted = match node {
                LogicalPlan::Sort(sort) => sorted(sort)?,
                node => Transformed::no(node),
            };
            sorted.transform_data(|node| rewrite_over_inputs(node, compared))
        })
        .data()
    }
}

fn sorted(mut sort: Sort) -> Outcome<Transformed<LogicalPlan>> {
    let changed = numbers_as_keys(&mut sort.expr, sort.input.schema())?;
    Ok(Transformed::new_transformed(
        LogicalPlan::Sort(sort),
        changed,
    ))
}

/// Sorts by the numbers of lengths. Says whether there are any.
fn numbers_as_keys(keys: &mut [SortKey], schema: &DFSchema) -> Outcome<bool> {
    let mut changed = false;
    for key in keys {
        if is_interval(&key.expr.get_type(schema)?) {
            changed = true;
            key.expr = number_of(std::mem::take(&mut key.expr));
        }
    }
    Ok(changed)
}

/// A comparison of lengths as one of their numbers. Those between moments are numbers already.
fn compared(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let lengths = |sides: &[&Expr]| are_lengths(sides, schema);
    let changed = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && lengths(&[&left, &right])? =>
        {
            let (left, right) = (Box::new(number(*left)), Box::new(number(*right)));
            Expr::BinaryExpr(BinaryExpr { left, op, right })
        }
        Expr::Between(mut between) if lengths(&[&between.expr, &between.low, &between.high])? => {
            between.expr = Box::new(number(*between.expr));
            between.low = Box::new(number(*between.low));
            between.high = Box::new(number(*between.high));
            Expr::Between(between)
        }
        Expr::InList(mut test)
            if lengths(&test.list.iter().chain([&*test.expr]).collect::<Vec<_>>())? =>
        {
            test.expr = Box::new(number(*test.expr));
            test.list = test.list.into_iter().map(number).collect();
            Expr::InList(test)
        }
        Expr::Case(case) => return numbers_in_case(case, schema),
        Expr::ScalarFunction(call) if call.func.name() == "nullif" => {
            return nullif(call, schema);
        }
        Expr::InSubquery(mut test) if reads_lengths(&test.expr, &test.subquery, schema)? => {
            test.expr = Box::new(number(*test.expr));
            test.subquery = numbers(&test.subquery)?;
            Expr::InSubquery(test)
        }
        Expr::SetComparison(mut test) if reads_lengths(&test.expr, &test.subquery, schema)? => {
            test.expr = Box::new(number(*test.expr));
            test.subquery = numbers(&test.subquery)?;
            Expr::SetComparison(test)
        }
        Expr::WindowFunction(mut call) => {
            let changed = numbers_as_keys(&mut call.params.order_by, schema)?;
            return Ok(Transformed::new_transformed(
                Expr::WindowFunction(call),
                changed,
            ));
        }
        // the key of an ordered set is its value, and that of distinct values has to be one of them
        Expr::AggregateFunction(mut call)
            if !call.func.supports_within_group_clause() && !call.params.distinct =>
        {
            let changed = numbers_as_keys(&mut call.params.order_by, schema)?;
            return Ok(Transformed::new_transformed(
                Expr::AggregateFunction(call),
                changed,
            ));
        }
        other => return Ok(Transformed::no(other)),
    };
    Ok(Transformed::yes(changed))
}

/// `CASE x WHEN y ..` compares as well.
fn numbers_in_case(mut case: Case, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let whens = case.when_then_expr.iter().map(|(when, _)| when.as_ref());
    let sides: Vec<&Expr> = case.expr.iter().map(AsRef::as_ref).chain(whens).collect();
    if case.expr.is_none() || !are_lengths(&sides, schema)? {
        return Ok(Transformed::no(Expr::Case(case)));
    }
    case.expr = case.expr.map(|value| Box::new(number(*value)));
    for (when, _) in &mut case.when_then_expr {
        **when = number(std::mem::take(&mut **when));
    }
    Ok(Transformed::yes(Expr::Case(case)))
}

/// The first of two lengths, or NULL where they are equal.
fn nullif(call: ScalarFunction, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let [length, other] = &call.args[..] else {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    };
    if !are_lengths(&[length, other], schema)? {
        return Ok(Transformed::no(Expr::ScalarFunction(call)));
    }
    let equal = number(length.clone()).eq(number(other.clone()));
    let none = ScalarValue::try_from(&length.get_type(schema)?)?;
    let chosen = when(equal, lit(none)).otherwise(length.clone())?;
    Ok(Transformed::yes(chosen))
}

/// Whether `sides` are lengths, one of them an interval, or texts that are read as such.
fn are_lengths(sides: &[&Expr], schema: &DFSchema) -> Outcome<bool> {
    let mut kinds = Vec::with_capacity(sides.len());
    for side in sides.iter().filter(|side| !is_text(side)) {
        kinds.push(side.get_type(schema)?);
    }
    kinds.retain(|kind| !kind.is_null());
    Ok(kinds.iter().all(is_length) && kinds.iter().any(is_interval))
}

/// As [`are_lengths`], of a value and the rows of a subquery.
fn reads_lengths(value: &Expr, rows: &Subquery, schema: &DFSchema) -> Outcome<bool> {
    let kinds = [
        value.get_type(schema)?,
        rows.subquery.schema().field(0).data_type().clone(),
    ];
    Ok(kinds.iter().all(|kind| kind.is_null() || is_length(kind)) && kinds.iter().any(is_interval))
}

fn is_interval(kind: &DataType) -> bool {
    matches!(kind, DataType::Interval(_))
}

/// The subquery with the numbers of its lengths, under their name.
fn numbers(subquery: &Subquery) -> Outcome<Subquery> {
    let rows = &subquery.subquery;
    let (table, field) = rows.schema().qualified_field(0);
    let length = Expr::Column(Column::from((table, field)));
    let name = field.name().clone();
    let named = number_of(length).alias_qualified(table.cloned(), name);
    let numbered = Projection::try_new(vec![named], Arc::clone(rows))?;
    Ok(subquery.with_plan(Arc::new(LogicalPlan::Projection(numbered))))
}

/// The number of `length`, which may be a text that is read as one.
fn number(length: Expr) -> Expr {
    if is_text(&length) {
        let interval = DataType::Interval(IntervalUnit::MonthDayNano);
        return number_of(cast(length, interval));
    }
    number_of(length)
}
