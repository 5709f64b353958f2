//! A node that gives its input's rows as they are, and hides what is known of them, and the input from what is pushed down.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{Constraints, DataFusionError};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties,
};

use crate::base::Error;

type Outcome<T> = Result<T, DataFusionError>;

/// What is known of the rows above a veil.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Nothing,
    /// How they are divided.
    Partitions,
    /// That and how they are ordered, but not what is unique.
    Order,
    /// Whatever is known of the input.
    Everything,
}

/// The node.
#[derive(Debug)]
pub(super) struct Veil {
    input: Arc<dyn ExecutionPlan>,
    known: Known,
    properties: Arc<PlanProperties>,
}

impl Veil {
    /// A veil over `input`.
    pub(super) fn over(input: Arc<dyn ExecutionPlan>, known: Known) -> Arc<dyn ExecutionPlan> {
        let below = input.properties();
        let count = below.partitioning.partition_count();
        let partitioning = match known {
            Known::Nothing => Partitioning::UnknownPartitioning(count),
            Known::Partitions | Known::Order | Known::Everything => below.partitioning.clone(),
        };
        let equivalence = match known {
            Known::Everything => below.equivalence_properties().clone(),
            Known::Order => {
                let known = below.equivalence_properties().clone();
                known.with_constraints(Constraints::default())
            }
            Known::Nothing | Known::Partitions => EquivalenceProperties::new(input.schema()),
        };
        let properties = PlanProperties::new(
            equivalence,
            partitioning,
            below.emission_type,
            below.boundedness,
        );
        Arc::new(Self {
            known,
            properties: Arc::new(properties),
            input,
        })
    }

    /// What is known above it.
    pub(super) fn known(&self) -> Known {
        self.known
    }

    /// What the veil lies over.
    pub(super) fn input(&self) -> &Arc<dyn ExecutionPlan> {
        &self.input
    }
}

impl DisplayAs for Veil {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VeilExec")
    }
}

impl ExecutionPlan for Veil {
    fn name(&self) -> &'static str {
        "VeilExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![matches!(self.known, Known::Order | Known::Everything)]
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
            .ok_or_else(|| Error::internal("a veil has no input"))?;
        Ok(Self::over(input, self.known))
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
