//! Grouping sets and outer joins promise nothing of their rows that their input promised.
//!
//! DataFusion carries what it knows of a grouping set's input over to its output: that a key is constant, or sorted, or decides the
//! partition. But each set but the widest puts NULL in place of some keys, so none of it holds; a final aggregate that trusts it ends
//! groups too soon and gives them twice. It also takes what is constant or equal on the side of an outer join that may be missing
//! for constant or equal above, where it may be NULL; sorts lose a key by that. Here a node that knows nothing stands above.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{DataFusionError, JoinType};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::each_node::EachNode;
use super::join_sides::JOIN_SIDES;
use super::veil::{Known, Veil};

type Outcome<T> = Result<T, DataFusionError>;

/// `rules` with this one before the first and once more behind `join_sides`: a side that is swapped brings what is constant in it
/// above a join that had hidden it.
pub(super) fn forget_in_time(rules: &mut Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>) {
    let swapped = JOIN_SIDES.name;
    if let Some(place) = rules.iter().position(|rule| rule.name() == swapped) {
        rules.insert(place + 1, Arc::new(FORGOTTEN));
    }
    rules.insert(0, Arc::new(FORGOTTEN));
}

/// The rule. It runs before orders and partitions are enforced.
const FORGOTTEN: EachNode = EachNode {
    name: "forgotten",
    change: forget,
};

fn forget(node: Arc<dyn ExecutionPlan>) -> Outcome<Transformed<Arc<dyn ExecutionPlan>>> {
    if let Some(veil) = node.downcast_ref::<Veil>() {
        let again = veil.input().is::<Veil>();
        let node = if again {
            Arc::clone(veil.input())
        } else {
            node
        };
        return Ok(Transformed::new_transformed(node, again));
    }
    let has_sets = node
        .downcast_ref::<AggregateExec>()
        .is_some_and(|aggregate| !aggregate.group_expr().is_single());
    if !has_sets && !keeps_too_much(node.as_ref()) {
        return Ok(Transformed::no(node));
    }
    let known = if has_sets {
        Known::Nothing
    } else {
        Known::Partitions
    };
    Ok(Transformed::yes(Veil::over(node, known)))
}

/// Whether `node` is an outer join with a side that may be missing, of which more is known than its columns.
fn keeps_too_much(node: &dyn ExecutionPlan) -> bool {
    let kind = if let Some(join) = node.downcast_ref::<HashJoinExec>() {
        *join.join_type()
    } else if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() {
        *join.join_type()
    } else if let Some(join) = node.downcast_ref::<SortMergeJoinExec>() {
        join.join_type()
    } else {
        return false;
    };
    let (left, right) = match kind {
        JoinType::Left => (false, true),
        JoinType::Right => (true, false),
        JoinType::Full => (true, true),
        _ => return false,
    };
    let missing = [left, right].into_iter().zip(node.children());
    missing
        .filter(|(may_be_missing, _)| *may_be_missing)
        .any(|(_, side)| !side.equivalence_properties().eq_group().is_empty())
}
