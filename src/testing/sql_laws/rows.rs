//! Rows as values, bags of rows, and the batches and deltas made of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, RecordBatchOptions, new_empty_array};
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;

use crate::base::Result;
use crate::zset::Delta;

/// One row.
pub type Row = Vec<ScalarValue>;

/// A multiset of rows by their text, where NaN is one value and -0.0 is 0.0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bag(BTreeMap<String, i64>);

impl Bag {
    /// Adds `weight` copies of a row; a row without copies is not in the bag.
    pub fn add(&mut self, row: &[ScalarValue], weight: i64) {
        let key = row.iter().map(text).collect::<Vec<_>>().join(" | ");
        let count = self.0.entry(key.clone()).or_insert(0);
        *count += weight;
        if *count == 0 {
            self.0.remove(&key);
        }
    }

    /// Adds the rows of `batch` once each.
    ///
    /// # Errors
    /// When a value has no scalar form.
    pub fn add_batch(&mut self, batch: &RecordBatch) -> Result<()> {
        for row in 0..batch.num_rows() {
            self.add(&row_of(batch, row)?, 1);
        }
        Ok(())
    }

    /// Adds the rows of `delta` with their weights.
    ///
    /// # Errors
    /// When a value has no scalar form.
    pub fn add_delta(&mut self, delta: &Delta) -> Result<()> {
        for row in 0..delta.rows() {
            self.add(&row_of(delta.batch(), row)?, delta.weight(row));
        }
        Ok(())
    }

    /// Adds the rows of another bag.
    pub fn add_bag(&mut self, other: &Self) {
        for (key, weight) in &other.0 {
            let count = self.0.entry(key.clone()).or_default();
            *count += weight;
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What `self` has more (+) or less (-) than `other`, a line a row.
    pub fn difference(&self, other: &Self) -> String {
        let mut lines = Vec::new();
        for key in self
            .0
            .keys()
            .chain(other.0.keys().filter(|key| !self.0.contains_key(*key)))
        {
            let (have, want) = (
                self.0.get(key).unwrap_or(&0),
                other.0.get(key).unwrap_or(&0),
            );
            if have != want {
                lines.push(format!("{:+} x {key}", have - want));
            }
        }
        lines.join("\n")
    }
}

/// The values of row `row`.
///
/// # Errors
/// When a value has no scalar form.
pub(in crate::testing) fn row_of(batch: &RecordBatch, row: usize) -> Result<Row> {
    batch
        .columns()
        .iter()
        .map(|column| Ok(ScalarValue::try_from_array(column, row)?))
        .collect()
}

fn text(value: &ScalarValue) -> String {
    match value {
        ScalarValue::Float64(Some(number)) if number.is_nan() => "NaN".to_owned(),
        // Every bit counts, so the shortest text that reads back the same is printed.
        ScalarValue::Float64(Some(number)) => format!("{:?}", number + 0.0),
        ScalarValue::Float32(Some(number)) if number.is_nan() => "NaN".to_owned(),
        ScalarValue::Float32(Some(number)) => format!("{:?}", number + 0.0),
        other => format!("{other:?}"),
    }
}

/// A batch of `rows`.
///
/// # Errors
/// When a value is not of its column's type.
pub(in crate::testing) fn batch(schema: &SchemaRef, rows: &[Row]) -> Result<RecordBatch> {
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            if rows.is_empty() {
                return Ok(new_empty_array(field.data_type()));
            }
            Ok(ScalarValue::iter_to_array(
                rows.iter().map(|row| row[index].clone()),
            )?)
        })
        .collect::<Result<Vec<ArrayRef>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

/// A delta of `rows` with their weights.
///
/// # Errors
/// When a value is not of its column's type.
pub(in crate::testing) fn delta(schema: &SchemaRef, rows: &[(Row, i64)]) -> Result<Delta> {
    let values: Vec<Row> = rows.iter().map(|(row, _)| row.clone()).collect();
    let batch = batch(schema, &values)?;
    if rows.iter().all(|(_, weight)| *weight == 1) {
        return Ok(Delta::inserts(batch));
    }
    Delta::new(
        batch,
        Int64Array::from_iter_values(rows.iter().map(|(_, weight)| *weight)),
    )
}
