//! A running plan that can be ended.
//!
//! DataFusion's joins do not yield while they have input, so a cancelled query would run on until its join is
//! done. Two nets: every join is wrapped so that its stream gives the runtime a turn, and a
//! flag is tested whenever a join's filter is evaluated, which also ends one long poll.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    CrossJoinExec, HashJoinExec, NestedLoopJoinExec, PiecewiseMergeJoinExec, SortMergeJoinExec,
    SymmetricHashJoinExec,
};
use datafusion::physical_plan::{ExecutionPlan, PhysicalExpr};

use crate::base::{CancelFlag, Result};

/// Wraps every join of `plan` so that it yields, and the filters of nested-loop joins so that they end when `flag`
/// is raised.
///
/// # Errors
/// When a node cannot be rebuilt over its wrapped children, which would be a defect.
pub fn make_cancellable(
    plan: Arc<dyn ExecutionPlan>,
    flag: &CancelFlag,
) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let node = with_checked_filter(node, flag)?;
        Ok(if is_join(node.as_ref()) {
            Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>)
        } else {
            Transformed::no(node)
        })
    });
    Ok(wrapped.data()?)
}

fn is_join(node: &dyn ExecutionPlan) -> bool {
    node.is::<HashJoinExec>()
        || node.is::<NestedLoopJoinExec>()
        || node.is::<CrossJoinExec>()
        || node.is::<SortMergeJoinExec>()
        || node.is::<SymmetricHashJoinExec>()
        || node.is::<PiecewiseMergeJoinExec>()
}

/// A nested-loop join may work through its whole product in one poll when its filter passes nothing.
fn with_checked_filter(
    node: Arc<dyn ExecutionPlan>,
    flag: &CancelFlag,
) -> std::result::Result<Arc<dyn ExecutionPlan>, DataFusionError> {
    let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else {
        return Ok(node);
    };
    let Some(filter) = join.filter() else {
        return Ok(node);
    };
    let checked = Arc::new(Checked {
        inner: Arc::clone(filter.expression()),
        flag: flag.clone(),
    });
    let filter = JoinFilter::new(
        checked,
        filter.column_indices().to_vec(),
        Arc::clone(filter.schema()),
    );
    let rebuilt = NestedLoopJoinExec::try_new(
        Arc::clone(join.left()),
        Arc::clone(join.right()),
        Some(filter),
        join.join_type(),
        join.projection().as_ref().map(|places| places.to_vec()),
    )?;
    Ok(Arc::new(rebuilt))
}

/// An expression that fails once the flag is raised.
#[derive(Debug)]
struct Checked {
    inner: Arc<dyn PhysicalExpr>,
    flag: CancelFlag,
}

impl PartialEq for Checked {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Eq for Checked {}

impl Hash for Checked {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl PhysicalExpr for Checked {
    fn data_type(&self, schema: &Schema) -> std::result::Result<DataType, DataFusionError> {
        self.inner.data_type(schema)
    }

    fn nullable(&self, schema: &Schema) -> std::result::Result<bool, DataFusionError> {
        self.inner.nullable(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> std::result::Result<ColumnarValue, DataFusionError> {
        self.flag.check()?;
        self.inner.evaluate(batch)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> std::result::Result<Arc<dyn PhysicalExpr>, DataFusionError> {
        let inner = children
            .into_iter()
            .next()
            .unwrap_or_else(|| Arc::clone(&self.inner));
        Ok(Arc::new(Self {
            inner,
            flag: self.flag.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
