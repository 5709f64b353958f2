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
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::window::{
    PlainAggregateWindowExpr, SlidingAggregateWindowExpr, StandardWindowExpr,
};
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec, WindowUDFExpr};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, WindowExpr};

use super::each_node::EachNode;
use super::enforced::{replaced, sort_keys};
use super::total_order::{is_sortable, may_split_peers, shows_order};
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
    rules.insert(0, Arc::new(HIDE_ORDER));
    rules.push(Arc::new(SORT_PEERS));
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
        if !known && !key.is::<Literal>() && is_sortable(&key.data_type(input)?) {
            keys.push(PhysicalSortExpr::new(key, ASCENDING));
        }
    }
    Ok(keys)
}

/// Whether the order of peers shows in what the call gives, and `TotalOrder` had to leave it as it was written.
pub(crate) fn is_open_to_peers(call: &dyn WindowExpr) -> bool {
    let is_open = |name: &str| shows_order(name) && !may_split_peers(name, call.get_window_frame());
    if let Some(standard) = call.as_any().downcast_ref::<StandardWindowExpr>() {
        let function = standard.get_standard_func_expr().as_any();
        let function = function.downcast_ref::<WindowUDFExpr>();
        return function.is_some_and(|function| is_open(function.fun().name()));
    }
    aggregate_of(call).is_some_and(|(aggregate, _)| is_open(aggregate.fun().name()))
}

/// The aggregate that the call is, and whether rows also leave its frame.
pub(crate) fn aggregate_of(call: &dyn WindowExpr) -> Option<(&AggregateFunctionExpr, bool)> {
    let any = call.as_any();
    let plain = any.downcast_ref::<PlainAggregateWindowExpr>();
    let sliding = any.downcast_ref::<SlidingAggregateWindowExpr>();
    plain
        .map(|plain| (plain.get_aggregate_expr(), false))
        .or_else(|| sliding.map(|sliding| (sliding.get_aggregate_expr(), true)))
}

fn calls_of(node: &Node) -> Option<&[Arc<dyn WindowExpr>]> {
    let whole = node.downcast_ref::<WindowAggExec>();
    let bounded = node.downcast_ref::<BoundedWindowAggExec>();
    whole
        .map(WindowAggExec::window_expr)
        .or_else(|| bounded.map(BoundedWindowAggExec::window_expr))
        .filter(|calls| calls.iter().any(|call| is_open_to_peers(call.as_ref())))
}

const HIDE_ORDER: EachNode = EachNode {
    name: "hide_order_of_peers",
    change: hide_order,
};

fn hide_order(node: Node) -> Result<Transformed<Node>> {
    let [input] = node.children()[..] else {
        return Ok(Transformed::no(node));
    };
    if calls_of(&node).is_none() {
        return Ok(Transformed::no(node));
    }
    let veiled = Veil::over(Arc::clone(input), Known::Partitions);
    replaced(node, vec![veiled]).map(Transformed::yes)
}

const SORT_PEERS: EachNode = EachNode {
    name: "sort_peers",
    change: sort_peers,
};

fn sort_peers(node: Node) -> Result<Transformed<Node>> {
    let (Some(calls), [input]) = (calls_of(&node), &node.children()[..]) else {
        return Ok(Transformed::no(node));
    };
    let written = node.required_input_ordering().into_iter().flatten();
    let mut keys: Vec<PhysicalSortExpr> = written.flat_map(sort_keys).collect();
    // a key of the partition may have any direction: nodes above may count on the one that it has
    let order = input.output_ordering();
    for key in &mut keys {
        let known = order.and_then(|order| order.iter().find(|known| known.expr.eq(&key.expr)));
        key.options = known.map_or(key.options, |known| known.options);
    }
    keys.extend(peer_order(calls, &input.schema())?);
    let Some(order) = LexOrdering::new(keys) else {
        return Ok(Transformed::no(node));
    };
    let below = match input.downcast_ref::<SortExec>() {
        Some(sort) if sort.fetch().is_none() && parts(sort.input()) == parts(input) => sort.input(),
        _ => input,
    };
    let counted_on = node.output_ordering().cloned();
    let sorted = sort_by(order, Arc::clone(below));
    let node = replaced(node, vec![sorted])?;
    // or on keys behind them, which now come after what the peers are sorted by
    let lost = match counted_on {
        Some(order) => {
            let known = node.equivalence_properties();
            let holds = known.ordering_satisfy(order.clone())?;
            Some(order).filter(|_| !holds)
        }
        None => None,
    };
    Ok(Transformed::yes(match lost {
        Some(order) => sort_by(order, node),
        None => node,
    }))
}

fn parts(node: &Node) -> usize {
    node.output_partitioning().partition_count()
}

/// The rows of each part of `node`, sorted.
fn sort_by(order: LexOrdering, node: Node) -> Node {
    let several = parts(&node) > 1;
    Arc::new(SortExec::new(order, node).with_preserve_partitioning(several))
}
