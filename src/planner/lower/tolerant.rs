//! The second try of a batch run whose expressions failed: projections, filters and join conditions that
//! leave failing rows out and report them, as the engine's operators do.
//!
//! A physical optimizer rule that runs before all others puts the tolerant nodes in place of DataFusion's.
//! The rules behind it don't know them, so nothing is pushed into or through them.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::compute::{concat, filter_record_batch};
use arrow::datatypes::{DataType, FieldRef, Schema};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, cast::as_boolean_array};
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{SendableRecordBatchStream, SessionStateBuilder, TaskContext};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{
    HashJoinExec, HashJoinExecBuilder, NestedLoopJoinExec, NestedLoopJoinExecBuilder,
};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;
use parking_lot::Mutex;

use crate::base::{Error, Kind};
use crate::engine::RowError;

type Outcome<T> = Result<T, DataFusionError>;

/// Failing rows that are kept as samples; the rest is only counted.
const KEPT_ERRORS: usize = 1_000;

/// The rows that failed in one tolerant run. Clones share what they collect.
#[derive(Clone, Debug, Default)]
pub struct RowErrors(Arc<Mutex<Collected>>);

#[derive(Debug, Default)]
struct Collected {
    count: u64,
    rows: Vec<RowError>,
}

impl RowErrors {
    /// How many rows failed.
    pub fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// The first of them, at most 1,000.
    pub fn take(&self) -> Vec<RowError> {
        std::mem::take(&mut self.0.lock().rows)
    }

    fn add(&self, error: DataFusionError, row: RecordBatch, operator: &str) {
        let mut collected = self.0.lock();
        collected.count += 1;
        if collected.rows.len() < KEPT_ERRORS {
            let operator = operator.to_owned();
            collected.rows.push(RowError {
                error: Error::from(error),
                row,
                weight: 1,
                operator,
            });
        }
    }
}

/// Whether `error` may be the fault of one row's values, so that other rows could have gone through; the engine
/// draws the same line. Memory, files and cancellation are no row's fault.
pub fn is_row_error(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
            is_row_error(inner)
        }
        DataFusionError::Shared(inner) => is_row_error(inner),
        DataFusionError::External(inner) => match inner.downcast_ref::<Error>() {
            Some(own) => {
                !matches!(own.kind(), Kind::Cancelled | Kind::Unavailable) && own.code() != "53200"
            }
            None => true,
        },
        DataFusionError::ResourcesExhausted(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_)
        | DataFusionError::NotImplemented(_)
        | DataFusionError::Plan(_) => false,
        _ => true,
    }
}

/// `state` with the rule that makes its plans tolerant; failing rows go to `errors`.
pub fn tolerant_state(state: &SessionState, errors: &RowErrors) -> SessionState {
    let mut rules: Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> = vec![Arc::new(Tolerate {
        errors: errors.clone(),
    })];
    rules.extend(state.physical_optimizers().iter().map(Arc::clone));
    SessionStateBuilder::new_from_existing(state.clone())
        .with_physical_optimizer_rules(rules)
        .build()
}

/// Puts the tolerant nodes into a plan.
#[derive(Debug)]
struct Tolerate {
    errors: RowErrors,
}

impl PhysicalOptimizerRule for Tolerate {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let plan = plan.transform_up(|node| self.replace(node))?;
        Ok(plan.data)
    }

    fn name(&self) -> &'static str {
        "tolerate_failing_rows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl Tolerate {
    fn replace(
        &self,
        node: Arc<dyn ExecutionPlan>,
    ) -> Outcome<Transformed<Arc<dyn ExecutionPlan>>> {
        let computes = node.is::<FilterExec>()
            || node
                .downcast_ref::<ProjectionExec>()
                .is_some_and(|projection| {
                    projection
                        .expr()
                        .iter()
                        .any(|output| !output.expr.children().is_empty())
                });
        if computes {
            let errors = self.errors.clone();
            return Ok(Transformed::yes(Arc::new(TolerantExec {
                inner: node,
                errors,
            })));
        }
        if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && let Some(filter) = &join.filter
        {
            let filter = self.condition(filter);
            let join = HashJoinExecBuilder::from(join)
                .with_filter(Some(filter))
                .build()?;
            return Ok(Transformed::yes(Arc::new(join)));
        }
        if let Some(join) = node.downcast_ref::<NestedLoopJoinExec>()
            && let Some(filter) = join.filter()
        {
            let filter = self.condition(filter);
            let join = NestedLoopJoinExecBuilder::from(join)
                .with_filter(Some(filter))
                .build()?;
            return Ok(Transformed::yes(Arc::new(join)));
        }
        Ok(Transformed::no(node))
    }

    fn condition(&self, filter: &JoinFilter) -> JoinFilter {
        let condition = Condition {
            inner: Arc::clone(filter.expression()),
            errors: self.errors.clone(),
        };
        let indices = filter.column_indices().to_vec();
        JoinFilter::new(Arc::new(condition), indices, Arc::clone(filter.schema()))
    }
}

/// A projection or a filter that leaves failing rows out. Everything but the evaluation is the inner node's.
#[derive(Debug)]
struct TolerantExec {
    inner: Arc<dyn ExecutionPlan>,
    errors: RowErrors,
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

    fn maintains_input_order(&self) -> Vec<bool> {
        self.inner.maintains_input_order()
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
                let columns = match columns {
                    Some(columns) => columns,
                    None => return Ok(RecordBatch::new_empty(Arc::clone(schema))),
                };
                Ok(RecordBatch::try_new_with_options(
                    Arc::clone(schema),
                    columns,
                    &options,
                )?)
            }
            Self::Filter(predicate, columns) => {
                let keep = truth(predicate, batch, |error, row| {
                    errors.add(error, row, "filter")
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
fn truth(
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

/// A join condition that is not met where it fails.
#[derive(Clone, Debug)]
struct Condition {
    inner: Arc<dyn PhysicalExpr>,
    errors: RowErrors,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.inner.as_ref() == other.inner.as_ref()
    }
}

impl Eq for Condition {}

impl Hash for Condition {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tolerant({})", self.inner)
    }
}

impl PhysicalExpr for Condition {
    fn data_type(&self, _schema: &Schema) -> Outcome<DataType> {
        Ok(DataType::Boolean)
    }

    fn nullable(&self, schema: &Schema) -> Outcome<bool> {
        self.inner.nullable(schema)
    }

    fn return_field(&self, schema: &Schema) -> Outcome<FieldRef> {
        self.inner.return_field(schema)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Outcome<ColumnarValue> {
        let truth = truth(&self.inner, batch, |error, row| {
            self.errors.add(error, row, "join condition");
        })?;
        Ok(ColumnarValue::Array(Arc::new(truth)))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Outcome<Arc<dyn PhysicalExpr>> {
        let inner = children
            .into_iter()
            .next()
            .ok_or_else(|| Error::internal("a join condition lost its expression"))?;
        Ok(Arc::new(Self {
            inner,
            errors: self.errors.clone(),
        }))
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
