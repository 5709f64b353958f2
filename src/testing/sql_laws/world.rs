//! Tables with small domains, and random changes to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::Array;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use datafusion::common::tree_node::Transformed;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::datasource::{MemTable, provider_as_source};
use datafusion::logical_expr::LogicalPlan;

use super::rng::Rng;
use super::rows::{Row, batch};
use crate::base::{ObjectId, Result};
use crate::planner::lower::Resolved;
use crate::zset::canonical::canonical_batch;

/// A table: its columns and its rows.
#[derive(Clone, Debug)]
pub struct Table {
    /// The identity that dataflows know it by.
    pub id: ObjectId,
    /// The columns.
    pub schema: SchemaRef,
    /// The rows, in no order.
    pub rows: Vec<Row>,
}

/// Tables by name.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// The tables.
    pub tables: BTreeMap<String, Table>,
    /// Whether rows only come.
    pub append_only: bool,
}

/// Changes of one step: rows with weights, by table.
pub(in crate::testing) type Changes = BTreeMap<String, Vec<(Row, i64)>>;

impl World {
    /// Adds an empty table.
    pub fn add(&mut self, name: &str, schema: SchemaRef) {
        let id = ObjectId(u64::try_from(self.tables.len()).unwrap_or(0) + 1);
        self.tables.insert(
            name.to_owned(),
            Table {
                id,
                schema,
                rows: Vec::new(),
            },
        );
    }

    /// What a dataflow is told of a table.
    pub fn resolve(&self, name: &TableReference) -> Option<Resolved> {
        self.tables.get(name.table()).map(|table| Resolved {
            append_only: self.append_only,
            ..Resolved::from(table.id)
        })
    }

    /// Changes a few rows of a few tables, and says which.
    pub(super) fn change(&mut self, rng: &mut Rng) -> Changes {
        let mut changes = Changes::new();
        for (name, table) in &mut self.tables {
            if rng.once_in(3) {
                continue;
            }
            let changed = changes.entry(name.clone()).or_default();
            for _ in 0..rng.within(0..4) {
                let row = random_row(&table.schema, rng);
                // Now and then a row comes twice: multiplicities are part of the law.
                let copies = if rng.once_in(4) { 2 } else { 1 };
                table.rows.extend(std::iter::repeat_n(row.clone(), copies));
                changed.push((row, i64::try_from(copies).unwrap_or(1)));
            }
            for _ in 0..rng.within(0..3) {
                if table.rows.is_empty() || self.append_only {
                    break;
                }
                let gone = table.rows.swap_remove(rng.within(0..table.rows.len()));
                changed.push((gone.clone(), -1));
                if rng.once_in(2) {
                    let mut updated = gone;
                    let column = rng.within(0..updated.len());
                    let field = table.schema.field(column);
                    updated[column] = random_value(field.data_type(), field.is_nullable(), rng);
                    table.rows.push(updated.clone());
                    changed.push((updated, 1));
                }
            }
        }
        changes
    }

    /// `plan` over what the tables hold now.
    ///
    /// # Errors
    /// When the rows do not fit their table: a defect of the harness.
    pub fn bind(&self, plan: &LogicalPlan) -> Result<LogicalPlan> {
        let bound = plan.clone().transform_up_with_subqueries(|node| {
            let LogicalPlan::TableScan(mut scan) = node else {
                return Ok(Transformed::no(node));
            };
            let Some(table) = self.tables.get(scan.table_name.table()) else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            scan.source = provider_as_source(Arc::new(table.provider()?));
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        })?;
        Ok(bound.data)
    }
}

impl Table {
    /// The rows as a table of DataFusion, in batches of a few rows, canonical as those of a collection are.
    ///
    /// # Errors
    /// When the rows do not fit: a defect of the harness.
    pub fn provider(&self) -> Result<MemTable> {
        let batches = self
            .rows
            .chunks(5)
            .map(|rows| canonical_batch(&batch(&self.schema, rows)?))
            .collect::<Result<Vec<_>>>()?;
        Ok(MemTable::try_new(Arc::clone(&self.schema), vec![batches])?)
    }
}

fn random_row(schema: &SchemaRef, rng: &mut Rng) -> Row {
    schema
        .fields()
        .iter()
        .map(|field| random_value(field.data_type(), field.is_nullable(), rng))
        .collect()
}

/// A value of a small domain, so that keys meet, groups fill, and the odd values come up often.
fn random_value(kind: &DataType, nullable: bool, rng: &mut Rng) -> ScalarValue {
    if nullable && rng.once_in(6) {
        return ScalarValue::try_from(kind).unwrap_or(ScalarValue::Null);
    }
    let small = i64::try_from(rng.within(0..6)).unwrap_or(0) - 1;
    match kind {
        DataType::Float64 => ScalarValue::Float64(Some(*rng.pick(&FLOATS))),
        DataType::Float32 => ScalarValue::Float32(Some(*rng.pick(&[0.0, -0.0, 1.5, f32::NAN]))),
        DataType::Utf8 => ScalarValue::Utf8(Some((*rng.pick(&TEXTS)).to_owned())),
        DataType::Utf8View => ScalarValue::Utf8View(Some((*rng.pick(&TEXTS)).to_owned())),
        DataType::Boolean => ScalarValue::Boolean(Some(rng.once_in(2))),
        DataType::Timestamp(unit, zone) => {
            let per_second = match unit {
                TimeUnit::Second => 1,
                TimeUnit::Millisecond => 1_000,
                TimeUnit::Microsecond => 1_000_000,
                TimeUnit::Nanosecond => 1_000_000_000,
            };
            let time = (small + 2) * 20 * per_second;
            ScalarValue::Int64(Some(time))
                .cast_to(&DataType::Timestamp(*unit, zone.clone()))
                .unwrap_or(ScalarValue::Null)
        }
        DataType::List(field) => {
            let items: Vec<ScalarValue> = (0..rng.within(0..3))
                .map(|_| random_value(field.data_type(), field.is_nullable(), rng))
                .collect();
            ScalarValue::List(ScalarValue::new_list_from_iter(
                items.into_iter(),
                field.data_type(),
                field.is_nullable(),
            ))
        }
        DataType::Date32 => ScalarValue::Date32(Some(i32::try_from(small).unwrap_or(0) + 10_000)),
        other => ScalarValue::Int64(Some(small))
            .cast_to(other)
            .unwrap_or_else(|_| null_of(other)),
    }
}

fn null_of(kind: &DataType) -> ScalarValue {
    let nulls = arrow::array::new_null_array(kind, 1);
    debug_assert_eq!(nulls.len(), 1);
    ScalarValue::try_from_array(&nulls, 0).unwrap_or(ScalarValue::Null)
}

const FLOATS: [f64; 9] = [
    0.0,
    -0.0,
    1.5,
    0.1,
    0.2,
    1e16,
    -1e16,
    f64::NAN,
    f64::INFINITY,
];
const TEXTS: [&str; 6] = ["", "a", "b", "abc", "12", "7"];
