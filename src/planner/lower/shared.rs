//! Parts of a plan that stand in it twice become one operator.
//!
//! A query that joins an aggregate with an aggregate of it, as one with windows often does, names the same
//! part twice; its state and its work are then needed once. Only nodes that keep state or multiply rows are
//! looked up, because the hash of a node is that of everything below it.

use std::collections::HashMap;

use datafusion::common::Result as DfResult;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::LogicalPlan;

use super::lowering::Lowering;
use crate::base::Result;
use crate::engine::NodeId;

/// What was made of the parts that can be shared.
#[derive(Debug, Default)]
pub(super) struct Shared {
    made: HashMap<LogicalPlan, NodeId>,
}

impl Lowering<'_> {
    /// The operator that an equal part of the plan has become.
    pub(super) fn made(&self, plan: &LogicalPlan) -> Option<NodeId> {
        is_worth_it(plan)
            .then(|| self.shared.made.get(plan).copied())
            .flatten()
    }

    /// Remembers what `plan` became.
    ///
    /// # Errors
    /// Never: the walk over the plan has no failing step.
    pub(super) fn remember(&mut self, plan: &LogicalPlan, node: NodeId) -> Result<()> {
        if is_worth_it(plan) && self.is_told_by_its_names(plan)? {
            self.shared.made.insert(plan.clone(), node);
        }
        Ok(())
    }

    /// Whether all that `plan` reads is known by its name: DataFusion calls two scans equal that read from
    /// table functions with different arguments.
    pub(super) fn is_told_by_its_names(&self, plan: &LogicalPlan) -> DfResult<bool> {
        let mut told = true;
        plan.apply(|node| {
            told = match node {
                LogicalPlan::TableScan(scan) => (self.resolve)(&scan.table_name).is_some(),
                LogicalPlan::RecursiveQuery(_) | LogicalPlan::Extension(_) => false,
                _ => true,
            };
            Ok(if told {
                TreeNodeRecursion::Continue
            } else {
                TreeNodeRecursion::Stop
            })
        })?;
        Ok(told)
    }
}

fn is_worth_it(plan: &LogicalPlan) -> bool {
    matches!(
        plan,
        LogicalPlan::Aggregate(_) | LogicalPlan::Join(_) | LogicalPlan::Union(_)
    )
}
