//! An aggregation that leaves failing groups out, as the engine's operator does.
//!
//! One accumulator a group and a call: slower than DataFusion's, and run only after that has failed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{cast, filter, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::cast::as_boolean_array;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::Accumulator;
use datafusion::physical_expr::{EquivalenceProperties, OrderingRequirements, PhysicalExpr};
use datafusion::physical_plan::aggregates::{
    AggregateExec, AggregateMode, PhysicalGroupBy, aggregate_expressions, create_accumulators,
    evaluate_group_by, evaluate_many,
};
use datafusion::physical_plan::execution_plan::{
    Boundedness, ChildrenPropertiesMode, EmissionType, ReplaceChildrenOptions,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties,
    InputDistributionRequirements, Partitioning, PlanProperties,
};
use futures::StreamExt;

use super::tolerant::{Outcome, RowErrors, is_row_error};
use crate::base::Error;

/// An aggregation in one step. Everything but the evaluation is the inner node's.
#[derive(Debug)]
pub(super) struct TolerantAggregateExec {
    inner: Arc<AggregateExec>,
    errors: RowErrors,
    /// One partition: the groups of all of the input's.
    properties: Arc<PlanProperties>,
}

impl TolerantAggregateExec {
    /// The tolerant form of `node`, where it is the last step of an aggregation.
    pub(super) fn of(
        node: &Arc<dyn ExecutionPlan>,
        errors: &RowErrors,
    ) -> Outcome<Option<Arc<dyn ExecutionPlan>>> {
        let Some(last) = node.downcast_ref::<AggregateExec>() else {
            return Ok(None);
        };
        let first = match last.mode() {
            AggregateMode::Single | AggregateMode::SinglePartitioned => last,
            AggregateMode::Final | AggregateMode::FinalPartitioned => {
                match last.input().downcast_ref::<AggregateExec>() {
                    Some(first) if *first.mode() == AggregateMode::Partial => first,
                    _ => return Ok(None),
                }
            }
            _ => return Ok(None),
        };
        if first.aggr_expr().is_empty() {
            return Ok(None);
        }
        let inner = AggregateExec::try_new(
            AggregateMode::Single,
            first.group_expr().clone(),
            first.aggr_expr().to_vec(),
            first.filter_expr().to_vec(),
            Arc::clone(first.input()),
            first.input_schema(),
        )?;
        let properties = PlanProperties::new(
            EquivalenceProperties::new(inner.schema()),
            Partitioning::UnknownPartitioning(1),
            EmissionType::Final,
            Boundedness::Bounded,
        );
        Ok(Some(Arc::new(Self {
            inner: Arc::new(inner),
            errors: errors.clone(),
            properties: Arc::new(properties),
        })))
    }
}

impl DisplayAs for TolerantAggregateExec {
    fn fmt_as(&self, kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tolerant")?;
        self.inner.fmt_as(kind, f)
    }
}

impl ExecutionPlan for TolerantAggregateExec {
    fn name(&self) -> &'static str {
        "TolerantAggregateExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        self.inner.children()
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
        options: ReplaceChildrenOptions,
    ) -> Outcome<Arc<dyn ExecutionPlan>> {
        let inner = Arc::clone(&self.inner).replace_children(children, options)?;
        let again = Self::of(&inner, &self.errors)?;
        Ok(again.ok_or_else(|| Error::internal("an aggregation became another node"))?)
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
        if partition != 0 {
            return Err(Error::internal("an aggregation in one step has one partition").into());
        }
        let input = self.inner.input();
        let parts = input.output_partitioning().partition_count();
        let parts = (0..parts)
            .map(|part| input.execute(part, Arc::clone(&context)))
            .collect::<Outcome<Vec<_>>>()?;
        let mut input = futures::stream::select_all(parts);
        let reservation =
            MemoryConsumer::new("TolerantAggregateExec").register(context.memory_pool());
        let (inner, errors) = (Arc::clone(&self.inner), self.errors.clone());
        let aggregated = async move {
            let mut groups = Groups::new(&inner, reservation)?;
            while let Some(batch) = input.next().await {
                groups.add(&inner, &batch?)?;
            }
            groups.finish(&inner, &errors)
        };
        let stream = futures::stream::once(aggregated);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.schema(),
            stream,
        )))
    }
}

/// The accumulators of a group, or why it has none any more.
type Group = Result<Vec<Box<dyn Accumulator>>, DataFusionError>;

struct Groups {
    keys: SchemaRef,
    converter: Option<RowConverter>,
    /// By the bytes of their keys.
    groups: BTreeMap<Box<[u8]>, Group>,
    args: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    reservation: MemoryReservation,
}

impl Groups {
    fn new(inner: &AggregateExec, reservation: MemoryReservation) -> Outcome<Self> {
        let keys = inner.group_expr().group_schema(&inner.input_schema())?;
        let fields = keys.fields().iter();
        let fields: Vec<SortField> = fields
            .map(|field| SortField::new(field.data_type().clone()))
            .collect();
        let converter = match fields.is_empty() {
            true => None,
            false => Some(RowConverter::new(fields)?),
        };
        let mut groups = BTreeMap::new();
        for key in keys_without_rows(inner, converter.as_ref())? {
            groups.insert(key, Ok(create_accumulators(inner.aggr_expr())?));
        }
        Ok(Self {
            keys,
            converter,
            groups,
            args: aggregate_expressions(inner.aggr_expr(), &AggregateMode::Single, 0)?,
            reservation,
        })
    }

    fn add(&mut self, inner: &AggregateExec, batch: &RecordBatch) -> Outcome<()> {
        let args = evaluate_many(&self.args, batch)?;
        let masks = inner
            .filter_expr()
            .iter()
            .map(|filter| match filter {
                None => Ok(None),
                Some(filter) => {
                    let mask = filter.evaluate(batch)?.into_array(batch.num_rows())?;
                    Ok(Some(as_boolean_array(&mask)?.clone()))
                }
            })
            .collect::<Outcome<Vec<_>>>()?;
        let keys = match &self.converter {
            // Without a key there is no set of keys either, and every row is of the one group.
            None => vec![Vec::new()],
            Some(_) => evaluate_group_by(inner.group_expr(), batch)?,
        };
        for keys in keys {
            for (key, rows) in self.rows_by_key(&keys, batch.num_rows())? {
                self.reservation
                    .try_grow(key.len() + rows.len() * size_of::<u32>())?;
                let group = match self.groups.remove(&key) {
                    Some(group) => group,
                    None => create_accumulators(inner.aggr_expr()),
                };
                let rows = UInt32Array::from(rows);
                let group = group.and_then(|mut calls| {
                    update(&mut calls, &args, &masks, &rows)?;
                    Ok(calls)
                });
                if let Err(error) = &group
                    && !is_row_error(error)
                {
                    return group.map(drop);
                }
                self.groups.insert(key, group);
            }
        }
        Ok(())
    }

    fn rows_by_key(
        &self,
        keys: &[ArrayRef],
        count: usize,
    ) -> Outcome<BTreeMap<Box<[u8]>, Vec<u32>>> {
        let mut rows: BTreeMap<Box<[u8]>, Vec<u32>> = BTreeMap::new();
        let Some(converter) = &self.converter else {
            let all = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
            return Ok(BTreeMap::from([(Box::default(), all)]));
        };
        let bytes = converter.convert_columns(keys)?;
        for (row, bytes) in (0..).zip(bytes.iter()) {
            rows.entry(bytes.data().into()).or_default().push(row);
        }
        Ok(rows)
    }

    fn finish(self, inner: &AggregateExec, errors: &RowErrors) -> Outcome<RecordBatch> {
        let schema = inner.schema();
        let mut kept: Vec<Box<[u8]>> = Vec::new();
        let mut results: Vec<Vec<ScalarValue>> = vec![Vec::new(); inner.aggr_expr().len()];
        for (key, group) in &mut self.groups.into_iter().collect::<Vec<_>>() {
            let values = match group {
                Ok(calls) => calls.iter_mut().map(|call| call.evaluate()).collect(),
                Err(_) => Err(std::mem::replace(group, Ok(Vec::new()))
                    .err()
                    .ok_or_else(|| {
                        DataFusionError::from(Error::internal("a failed group without its error"))
                    })?),
            };
            let values: Outcome<Vec<ScalarValue>> = values;
            match values {
                Ok(values) => {
                    kept.push(std::mem::take(key));
                    for (result, value) in results.iter_mut().zip(values) {
                        result.push(value);
                    }
                }
                Err(error) if is_row_error(&error) => {
                    let row = decoded(&self.keys, self.converter.as_ref(), &[&**key])?;
                    errors.add(error, row, "aggregate");
                }
                Err(error) => return Err(error),
            }
        }
        let keys: Vec<&[u8]> = kept.iter().map(AsRef::as_ref).collect();
        let keys = decoded(&self.keys, self.converter.as_ref(), &keys)?;
        let mut columns = keys.columns().to_vec();
        for (result, field) in results
            .into_iter()
            .zip(schema.fields().iter().skip(columns.len()))
        {
            columns.push(column_of(result, field.data_type())?);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(kept.len()));
        Ok(RecordBatch::try_new_with_options(
            schema, columns, &options,
        )?)
    }
}

/// The keys of the groups that are there even without a row: of all rows together, and of grouping sets without a column.
fn keys_without_rows(
    inner: &AggregateExec,
    converter: Option<&RowConverter>,
) -> Outcome<Vec<Box<[u8]>>> {
    let by = inner.group_expr();
    let Some(converter) = converter else {
        return Ok(vec![Box::default()]);
    };
    let nulls = by.null_expr().to_vec();
    if nulls.is_empty() {
        return Ok(Vec::new());
    }
    let by = PhysicalGroupBy::new(nulls.clone(), nulls, by.groups().to_vec(), true);
    let options = RecordBatchOptions::new().with_row_count(Some(1));
    let one = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), Vec::new(), &options)?;
    let sets = evaluate_group_by(&by, &one)?.into_iter().zip(by.groups());
    sets.filter(|(_, set)| set.iter().all(|is_null| *is_null))
        .map(|(key, _)| Ok(converter.convert_columns(&key)?.row(0).data().into()))
        .collect()
}

fn update(
    calls: &mut [Box<dyn Accumulator>],
    args: &[Vec<ArrayRef>],
    masks: &[Option<BooleanArray>],
    rows: &UInt32Array,
) -> Outcome<()> {
    for ((call, args), mask) in calls.iter_mut().zip(args).zip(masks) {
        let mask = match mask {
            None => None,
            Some(mask) => Some(take(mask, rows, None)?),
        };
        let args = args
            .iter()
            .map(|column| {
                let column = take(column, rows, None)?;
                match &mask {
                    None => Ok(column),
                    Some(mask) => Ok(filter(&column, as_boolean_array(mask)?)?),
                }
            })
            .collect::<Outcome<Vec<_>>>()?;
        call.update_batch(&args)?;
    }
    Ok(())
}

fn column_of(values: Vec<ScalarValue>, data_type: &DataType) -> Outcome<ArrayRef> {
    if values.is_empty() {
        return Ok(arrow::array::new_empty_array(data_type));
    }
    let column = ScalarValue::iter_to_array(values)?;
    match column.data_type() == data_type {
        true => Ok(column),
        false => Ok(cast(&column, data_type)?),
    }
}

/// Groups as rows of their keys.
fn decoded(
    schema: &SchemaRef,
    converter: Option<&RowConverter>,
    keys: &[&[u8]],
) -> Outcome<RecordBatch> {
    let columns = match converter {
        None => Vec::new(),
        Some(converter) => {
            let parser = converter.parser();
            converter.convert_rows(keys.iter().map(|key| parser.parse(key)))?
        }
    };
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> = fields
        .map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true))
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(keys.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::new(fields)),
        columns,
        &options,
    )?)
}
