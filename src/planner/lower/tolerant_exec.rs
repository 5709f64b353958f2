//! A projection or a filter that leaves failing rows out.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat, filter_record_batch};
use arrow::datatypes::Schema;
use datafusion::common::DataFusionError;
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use super::tolerant::{Outcome, RowErrors, is_row_error};
use crate::base::Error;

/// A projection or a filter that leaves failing rows out. Everything but the evaluation is the inner node's.
#[derive(Debug)]
pub(super) struct TolerantExec {
    inner: Arc<dyn ExecutionPlan>,
    errors: RowErrors,
}

impl TolerantExec {
    /// `inner` is a projection or a filter.
    pub(super) fn new(inner: Arc<dyn ExecutionPlan>, errors: RowErrors) -> Self {
        Self { inner, errors }
    }
}

impl DisplayAs for TolerantExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tolerant")?;
        self.inner.fmt_as(kind, f)
    }
}

impl ExecutionPlan for TolerantExec {
    fn name(&self) -> &'static str {
        "TolerantExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    /// DataFusion does not know this node for a projection: an order asked of its output would be asked of the columns that
    /// stand at the same places of its input.
    fn maintains_input_order(&self) -> Vec<bool> {
        vec![false; self.children().len()]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        self.inner.benefits_from_input_partitioning()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
    }

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Outcome<TreeNodeRecursion>,
    ) -> Outcome<TreeNodeRecursion> {
        self.inner.apply_expressions(f)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        options: ReplaceChildrenOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).replace_children(children, options)?;
        Ok(Arc::new(Self {
            inner,
            errors: self.errors.clone(),
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Outcome<SendableRecordBatchStream> {
        let input = self
            .children()
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a projection or filter has no input"))?;
        let input = input.execute(partition, context)?;
        let work = Work::of(&self.inner)?;
        let errors = self.errors.clone();
        let schema = self.schema();
        let output = Arc::clone(&schema);
        let stream = input.map(move |batch| work.apply(&batch?, &output, &errors));
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, stream)))
    }
}

/// What a tolerant node computes.
enum Work {
    Project(Vec<Arc<dyn PhysicalExpr>>),
    Filter(Arc<dyn PhysicalExpr>, Option<Vec<usize>>),
}

impl Work {
    fn of(inner: &Arc<dyn ExecutionPlan>) -> Outcome<Self> {
        if let Some(projection) = inner.downcast_ref::<ProjectionExec>() {
            let exprs = projection
                .expr()
                .iter()
                .map(|output| Arc::clone(&output.expr))
                .collect();
            return Ok(Self::Project(exprs));
        }
        if let Some(filter) = inner.downcast_ref::<FilterExec>() {
            let columns = filter.projection().as_ref().map(|columns| columns.to_vec());
            return Ok(Self::Filter(Arc::clone(filter.predicate()), columns));
        }
        Err(Error::internal("a tolerant node holds neither a projection nor a filter").into())
    }

    fn apply(
        &self,
        batch: &RecordBatch,
        schema: &Arc<Schema>,
        errors: &RowErrors,
    ) -> Outcome<RecordBatch> {
        match self {
            Self::Project(exprs) => {
                let (columns, rows) = surviving(exprs, batch, |error, row| {
                    errors.add(error, row, "projection");
                })?;
                let options = RecordBatchOptions::new().with_row_count(Some(rows));
                let Some(columns) = columns else {
                    return Ok(RecordBatch::new_empty(Arc::clone(schema)));
                };
                Ok(RecordBatch::try_new_with_options(
                    Arc::clone(schema),
                    columns,
                    &options,
                )?)
            }
            Self::Filter(predicate, columns) => {
                let keep = truth(predicate, batch, |error, row| {
                    errors.add(error, row, "filter");
                })?;
                let kept = match columns {
                    Some(columns) => batch.project(columns)?,
                    None => batch.clone(),
                };
                Ok(filter_record_batch(&kept, &keep)?)
            }
        }
    }
}

/// The values of `exprs` for the rows on which none fails (None when there is no row left), and their number.
fn surviving(
    exprs: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
    mut failed: impl FnMut(DataFusionError, RecordBatch),
) -> Outcome<(Option<Vec<ArrayRef>>, usize)> {
    let mut pieces: Vec<Vec<ArrayRef>> = Vec::new();
    let mut rows = 0;
    by_halves(
        batch,
        &mut |part| {
            exprs
                .iter()
                .map(|e| e.evaluate(part)?.into_array(part.num_rows()))
                .collect()
        },
        &mut |part, outcome: Outcome<Vec<ArrayRef>>| match outcome {
            Ok(columns) => {
                rows += part.num_rows();
                pieces.push(columns);
            }
            Err(error) => failed(error, part.clone()),
        },
    )?;
    let Some(first) = pieces.first() else {
        return Ok((None, 0));
    };
    let columns = (0..first.len())
        .map(|index| {
            let parts: Vec<&dyn Array> = pieces
                .iter()
                .filter_map(|piece| piece.get(index))
                .map(AsRef::as_ref)
                .collect();
            Ok(concat(&parts)?)
        })
        .collect::<Outcome<Vec<_>>>()?;
    Ok((Some(columns), rows))
}

/// Where `predicate` is true; a row on which it fails counts as false.
pub(super) fn truth(
    predicate: &Arc<dyn PhysicalExpr>,
    batch: &RecordBatch,
    mut failed: impl FnMut(DataFusionError, RecordBatch),
) -> Outcome<BooleanArray> {
    let mut truth: Vec<Option<bool>> = Vec::with_capacity(batch.num_rows());
    by_halves(
        batch,
        &mut |part| {
            let values = predicate.evaluate(part)?.into_array(part.num_rows())?;
            Ok(as_boolean_array(&values)?.clone())
        },
        &mut |part, outcome: Outcome<BooleanArray>| match outcome {
            Ok(values) => truth.extend(values.iter()),
            Err(error) => {
                truth.push(Some(false));
                failed(error, part.clone());
            }
        },
    )?;
    Ok(BooleanArray::from(truth))
}

/// Gives `each` the outcome of `evaluate` for parts of `batch`, in order: whole where it succeeds, halved where
/// it fails, down to single rows. Running out of memory is no row's fault and ends everything.
fn by_halves<T>(
    batch: &RecordBatch,
    evaluate: &mut dyn FnMut(&RecordBatch) -> Outcome<T>,
    each: &mut dyn FnMut(&RecordBatch, Outcome<T>),
) -> Outcome<()> {
    let mut parts = vec![batch.clone()];
    while let Some(part) = parts.pop() {
        match evaluate(&part) {
            Err(error) if !is_row_error(&error) => return Err(error),
            // A constant that fails does so without a row, and then takes none.
            Err(_) if part.num_rows() == 0 => {}
            Err(_) if part.num_rows() > 1 => {
                let half = part.num_rows() / 2;
                parts.push(part.slice(half, part.num_rows() - half));
                parts.push(part.slice(0, half));
            }
            outcome => each(&part, outcome),
        }
    }
    Ok(())
}
