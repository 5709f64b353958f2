//! Filters pushed down, and put together rightly, but no condition without columns below an aggregate that has a row whatever comes in.
//!
//! DataFusion's rule moves a condition below an aggregate where all its columns are keys. One without columns, as in
//! `SELECT max(a) FROM t HAVING now() < '2020-01-01'` or what is left of `JOIN .. ON false`, has none that is not; but an aggregate
//! without keys, or with an empty grouping set, answers a row even when nothing comes in, and the condition was to drop that row.
//!
//! It also takes two equalities of a column for a contradiction when they are not written alike. What is a constant by then may stand
//! left of one and right of the other, as in `'1.5'::float8 = y AND y = '1.5'::float8`.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{BinaryExpr, Expr, Filter, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::around::{Outcome, Rule, put_around};

/// Sets DataFusion's rule right.
pub(crate) fn push_down_rightly(rules: &mut [Rule]) {
    put_around(
        rules,
        PushDownFilter::new().name(),
        |theirs, plan, config| match plan {
            LogicalPlan::Filter(filter) => {
                let right = constants_right(&filter);
                let changed = right.is_some();
                let filter = right.unwrap_or(filter);
                let mut pushed = if answers_without_rows(&filter.input) {
                    above_aggregate(theirs, filter, config)?
                } else {
                    theirs.rewrite(LogicalPlan::Filter(filter), config)?
                };
                pushed.transformed |= changed;
                Ok(pushed)
            }
            plan => theirs.rewrite(plan, config),
        },
    );
}

/// `filter`, and those right below it, with constants right of the columns that they are compared with; none where all are already.
fn constants_right(filter: &Filter) -> Option<Filter> {
    let below = match filter.input.as_ref() {
        LogicalPlan::Filter(below) => constants_right(below),
        _ => None,
    };
    let conditions = split_conjunction(&filter.predicate);
    let left = conditions
        .iter()
        .any(|condition| swapped(condition).is_some());
    if below.is_none() && !left {
        return None;
    }
    let right = |condition: &Expr| swapped(condition).unwrap_or_else(|| condition.clone());
    let predicate = conjunction(conditions.into_iter().map(right))?;
    let mut filter = filter.clone();
    filter.predicate = predicate;
    if let Some(below) = below {
        filter.input = Arc::new(LogicalPlan::Filter(below));
    }
    Some(filter)
}

/// A comparison of a constant with a column, the column first.
fn swapped(condition: &Expr) -> Option<Expr> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = condition else {
        return None;
    };
    if left.as_literal().is_none() || right.try_as_col().is_none() {
        return None;
    }
    let (left, right) = (right.clone(), left.clone());
    Some(Expr::BinaryExpr(BinaryExpr::new(left, op.swap()?, right)))
}

/// Keeps the conditions without columns where they are, and pushes the others.
fn above_aggregate(
    theirs: &Rule,
    filter: Filter,
    config: &dyn OptimizerConfig,
) -> Outcome<Transformed<LogicalPlan>> {
    let all = split_conjunction_owned(filter.predicate.clone());
    let (pushed, kept): (Vec<Expr>, Vec<Expr>) = all
        .into_iter()
        .partition(|condition| condition.any_column_refs());
    let Some(kept) = conjunction(kept) else {
        return theirs.rewrite(LogicalPlan::Filter(filter), config);
    };
    let Some(pushed) = conjunction(pushed) else {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    };
    let below = Filter::try_new(pushed, filter.input)?;
    let below = theirs.rewrite(LogicalPlan::Filter(below), config)?;
    below.map_data(|plan| Ok(LogicalPlan::Filter(Filter::try_new(kept, Arc::new(plan))?)))
}

fn answers_without_rows(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else {
        return false;
    };
    let sets = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
    aggregate.group_expr.is_empty() || aggregate.group_expr.iter().any(sets)
}
