//! A LIMIT that stays where its sort goes, and an OFFSET where it is.
//!
//! DataFusion keeps the LIMIT behind an ORDER BY in the sort, and loses it in some plans in which it finds that the rows stand in that
//! order already, as behind a window over several partitions. Here the LIMIT stands above the sort on its own as well, unless one
//! does, for an OFFSET; where the sort stays, a later rule of DataFusion's takes it away again.
//!
//! A sort that is asked for above an OFFSET is put below it where the orders go together, with the LIMIT but without the rows that
//! are skipped. So what asks for an order does not see that of an OFFSET's rows.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::limit::GlobalLimitExec;
use datafusion::physical_plan::sorts::sort::SortExec;

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

/// `node` with limits of their own above sorts; `ordered`: whether anything above asks for an order.
fn stay(node: Node, ordered: bool) -> Result<Node> {
    let offset = node
        .downcast_ref::<GlobalLimitExec>()
        .map(GlobalLimitExec::skip);
    let asks = ordered || asks_for_order(&node);
    let mut children = Vec::new();
    let mut changed = false;
    for child in node.children() {
        let mut kept = stay(Arc::clone(child), asks)?;
        if offset.is_none() {
            kept = limited(&kept).unwrap_or(kept);
        }
        changed |= !Arc::ptr_eq(&kept, child);
        children.push(kept);
    }
    let node = if changed {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        node.replace_children(children, options)?
    } else {
        node
    };
    Ok(match offset {
        Some(1..) if ordered => Veil::over(node, Known::Partitions),
        _ => node,
    })
}

/// A sort of all rows that has a limit, below that limit.
fn limited(node: &Node) -> Option<Node> {
    let sort = node.downcast_ref::<SortExec>()?;
    let fetch = sort.fetch().filter(|_| !sort.preserve_partitioning())?;
    Some(Arc::new(GlobalLimitExec::new(
        Arc::clone(node),
        0,
        Some(fetch),
    )))
}
