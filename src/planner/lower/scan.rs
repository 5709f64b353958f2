//! The leaves: tables, constants, and the relation without columns.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};
use datafusion::common::{Constraint, DFSchema};
use datafusion::datasource::source_as_provider;
use datafusion::functions_table::generate_series::GenerateSeriesTable;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{EmptyRelation, LogicalPlan, TableScan, Values};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::lowering::{Formed, Lowering, Resolved};
use crate::base::{Error, Result};
use crate::engine::{NodeId, operators};

impl Lowering<'_> {
    /// A table: its collection, the filters that the optimizer left in the scan, and the columns asked for.
    ///
    /// A row limit in the scan is a hint to the source and is not taken: the LIMIT itself stands above.
    pub(super) fn scan(&mut self, scan: &TableScan, plan: &LogicalPlan) -> Result<Formed> {
        let rows = Self::rows_leaf(scan).map(Resolved::from);
        let found = rows.or_else(|| (self.resolve)(&scan.table_name));
        let Some(Resolved {
            id,
            append_only,
            bounds,
        }) = found
        else {
            return self.constant_table(scan, plan);
        };
        let schema = scan.source.schema();
        let line = self.explain.current();
        if append_only {
            self.explain.note(line, "append-only");
        }
        for key in unique_keys(scan, &schema) {
            self.explain.note(line, &format!("unique key ({key})"));
        }
        for (field, bound) in schema.fields().iter().zip(&bounds) {
            if bound.is_some() {
                self.explain
                    .note(line, &format!("watermark on {}", field.name()));
            }
        }
        let mut node = match self.sources.get(&id) {
            Some((node, _)) => *node,
            None => {
                let rows = Arc::clone(&schema);
                let node = if append_only {
                    self.builder.append_only_source(id, rows)
                } else {
                    self.builder.source(id, rows)
                };
                self.sources.insert(id, (node, Arc::clone(&schema)));
                node
            }
        };
        if let Some(predicate) = conjunction(scan.filters.iter().cloned()) {
            let table = DFSchema::try_from_qualified_schema(scan.table_name.clone(), &schema)?;
            match self.physical(&predicate, &table)? {
                Ok(predicate) => node = self.add(operators::Filter::new(predicate), &[node]),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        let projected = scan.projected_schema.inner();
        if scan.projection.is_none() && *projected == schema {
            return Ok(Ok(node));
        }
        let exprs = projected_columns(scan, &schema)?;
        Ok(Ok(self.add(
            operators::Project::new(exprs, Arc::clone(projected)),
            &[node],
        )))
    }

    /// A relation that is not in the catalog: the rows of a table function never change.
    fn constant_table(&mut self, scan: &TableScan, plan: &LogicalPlan) -> Result<Formed> {
        let provider = source_as_provider(&scan.source)?;
        if !(provider.as_ref() as &dyn Any).is::<GenerateSeriesTable>() {
            return Err(
                Error::unsupported(format!("a model cannot read \"{}\"", scan.table_name))
                    .with_hint("models read tables, sources and other models"),
            );
        }
        let evaluator = self.evaluators.evaluator(plan.clone(), Vec::new())?;
        let schema = plan.schema().inner();
        let rows = concat_batches(schema, &evaluator.evaluate(&[])?)?;
        Ok(Ok(self.constant(rows)))
    }

    /// The rows of VALUES.
    pub(super) fn values(&mut self, values: &Values) -> Result<Formed> {
        let schema = values.schema.inner();
        let nothing = DFSchema::empty();
        let one = unit_rows(1)?;
        let mut rows = Vec::with_capacity(values.values.len());
        for row in &values.values {
            let exprs = match self.physical_all(row, &nothing)? {
                Ok(exprs) => exprs,
                Err(reason) => return Ok(Err(reason)),
            };
            let columns = exprs
                .iter()
                .map(|expr| Ok(expr.evaluate(&one)?.into_array(1)?))
                .collect::<Result<Vec<ArrayRef>>>()?;
            rows.push(RecordBatch::try_new(Arc::clone(schema), columns)?);
        }
        let rows = concat_batches(schema, &rows)?;
        Ok(Ok(self.constant(rows)))
    }

    /// No row, or the one row without a value that `SELECT 1` is computed from.
    pub(super) fn empty(&mut self, empty: &EmptyRelation) -> Result<Formed> {
        let schema = empty.schema.inner();
        let rows = if empty.produce_one_row {
            let nulls = schema
                .fields()
                .iter()
                .map(|field| arrow::array::new_null_array(field.data_type(), 1));
            let options = RecordBatchOptions::new().with_row_count(Some(1));
            RecordBatch::try_new_with_options(Arc::clone(schema), nulls.collect(), &options)?
        } else {
            RecordBatch::new_empty(Arc::clone(schema))
        };
        Ok(Ok(self.constant(rows)))
    }

    /// Rows that are there from the first step on.
    pub(super) fn constant(&mut self, rows: RecordBatch) -> NodeId {
        self.add(operators::Values::new(rows), &[])
    }
}

/// The keys that writers keep, by which the optimizer knows that columns depend on others: the names of each one's columns.
fn unique_keys(scan: &TableScan, schema: &SchemaRef) -> Vec<String> {
    let constraints = scan.source.constraints();
    let constraints = constraints.into_iter().flat_map(|held| held.iter());
    let keys = constraints.map(|constraint| match constraint {
        Constraint::PrimaryKey(columns) | Constraint::Unique(columns) => columns,
    });
    let names = keys.map(|columns| {
        let fields = columns.iter().filter_map(|at| schema.fields().get(*at));
        fields
            .map(|field| field.name().as_str())
            .collect::<Vec<_>>()
    });
    names.map(|names| names.join(", ")).collect()
}

fn projected_columns(scan: &TableScan, schema: &SchemaRef) -> Result<Vec<Arc<dyn PhysicalExpr>>> {
    let all: Vec<usize> = (0..schema.fields().len()).collect();
    scan.projection
        .as_ref()
        .unwrap_or(&all)
        .iter()
        .map(|&index| {
            let field = schema.fields().get(index).ok_or_else(|| {
                Error::internal(format!("\"{}\" has no column {index}", scan.table_name))
            })?;
            Ok(Arc::new(Column::new(field.name(), index)) as Arc<dyn PhysicalExpr>)
        })
        .collect()
}

/// Rows without columns.
pub(super) fn unit_rows(rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::new(Schema::empty()),
        Vec::new(),
        &options,
    )?)
}
