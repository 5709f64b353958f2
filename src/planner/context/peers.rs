//! Peers within a frame in a settled order.
//!
//! `last_value(v) OVER (ORDER BY k)` and its like take one of the rows that the order calls equal, or all of them one after the
//! other, and leave open in which order those come. More keys would make it total, but then the rows would be no peers any more,
//! and the frame another. So the rows are sorted further, by what such functions of the node read, and the window does not
//! know: rows that are equal in it all give the same values.
//!
//! The first of two physical rules hides the order of the window's input, so that nothing reverses the window to save a sort;
//! the second puts in the longer sort when nothing is left that would take it for needless.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::{WindowFrame, WindowFrameBound, WindowFrameUnits};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr,
};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, WindowExpr};

use super::enforced::replaced;
use super::total_order::has_order;
use super::veil::{Known, Veil};

/// As NULL comes in every order that is not written.
const ASCENDING: SortOptions = SortOptions {
    descending: false,
    nulls_first: false,
};

type Node = Arc<dyn ExecutionPlan>;
type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// `rules` with the first of the two before them and the second behind.
pub(super) fn settle_peers(rules: &mut Vec<Rule>) {
    rules.insert(0, Arc::new(HideOrder));
    rules.push(Arc::new(SortPeers));
}

/// What the peers of a row are sorted by, for those of `calls` that their order is open to, over rows of `input`.
///
/// # Errors
/// When an argument has no type.
pub(crate) fn peer_order(
    calls: &[Arc<dyn WindowExpr>],
    input: &Schema,
) -> Result<Vec<PhysicalSortExpr>> {
    let mut keys: Vec<PhysicalSortExpr> = Vec::new();
    let open = calls.iter().filter(|call| is_open_to_peers(call.as_ref()));
    for key in open.flat_map(|call| call.expressions()) {
        let known = keys.iter().any(|other| other.expr.eq(&key));
        if !known && !key.is::<Literal>() && has_order(&key.data_type(input)?) {
            keys.push(PhysicalSortExpr::new(key, ASCENDING));
        }
    }
    Ok(keys)
}

/// Whether the order of peers shows in what the call gives.
pub(crate) fn is_open_to_peers(call: &dyn WindowExpr) -> bool {
    let any = call.as_any();
    let frame = call.get_window_frame();
    if let Some(standard) = any.downcast_ref::<StandardWindowExpr>() {
        let function = standard.get_standard_func_expr().as_any();
        let function = function.downcast_ref::<WindowUDFExpr>();
        return function.is_some_and(|function| cuts_no_peers(function.fun().name(), frame));
    }
    let aggregate = any
        .downcast_ref::<PlainAggregateWindowExpr>()
        .map(PlainAggregateWindowExpr::get_aggregate_expr)
        .or_else(|| {
            any.downcast_ref::<SlidingAggregateWindowExpr>()
                .map(SlidingAggregateWindowExpr::get_aggregate_expr)
        });
    aggregate.is_some_and(|aggregate| cuts_no_peers(aggregate.fun().name(), frame))
}

/// Whether `TotalOrder` left the order of such a call as it was written, though it matters.
fn cuts_no_peers(name: &str, frame: &WindowFrame) -> bool {
    let starts_open = frame.start_bound.is_unbounded();
    let ends_open =
        matches!(&frame.end_bound, WindowFrameBound::Following(bound) if bound.is_null());
    let left = match name {
        "last_value" | "nth_value" | "array_agg" | "string_agg" => !(starts_open && ends_open),
        "first_value" => !starts_open,
        _ => false,
    };
    left && frame.units != WindowFrameUnits::Rows
}

fn calls_of(node: &Node) -> Option<&[Arc<dyn WindowExpr>]> {
    let whole = node.downcast_ref::<WindowAggExec>();
    let bounded = node.downcast_ref::<BoundedWindowAggExec>();
    whole
        .map(WindowAggExec::window_expr)
        .or_else(|| bounded.map(BoundedWindowAggExec::window_expr))
        .filter(|calls| calls.iter().any(|call| is_open_to_peers(call.as_ref())))
}

#[derive(Debug)]
struct HideOrder;

impl PhysicalOptimizerRule for HideOrder {
    fn optimize(&self, plan: Node, _config: &ConfigOptions) -> Result<Node> {
        plan.transform_up(|node| {
            let [input] = node.children()[..] else {
                return Ok(Transformed::no(node));
            };
            if calls_of(&node).is_none() {
                return Ok(Transformed::no(node));
            }
            let veiled = Veil::over(Arc::clone(input), Known::Partitions);
            replaced(node, vec![veiled]).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &str {
        "hide_order_of_peers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct SortPeers;

impl PhysicalOptimizerRule for SortPeers {
    fn optimize(&self, plan: Node, _config: &ConfigOptions) -> Result<Node> {
        plan.transform_up(|node| {
            let Some(calls) = calls_of(&node) else {
                return Ok(Transformed::no(node));
            };
            let [input] = node.children()[..] else {
                return Ok(Transformed::no(node));
            };
            let mut keys = written_order(&node);
            keys.extend(peer_order(calls, &input.schema())?);
            let Some(order) = LexOrdering::new(keys) else {
                return Ok(Transformed::no(node));
            };
            let parts = |node: &Node| node.output_partitioning().partition_count();
            let below = match input.downcast_ref::<SortExec>() {
                Some(sort) if sort.fetch().is_none() && parts(sort.input()) == parts(input) => {
                    sort.input()
                }
                _ => input,
            };
            let sort = SortExec::new(order, Arc::clone(below));
            let sort = sort.with_preserve_partitioning(parts(below) > 1);
            replaced(node, vec![Arc::new(sort)]).map(Transformed::yes)
        })
        .data()
    }

    fn name(&self) -> &str {
        "sort_peers"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// The order that the window asks of its input.
fn written_order(node: &Node) -> Vec<PhysicalSortExpr> {
    let required = node.required_input_ordering().into_iter().flatten();
    required
        .flat_map(|required| required.into_single())
        .map(|key| PhysicalSortExpr::new(key.expr, key.options.unwrap_or_default()))
        .collect()
}
