//! A LIMIT that stays where it is while orders are enforced, and an OFFSET's order.
//!
//! DataFusion keeps the LIMIT behind an ORDER BY in the sort. Where it finds that the rows stand in that order already it loses the
//! LIMIT, or moves it with the sort below a window, which counts fewer rows then. Here it stands above the sort, on its own; once the
//! sorts are where they stay, a later rule of DataFusion's gives it to them.
//!
//! A sort that is asked for above an OFFSET is put below it where the orders go together, with the LIMIT but without the rows that
//! are skipped. So what asks for an order does not see that of an OFFSET's rows.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::each_node::over_inputs;
use super::unique_below::asks_for_order;
use super::veil::{Known, Veil};

type Node = Arc<dyn ExecutionPlan>;

/// The rule. It runs before orders are enforced.
#[derive(Debug)]
pub(super) struct LimitsStay;

impl PhysicalOptimizerRule for LimitsStay {
    fn optimize(&self, plan: Node, _config: &ConfigOptions) -> Result<Node> {
        let plan = limited(&plan).unwrap_or(plan);
        stay(plan, false)
    }

    fn name(&self) -> &str {
        "limits_stay"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` with limits above sorts; `ordered`: whether anything above asks for an order.
fn stay(node: Node, ordered: bool) -> Result<Node> {
    let offset = node
        .downcast_ref::<GlobalLimitExec>()
        .map(GlobalLimitExec::skip);
    let asks = ordered || asks_for_order(&node);
    let node = over_inputs(node, |input| {
        let kept = stay(input, asks)?;
        Ok(match offset {
            None => limited(&kept).unwrap_or(kept),
            // it takes no more rows than the sort has been told to give
            Some(_) => unlimited(&kept).map_or(kept, |(sort, _)| sort),
        })
    })?;
    Ok(match offset {
        Some(1..) if ordered => Veil::over(node, Known::Partitions),
        _ => node,
    })
}

/// A sort of all rows that has a limit, below that limit.
fn limited(node: &Node) -> Option<Node> {
    let (sort, fetch) = unlimited(node)?;
    Some(Arc::new(GlobalLimitExec::new(sort, 0, Some(fetch))))
}

/// A sort of all rows without its limit, and the limit.
fn unlimited(node: &Node) -> Option<(Node, usize)> {
    let sort = node.downcast_ref::<SortExec>()?;
    let fetch = sort.fetch().filter(|_| !sort.preserve_partitioning())?;
    Some((Arc::new(sort.with_fetch(None)), fetch))
}
