//! Keeps groups out of DataFusion's heap of the first groups where that holds the wrong ones.
//!
//! `SELECT DISTINCT x .. ORDER BY x LIMIT n` keeps no more than n groups at any time. Its table asks whether a key is known with
//! `==`, by which no NaN is: every row with one is a group of its own there. And it follows what is sorted down to the aggregate by
//! name, so that `SELECT -x AS x FROM (SELECT DISTINCT x ..) ORDER BY x LIMIT n` has the wrong end of it. Without the limit the
//! groups are those of every other aggregate, and the sort above takes the first of them.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;

use super::each_node::over_inputs;
use super::veil::Veil;
use crate::zset::canonical::holds_floats;

type Node = Arc<dyn ExecutionPlan>;

/// The rule. It runs when the limits are where they belong.
#[derive(Debug)]
pub(super) struct FirstGroups;

impl PhysicalOptimizerRule for FirstGroups {
    fn optimize(&self, plan: Node, _config: &ConfigOptions) -> Result<Node> {
        all_but_first(plan, None)
    }

    fn name(&self) -> &str {
        "lotic_first_groups"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` with all groups of its aggregates but those of which the first ones are known to be asked for. `sorted`: which of its
/// columns alone a sort with a limit above goes by.
fn all_but_first(node: Node, sorted: Option<usize>) -> Result<Node> {
    let below = sorted_below(&node, sorted);
    let node = over_inputs(node, |input| all_but_first(input, below))?;
    Ok(match node.downcast_ref::<AggregateExec>() {
        Some(aggregate) if holds_wrong_ones(aggregate, sorted) => {
            Arc::new(aggregate.with_new_limit_options(None))
        }
        _ => node,
    })
}

/// Which column of the input is the one that is sorted by.
fn sorted_below(node: &Node, sorted: Option<usize>) -> Option<usize> {
    let column = |expr: &Arc<dyn PhysicalExpr>| expr.downcast_ref::<Column>().map(Column::index);
    if let Some(sort) = node.downcast_ref::<SortExec>() {
        return match sort.expr().as_ref() {
            [key] if sort.fetch().is_some() => column(&key.expr),
            _ => None,
        };
    }
    if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        return projection
            .expr()
            .get(sorted?)
            .and_then(|given| column(&given.expr));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        // the partial groups stand as the final ones do
        let is_final = matches!(
            aggregate.mode(),
            AggregateMode::Final | AggregateMode::FinalPartitioned
        );
        return sorted.filter(|_| is_final);
    }
    let keeps_all = node.is::<Veil>()
        || node.is::<RepartitionExec>()
        || node.is::<CoalescePartitionsExec>()
        || node.is::<SortPreservingMergeExec>();
    sorted.filter(|_| keeps_all)
}

/// Whether an aggregate has a heap of groups that is ordered by another column than the one that is sorted by, or keyed by floats.
fn holds_wrong_ones(aggregate: &AggregateExec, sorted: Option<usize>) -> bool {
    let is_heap = aggregate
        .limit_options()
        .is_some_and(|options| options.descending().is_some());
    if !is_heap {
        return false;
    }
    let input = aggregate.input().schema();
    let mut keys = aggregate.group_expr().expr().iter();
    let by_float = keys.any(|(key, _)| {
        let data_type = key.data_type(&input);
        data_type.is_ok_and(|data_type| holds_floats(&data_type))
    });
    // by its one key, or by the one call behind that
    let ordered_by = aggregate.aggr_expr().len();
    by_float || sorted != Some(ordered_by)
}
