//! Filters pushed down, but no condition without columns below an aggregate that has a row whatever comes in.
//!
//! DataFusion's rule moves a condition below an aggregate where all its columns are keys. One without columns, as in
//! `SELECT max(a) FROM t HAVING now() < '2020-01-01'` or what is left of `JOIN .. ON false`, has none that is not; but an aggregate
//! without keys, or with an empty grouping set, answers a row even when nothing comes in, and the condition was to drop that row.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::around::{Outcome, Rule, put_around};

/// Sets DataFusion's rule right.
pub(crate) fn push_down_rightly(rules: &mut [Rule]) {
    put_around(
        rules,
        PushDownFilter::new().name(),
        |theirs, plan, config| match plan {
            LogicalPlan::Filter(filter) if answers_without_rows(&filter.input) => {
                above_aggregate(theirs, filter, config)
            }
            plan => theirs.rewrite(plan, config),
        },
    );
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
