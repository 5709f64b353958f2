//! Keeps groups by a float out of DataFusion's heap of the first groups.
//!
//! `SELECT DISTINCT x .. ORDER BY x LIMIT n` keeps no more than n groups at any time. Its table asks whether a key is known with
//! `==`, by which no NaN is: every row with one is a group of its own there. Without the limit the groups are those of every
//! other aggregate, and the sort above takes the first of them.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

use super::each_node::EachNode;
use crate::zset::canonical::holds_floats;

/// The rule. It runs when the limits are where they belong.
pub(super) const FLOAT_GROUPS: EachNode = EachNode {
    name: "lotic_float_groups",
    change: |node| {
        Ok(match all_groups(&node) {
            Some(aggregate) => Transformed::yes(aggregate),
            None => Transformed::no(node),
        })
    },
};

/// The aggregate with all its groups; `None` where it has them, or no float among its keys.
fn all_groups(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let aggregate = node.downcast_ref::<AggregateExec>()?;
    aggregate.limit_options()?.descending()?;
    let input = aggregate.input().schema();
    let mut keys = aggregate.group_expr().expr().iter();
    let by_float = keys.any(|(key, _)| {
        let data_type = key.data_type(&input);
        data_type.is_ok_and(|data_type| holds_floats(&data_type))
    });
    by_float.then(|| Arc::new(aggregate.with_new_limit_options(None)) as Arc<dyn ExecutionPlan>)
}
