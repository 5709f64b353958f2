//! Frames that end at a distance in value, found over whole partitions.
//!
//! DataFusion finds frames while rows come in where it can tell that no later row belongs to them. For `RANGE .. n PRECEDING` it takes
//! that for granted; but a row without a value, or with NaN, sees all its peers, those of later batches too. For `n FOLLOWING` it asks
//! whether a value and the distance pass the newest one, which fails where the type ends. With the partition at hand, both are right.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::logical_expr::{WindowFrame, WindowFrameUnits};
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, InputOrderMode};

use super::each_node::EachNode;
use super::range_frames::is_at_distance;

type Node = Arc<dyn ExecutionPlan>;

/// The rule. It runs when nothing is left that would choose between the two ways.
pub(super) const WHOLE_FRAMES: EachNode = EachNode {
    name: "whole_frames",
    change: over_whole_partitions,
};

fn over_whole_partitions(node: Node) -> Result<Transformed<Node>> {
    let Some(window) = node.downcast_ref::<BoundedWindowAggExec>() else {
        return Ok(Transformed::no(node));
    };
    let calls = window.window_expr();
    let at_distance = calls
        .iter()
        .any(|call| ends_at_distance(call.get_window_frame()));
    // The other modes are for inputs that never end.
    if !at_distance || window.input_order_mode != InputOrderMode::Sorted {
        return Ok(Transformed::no(node));
    }
    let by_partition = !window.partition_keys().is_empty();
    let whole = WindowAggExec::try_new(calls.to_vec(), Arc::clone(window.input()), by_partition)?;
    Ok(Transformed::yes(Arc::new(whole)))
}

fn ends_at_distance(frame: &WindowFrame) -> bool {
    frame.units == WindowFrameUnits::Range && is_at_distance(&frame.end_bound)
}
