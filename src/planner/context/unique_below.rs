//! What is unique below is not taken for unique above.
//!
//! An aggregate knows that its keys are unique, and DataFusion orders no further by what follows a unique column. A projection above it
//! keeps that knowledge under the number that the key had below, which is another column's above: `SELECT n, w FROM (SELECT k,
//! count(*) AS n, max(v) AS w .. GROUP BY k ORDER BY n LIMIT 10) ORDER BY n, w` loses `w`, and so does an order by a rank and something else.
//! It only matters where rows are in an order already: there a veil hides what is unique.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use super::each_node::over_inputs;
use super::veil::{Known, Veil};

type Node = Arc<dyn ExecutionPlan>;

/// The rule. It runs before orders are enforced.
#[derive(Debug)]
pub(super) struct UniqueBelow;

impl PhysicalOptimizerRule for UniqueBelow {
    fn optimize(&self, plan: Node, _config: &ConfigOptions) -> Result<Node> {
        hide(plan, false)
    }

    fn name(&self) -> &str {
        "unique_below"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` with veils where something is unique and in order; `ordered`: whether anything above asks for an order.
fn hide(node: Node, ordered: bool) -> Result<Node> {
    let asks = asks_for_order(&node);
    // its rows are put in an order for it, and keep that
    let keeps_order = is_window(&node) && ordered;
    let node = over_inputs(node, |input| {
        let hidden = hide(input, ordered || asks)?;
        Ok(if keeps_order && knows_unique(&hidden) {
            Veil::over(hidden, Known::Order)
        } else {
            hidden
        })
    })?;
    if ordered && knows_unique(&node) && node.output_ordering().is_some() {
        return Ok(Veil::over(node, Known::Order));
    }
    Ok(node)
}

/// Whether rows in an order are something else to `node` than the same rows in none.
pub(super) fn asks_for_order(node: &Node) -> bool {
    is_window(node)
        || node.is::<SortExec>()
        || node.is::<AggregateExec>()
        || node.required_input_ordering().iter().any(Option::is_some)
}

fn is_window(node: &Node) -> bool {
    node.is::<BoundedWindowAggExec>() || node.is::<WindowAggExec>()
}

fn knows_unique(node: &Node) -> bool {
    let constraints = node.equivalence_properties().constraints();
    constraints.iter().next().is_some()
}
