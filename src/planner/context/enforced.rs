//! What the nodes of a plan require of their input, made sure of at the end.
//!
//! DataFusion puts sorts and exchanges where its reasoning over constants, equal columns and orders says that they are needed, and
//! refuses the plan where the same reasoning, a few rules later, says otherwise; it does so for valid queries. This takes the place of
//! that last check: what it finds missing is added, and nothing is refused but what would never end.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_expr::{LexOrdering, OrderingRequirements, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::sanity_checker::{
    SanityCheckPlan, check_finiteness_requirements,
};
use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::sorts::sort_preserving_merge::SortPreservingMergeExec;
use datafusion::physical_plan::{
    ChildSatisfactionOptions, Distribution, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements,
};

type Node = Arc<dyn ExecutionPlan>;

/// The rule.
#[derive(Debug, Default)]
pub(super) struct Enforced;

/// Puts the rule in the place of DataFusion's check.
pub(super) fn enforce_at_the_end(rules: &mut [Arc<dyn PhysicalOptimizerRule + Send + Sync>]) {
    let check = SanityCheckPlan::new();
    for rule in rules {
        if rule.name() == check.name() {
            *rule = Arc::new(Enforced);
        }
    }
}

impl PhysicalOptimizerRule for Enforced {
    fn optimize(&self, plan: Node, config: &ConfigOptions) -> Result<Node> {
        plan.transform_up(|node| {
            check_finiteness_requirements(node.as_ref(), &config.optimizer)?;
            enforce(node)
        })
        .data()
    }

    fn name(&self) -> &str {
        "enforced"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn enforce(node: Node) -> Result<Transformed<Node>> {
    let mut children: Vec<Node> = node.children().into_iter().map(Arc::clone).collect();
    let mut changed = gather(&node.input_distribution_requirements(), &mut children)?;
    for (child, required) in children.iter_mut().zip(node.required_input_ordering()) {
        let Some(required) = required else {
            continue;
        };
        let known = child.equivalence_properties();
        if known.ordering_satisfy_requirement(required.clone().into_single())? {
            continue;
        }
        let Some(order) = LexOrdering::new(sort_keys(required)) else {
            continue;
        };
        if !comes_in(child, &order) {
            let several = child.output_partitioning().partition_count() > 1;
            let sort = SortExec::new(order, Arc::clone(child));
            *child = Arc::new(sort.with_preserve_partitioning(several));
            changed = true;
        }
    }
    Ok(if changed {
        Transformed::yes(replaced(node, children)?)
    } else {
        Transformed::no(node)
    })
}

/// The keys of a sort that gives what is required.
pub(super) fn sort_keys(required: OrderingRequirements) -> impl Iterator<Item = PhysicalSortExpr> {
    required.into_single().into_iter().map(|key| {
        let options = key.options.unwrap_or_default();
        PhysicalSortExpr::new(key.expr, options)
    })
}

/// `node` over other children.
pub(super) fn replaced(node: Node, children: Vec<Node>) -> Result<Node> {
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    node.replace_children(children, options)
}

/// Makes one partition of every child that has to be divided in some way, where one is not divided so.
fn gather(required: &InputDistributionRequirements, children: &mut [Node]) -> Result<bool> {
    let options = ChildSatisfactionOptions::new().with_allow_subset(true);
    let mut unsatisfied = false;
    for (place, child) in children.iter().enumerate() {
        let how = required.child_satisfaction(place, child.as_ref(), options)?;
        unsatisfied |= !how.is_satisfied();
    }
    if !unsatisfied {
        return Ok(false);
    }
    for (child, divided) in children.iter_mut().zip(required.per_child_distributions()) {
        let several = child.output_partitioning().partition_count() > 1;
        if several && !matches!(divided, Distribution::UnspecifiedDistribution) {
            *child = Arc::new(CoalescePartitionsExec::new(Arc::clone(child)));
        }
    }
    Ok(true)
}

/// Whether `child` sorts in the very order, though reasoning over it does not see that.
fn comes_in(child: &Node, order: &LexOrdering) -> bool {
    if let Some(sort) = child.downcast_ref::<SortExec>() {
        return sort.expr() == order;
    }
    child
        .downcast_ref::<SortPreservingMergeExec>()
        .is_some_and(|merge| merge.expr() == order)
}
