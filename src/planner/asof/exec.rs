//! The physical node of an ASOF join: the right side is collected and sorted, the left side streams.

use std::fmt;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, Distribution, ExecutionPlan, InputDistributionRequirements,
    Partitioning, PlanProperties,
};
use futures::{StreamExt, TryStreamExt};

use super::nearest::{Compared, Nearest};
use crate::base::Error;
use crate::zset::own_bytes;

/// An ASOF join over whole inputs.
#[derive(Debug)]
pub(super) struct AsofExec {
    left: Arc<dyn ExecutionPlan>,
    right: Arc<dyn ExecutionPlan>,
    compared: Compared,
    properties: Arc<PlanProperties>,
}

impl AsofExec {
    pub(super) fn new(
        left: Arc<dyn ExecutionPlan>,
        right: Arc<dyn ExecutionPlan>,
        compared: Compared,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&compared.schema)),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Self {
            left,
            right,
            compared,
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for AsofExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Compared { on, matching, .. } = &self.compared;
        write!(f, "AsofExec: match={matching:?}, on={on:?}")
    }
}

impl ExecutionPlan for AsofExec {
    fn name(&self) -> &'static str {
        "AsofExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.left, &self.right]
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        InputDistributionRequirements::new(vec![
            Distribution::SinglePartition,
            Distribution::SinglePartition,
        ])
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false, false]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let Ok([left, right]) = <[Arc<dyn ExecutionPlan>; 2]>::try_from(children) else {
            return Err(Error::internal("an ASOF join has two inputs").into());
        };
        Ok(Arc::new(Self::new(left, right, self.compared.clone())))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if partition != 0 {
            return Err(Error::internal("an ASOF join has one partition").into());
        }
        let left = self.left.execute(0, Arc::clone(&context))?;
        let right = self.right.execute(0, Arc::clone(&context))?;
        let reservation = MemoryConsumer::new("AsofExec").register(context.memory_pool());
        let compared = self.compared.clone();
        let joined = async move {
            let (right, reservation) = collect(right, reservation).await?;
            let nearest = Nearest::new(compared, &right)?;
            Ok::<_, DataFusionError>(left.map(move |batch| {
                // The right side is held for as long as rows come.
                let _held = &reservation;
                Ok(nearest.join(&batch?)?)
            }))
        };
        let stream = futures::stream::once(joined).try_flatten();
        let schema = Arc::clone(&self.compared.schema);
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// All rows of a side in one batch.
async fn collect(
    mut input: SendableRecordBatchStream,
    reservation: MemoryReservation,
) -> Result<(RecordBatch, MemoryReservation)> {
    let schema = input.schema();
    let mut batches = Vec::new();
    while let Some(batch) = input.next().await {
        let batch = batch?;
        // The rows, their copy in one batch, and their keys in order.
        reservation.try_grow(own_bytes(&batch).saturating_mul(3))?;
        batches.push(batch);
    }
    Ok((concat_batches(&schema, &batches)?, reservation))
}
