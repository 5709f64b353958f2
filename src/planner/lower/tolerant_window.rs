//! Window functions that leave failing rows out, as the engine's operator does.
//!
//! In a plan that is run a second time a node of Lotic's own stands in the place of each window; it evaluates the
//! partitions by the functions of the operator, which take an error as its row's.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch};
use arrow::compute::{SortColumn, concat, concat_batches, filter_record_batch};
use async_trait::async_trait;
use datafusion::catalog::Session;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::common::utils::evaluate_partition_ranges;
use datafusion::common::{DFSchemaRef, DataFusionError};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore, Window,
};
use datafusion::physical_expr::{OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::windows::WindowAggExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, InputDistributionRequirements, PlanProperties,
};
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner, create_window_expr};
use futures::StreamExt;

use super::tolerant::{Outcome, RowErrors};
use super::window_function::evaluated;
use crate::base::Error;
use crate::engine::operators::WindowFunction;
use crate::zset::own_bytes;

/// `plan` with the tolerant node for every window; failing rows go to `errors`.
pub(super) fn tolerant_windows(plan: LogicalPlan, errors: &RowErrors) -> Outcome<LogicalPlan> {
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Window(window) => {
            let errors = errors.clone();
            let node = Arc::new(TolerantWindow { window, errors });
            Ok(Transformed::yes(LogicalPlan::Extension(Extension { node })))
        }
        node => Ok(Transformed::no(node)),
    })
    .data()
}

/// The logical node. Two are equal where their windows are.
#[derive(Clone, Debug)]
struct TolerantWindow {
    window: Window,
    errors: RowErrors,
}

impl PartialEq for TolerantWindow {
    fn eq(&self, other: &Self) -> bool {
        self.window == other.window
    }
}

impl Eq for TolerantWindow {}

impl PartialOrd for TolerantWindow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        self.window.partial_cmp(&other.window)
    }
}

impl Hash for TolerantWindow {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.window.hash(state);
    }
}

impl UserDefinedLogicalNodeCore for TolerantWindow {
    fn name(&self) -> &str {
        "TolerantWindow"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        vec![&self.window.input]
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.window.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        self.window.window_expr.clone()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TolerantWindow")
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Outcome<Self> {
        let Ok([input]) = <[LogicalPlan; 1]>::try_from(inputs) else {
            return Err(Error::internal("a window has one input").into());
        };
        Ok(Self {
            window: Window::try_new(exprs, Arc::new(input))?,
            errors: self.errors.clone(),
        })
    }
}

/// Tells DataFusion's planner of the node.
#[derive(Debug)]
pub struct TolerantWindowPlanner;

#[async_trait]
impl ExtensionPlanner for TolerantWindowPlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        physical_inputs: &[Arc<dyn ExecutionPlan>],
        session: &dyn Session,
        context: &PhysicalPlanningContext,
    ) -> Outcome<Option<Arc<dyn ExecutionPlan>>> {
        let Some(node) = node.as_any().downcast_ref::<TolerantWindow>() else {
            return Ok(None);
        };
        let [input] = physical_inputs else {
            return Err(Error::internal("a window has one input").into());
        };
        let schema = node.window.input.schema();
        let props = session.execution_props();
        let functions = evaluated(&node.window.window_expr, schema, props)?;
        let calls = node
            .window
            .window_expr
            .iter()
            .map(|expr| create_window_expr(expr, schema, props, context))
            .collect::<Outcome<Vec<_>>>()?;
        let partitioned = calls
            .first()
            .is_some_and(|call| !call.partition_by().is_empty());
        let inner = WindowAggExec::try_new(calls, Arc::clone(input), partitioned)?;
        Ok(Some(Arc::new(TolerantWindowExec {
            inner: Arc::new(inner),
            functions,
            errors: node.errors.clone(),
        })))
    }
}

/// The physical node. Everything but the evaluation is the inner node's.
#[derive(Debug)]
struct TolerantWindowExec {
    inner: Arc<WindowAggExec>,
    functions: Vec<Arc<dyn WindowFunction>>,
    errors: RowErrors,
}

impl DisplayAs for TolerantWindowExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tolerant")?;
        self.inner.fmt_as(kind, f)
    }
}

impl ExecutionPlan for TolerantWindowExec {
    fn name(&self) -> &'static str {
        "TolerantWindowExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.inner.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        self.inner.maintains_input_order()
    }

    fn required_input_ordering(&self) -> Vec<Option<OrderingRequirements>> {
        self.inner.required_input_ordering()
    }

    fn input_distribution_requirements(&self) -> InputDistributionRequirements {
        self.inner.input_distribution_requirements()
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
        _options: ReplaceChildrenOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let Ok([input]) = <[Arc<dyn ExecutionPlan>; 1]>::try_from(children) else {
            return Err(Error::internal("a window has one input").into());
        };
        let calls = self.inner.window_expr().to_vec();
        let partitioned = !self.inner.partition_keys().is_empty();
        Ok(Arc::new(Self {
            inner: Arc::new(WindowAggExec::try_new(calls, input, partitioned)?),
            functions: self.functions.clone(),
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
        let mut input = self
            .inner
            .input()
            .execute(partition, Arc::clone(&context))?;
        let reservation = MemoryConsumer::new("TolerantWindowExec").register(context.memory_pool());
        let (inner, errors) = (Arc::clone(&self.inner), self.errors.clone());
        let functions = self.functions.clone();
        let rows = async move {
            let mut batches = Vec::new();
            while let Some(batch) = input.next().await {
                let batch = batch?;
                // The rows, and their copy in one batch.
                reservation.try_grow(own_bytes(&batch).saturating_mul(2))?;
                batches.push(batch);
            }
            let rows = concat_batches(&inner.input().schema(), &batches)?;
            valued(&inner, &functions, &rows, &errors)
        };
        let stream = futures::stream::once(rows);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}

/// `rows`, sorted by partition and order, with the functions' values behind their columns.
fn valued(
    inner: &WindowAggExec,
    functions: &[Arc<dyn WindowFunction>],
    rows: &RecordBatch,
    errors: &RowErrors,
) -> Outcome<RecordBatch> {
    let schema = inner.schema();
    if rows.num_rows() == 0 {
        return Ok(RecordBatch::new_empty(schema));
    }
    let partition_by = inner.window_expr().first().map(|call| call.partition_by());
    let keys = partition_by
        .unwrap_or_default()
        .iter()
        .map(|key| {
            Ok(SortColumn {
                values: key.evaluate(rows)?.into_array(rows.num_rows())?,
                options: None,
            })
        })
        .collect::<Outcome<Vec<_>>>()?;
    let mut parts: Vec<Vec<ArrayRef>> = vec![Vec::new(); functions.len()];
    let mut failed: Vec<Option<Error>> = vec![None; rows.num_rows()];
    for range in evaluate_partition_ranges(rows.num_rows(), &keys)? {
        let partition = rows.slice(range.start, range.len());
        for (function, parts) in functions.iter().zip(&mut parts) {
            let mut found = Vec::new();
            parts.push(function.evaluate(&partition, 0..range.len(), &mut found)?);
            for (row, error) in found {
                failed[range.start + row].get_or_insert(error);
            }
        }
    }
    let mut columns = rows.columns().to_vec();
    for parts in &parts {
        let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
        columns.push(concat(&parts)?);
    }
    for (row, error) in failed.iter().enumerate() {
        if let Some(error) = error {
            errors.add(
                DataFusionError::from(error.clone()),
                rows.slice(row, 1),
                "window",
            );
        }
    }
    let keep: BooleanArray = failed.iter().map(|error| Some(error.is_none())).collect();
    let all = RecordBatch::try_new(loose(&schema), columns)?;
    let kept = filter_record_batch(&all, &keep)?;
    Ok(RecordBatch::try_new(schema, kept.columns().to_vec())?)
}

/// `schema` with columns that may be NULL: a row that failed has no value until it is left out.
fn loose(schema: &arrow::datatypes::Schema) -> arrow::datatypes::SchemaRef {
    let fields = schema.fields().iter();
    let fields: Vec<_> = fields
        .map(|field| field.as_ref().clone().with_nullable(true))
        .collect();
    Arc::new(arrow::datatypes::Schema::new(fields))
}
