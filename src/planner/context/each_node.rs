//! Rules that look at one node at a time, from the leaves up: of the optimizer, and physical ones, which keep the schema. For those
//! that bring something down with them, a node over changed inputs.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};

type Node = Arc<dyn ExecutionPlan>;

/// Such a rule of the optimizer.
#[derive(Debug)]
pub(super) struct EachPlan {
    /// What the rule is called in DataFusion's errors and traces.
    pub(super) name: &'static str,
    /// What it makes of a node whose inputs it has seen.
    pub(super) change: fn(LogicalPlan) -> Result<Transformed<LogicalPlan>>,
}

impl OptimizerRule for EachPlan {
    fn name(&self) -> &str {
        self.name
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>> {
        (self.change)(plan)
    }
}

/// Such a physical rule.
#[derive(Debug)]
pub(super) struct EachNode {
    /// What the rule is called in DataFusion's errors and traces.
    pub(super) name: &'static str,
    /// What it makes of a node whose children it has seen.
    pub(super) change: fn(Node) -> Result<Transformed<Node>>,
}

impl PhysicalOptimizerRule for EachNode {
    fn optimize(&self, plan: Node, _config: &ConfigOptions) -> Result<Node> {
        plan.transform_up(self.change).data()
    }

    fn name(&self) -> &str {
        self.name
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// `node` over what `change` makes of each input; the same node where that changes none.
pub(super) fn over_inputs(
    node: Node,
    mut change: impl FnMut(Node) -> Result<Node>,
) -> Result<Node> {
    let mut inputs = Vec::new();
    let mut changed = false;
    for input in node.children() {
        let made = change(Arc::clone(input))?;
        changed |= !Arc::ptr_eq(&made, input);
        inputs.push(made);
    }
    if !changed {
        return Ok(node);
    }
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    node.replace_children(inputs, options)
}
