//! The one walk that applies every rule.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, Select, TableFactor, VisitMut, VisitorMut};

use super::dependencies::{self, Dependencies};
use super::{
    array_calls, arrays, asof, ctes, expansion, fetch, from_functions, gap_fill, grouping_sets,
    interval, json, lookup, named_windows, names, numbers, operators, order, outer_aggregates,
    patterns, percentiles, reject, rows, select_functions, subscripts, table, using, values,
    whole_rows, window_tables,
};
use crate::base::{Error, Result};
use crate::planner::stack::on_big_stack;

/// Makes `query` fit for DataFusion and says what it reads. Preparing twice changes nothing more.
///
/// # Errors
/// 0A000 for syntax that would be ignored or that cannot run, 54001 for a query that its CTEs blow up.
pub fn prepare_query(query: &mut Query) -> Result<Dependencies> {
    on_big_stack(|| {
        walk(query)?;
        expansion::check(query)?;
        dependencies::of_query(query)
    })
}

/// The same for an expression that stands alone, as in UPDATE ... SET and WHERE.
///
/// # Errors
/// As [`prepare_query`].
pub fn prepare_expression(expr: &mut Expr) -> Result<Dependencies> {
    on_big_stack(|| {
        walk(expr)?;
        dependencies::of_expression(expr)
    })
}

fn walk(node: &mut impl VisitMut) -> Result<()> {
    match node.visit(&mut Walk) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

/// Visits parents before children, so that what a rewrite makes is visited too.
struct Walk;

fn flow(result: Result<()>) -> ControlFlow<Error> {
    match result {
        Ok(()) => ControlFlow::Continue(()),
        Err(error) => ControlFlow::Break(error),
    }
}

impl VisitorMut for Walk {
    type Break = Error;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Error> {
        flow(
            reject::query(query)
                .and_then(|()| table::rewrite(query))
                .and_then(|()| using::rewrite(query))
                .and_then(|()| named_windows::rewrite_order(query))
                .and_then(|()| {
                    values::rewrite(&mut query.body);
                    order::rewrite(query);
                    ctes::rewrite(query);
                    fetch::rewrite(query)
                }),
        )
    }

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<Error> {
        let joins = select.from.iter_mut().map(|from| &mut from.joins);
        if let Err(error) = joins.into_iter().try_for_each(|joins| {
            lookup::rewrite(joins)?;
            asof::rewrite(joins)
        }) {
            return ControlFlow::Break(error);
        }
        let conditions = [&mut select.selection, &mut select.having];
        let tests = conditions
            .into_iter()
            .flatten()
            .try_for_each(rows::condition);
        if let Err(error) = tests {
            return ControlFlow::Break(error);
        }
        if let Err(error) = whole_rows::check(select).and_then(|()| using::rewrite_select(select)) {
            return ControlFlow::Break(error);
        }
        outer_aggregates::rewrite(select);
        let tests = gap_fill::rewrite(select)
            .and_then(|()| reject::select(select))
            .and_then(|()| grouping_sets::rewrite(select))
            .and_then(|()| named_windows::rewrite(select));
        flow(tests.map(|()| {
            from_functions::rewrite(select);
            select_functions::rewrite(select);
            names::rewrite(select);
        }))
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<Error> {
        if let TableFactor::NestedJoin {
            table_with_joins, ..
        } = factor
            && let Err(error) = asof::rewrite(&mut table_with_joins.joins)
        {
            return ControlFlow::Break(error);
        }
        flow(
            lookup::check(factor)
                .and_then(|()| window_tables::rewrite(factor))
                .and_then(|()| reject::factor(factor)),
        )
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Error> {
        if let Err(error) = arrays::rewrite(expr).and_then(|()| patterns::rewrite(expr)) {
            return ControlFlow::Break(error);
        }
        json::rewrite(expr);
        percentiles::rewrite(expr);
        subscripts::rewrite(expr);
        array_calls::rewrite(expr);
        operators::rewrite(expr);
        numbers::rewrite(expr);
        interval::spell_out(expr);
        flow(rows::rewrite(expr).and_then(|()| reject::expr(expr)))
    }
}
