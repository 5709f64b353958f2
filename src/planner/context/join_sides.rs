//! Puts the smaller side of a hash join into its table, where DataFusion cannot tell.
//!
//! DataFusion estimates a join's size from distinct counts, which a snapshot does not have, so from
//! the second join of a chain on it builds on the left as written: the fact table, whose text
//! columns then collect the buffers of everything joined before. Here a subtree counts as large as
//! its largest table, which is right for the usual chain of lookups.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::join_selection::JoinSelection;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};

use super::each_node::EachNode;

/// Sides below this many rows are built once and shared by all partitions of the other.
const SHARED_ROWS: usize = 128 * 1024;

/// The rule. It runs after `JoinSelection` and before distribution is enforced.
pub(super) const JOIN_SIDES: EachNode = EachNode {
    name: "join_sides",
    change: choose,
};

/// `rules` with this one behind `JoinSelection`.
pub(super) fn after_join_selection(
    rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>,
) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let selection = JoinSelection::new();
    let mut all: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = Vec::new();
    for rule in rules {
        let here = rule.name() == selection.name();
        all.push(rule);
        if here {
            all.push(Arc::new(JOIN_SIDES));
        }
    }
    all
}

fn choose(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(join) = node.downcast_ref::<HashJoinExec>() else {
        return Ok(Transformed::no(node));
    };
    let (Some(left), Some(right)) = (largest_table(join.left()), largest_table(join.right()))
    else {
        return Ok(Transformed::no(node));
    };
    if left <= right || !join.join_type().supports_swap() || join.null_aware {
        return Ok(Transformed::no(node));
    }
    let mode = if right < SHARED_ROWS {
        PartitionMode::CollectLeft
    } else {
        PartitionMode::Partitioned
    };
    Ok(Transformed::yes(join.swap_inputs(mode)?))
}

/// The rows of the largest table below `plan`, where all are known.
#[expect(
    deprecated,
    reason = "the successor walks the plan itself; here a leaf is asked alone"
)]
fn largest_table(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    let children = plan.children();
    if children.is_empty() {
        return plan
            .partition_statistics(None)
            .ok()?
            .num_rows
            .get_value()
            .copied();
    }
    let mut largest = 0;
    for child in children {
        largest = largest.max(largest_table(child)?);
    }
    Some(largest)
}
