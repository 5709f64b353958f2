//! Grouping sets and outer joins promise nothing of their rows that their input promised.
//!
//! DataFusion carries what it knows of a grouping set's input over to its output: that a key is constant, or sorted, or decides the
//! partition. But each set but the widest puts NULL in place of some keys, so none of it holds; a final aggregate that trusts it ends
//! groups too soon and gives them twice. It also takes what is constant or equal on the side of an outer join that may be missing
//! for constant or equal above, where it may be NULL; sorts lose a key by that. Here a node that knows nothing stands above.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, JoinType};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::{HashJoinExec, NestedLoopJoinExec, SortMergeJoinExec};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning,
    PlanProperties,
};

use crate::base::Error;

type Outcome<T> = Result<T, DataFusionError>;

/// The rule. It runs before orders and partitions are enforced.
#[derive(Debug, Default)]
pub(super) struct Forgotten;

impl PhysicalOptimizerRule for Forgotten {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let has_sets = node
                .downcast_ref::<AggregateExec>()
                .is_some_and(|aggregate| !aggregate.group_expr().is_single());
            if !has_sets && !keeps_too_much(node.as_ref()) {
                return Ok(Transformed::no(node));
            }
            let unordered = Unordered::new(node, !has_sets);
            Ok(Transformed::yes(
                Arc::new(unordered) as Arc<dyn ExecutionPlan>
            ))
        })
        .data()
    }

    fn name(&self) -> &str {
        "forgotten"
    }

    fn schema_check(&self) -> bool {
        true
    }
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

/// Its input's rows, with nothing known of them.
#[derive(Debug)]
struct Unordered {
    input: Arc<dyn ExecutionPlan>,
    /// Whether rows are divided as the input's are.
    keeps_partitions: bool,
    properties: Arc<PlanProperties>,
}

impl Unordered {
    fn new(input: Arc<dyn ExecutionPlan>, keeps_partitions: bool) -> Self {
        let known = input.properties();
        let partitioning = if keeps_partitions {
            known.partitioning.clone()
        } else {
            Partitioning::UnknownPartitioning(known.partitioning.partition_count())
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            partitioning,
            known.emission_type,
            known.boundedness,
        );
        Self {
            input,
            keeps_partitions,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for Unordered {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnorderedExec")
    }
}

impl ExecutionPlan for Unordered {
    fn name(&self) -> &'static str {
        "UnorderedExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Outcome<TreeNodeRecursion>,
    ) -> Outcome<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let input = children
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("an unordered node has no input"))?;
        Ok(Arc::new(Self::new(input, self.keeps_partitions)))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
        self.replace_children(children, options)
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Outcome<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }
}
