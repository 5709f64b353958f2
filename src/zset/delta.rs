//! A piece of a Z-set: a record batch and a weight for every row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::compute::concat;
use arrow::datatypes::{Field, FieldRef, Schema, SchemaRef};

use super::buffers::each_once;
use crate::base::{Error, Result};

/// The weights of a delta's rows.
#[derive(Clone, Debug)]
pub enum Weights {
    /// Every row counts +1. Append-only input pays nothing for generality.
    Ones,
    /// A weight a row, never NULL. Zero is allowed and means nothing.
    Each(Int64Array),
}

/// Rows with weights: +1 adds a copy of the row, -1 takes one away.
#[derive(Clone, Debug)]
pub struct Delta {
    batch: RecordBatch,
    weights: Weights,
}

impl Delta {
    /// Every row of `batch` once more.
    pub fn inserts(batch: RecordBatch) -> Self {
        Self {
            batch,
            weights: Weights::Ones,
        }
    }

    /// Every row of `batch` once less.
    pub fn deletes(batch: RecordBatch) -> Self {
        let weights = Int64Array::from_value(-1, batch.num_rows());
        Self {
            batch,
            weights: Weights::Each(weights),
        }
    }

    /// Rows with a weight each.
    ///
    /// # Errors
    /// When the lengths differ or a weight is NULL.
    pub fn new(batch: RecordBatch, weights: Int64Array) -> Result<Self> {
        if weights.len() != batch.num_rows() || weights.null_count() > 0 {
            return Err(Error::internal(format!(
                "a delta of {} rows has {} weights, {} of them null",
                batch.num_rows(),
                weights.len(),
                weights.null_count()
            )));
        }
        Ok(Self {
            batch,
            weights: Weights::Each(weights),
        })
    }

    /// The same weights over other columns of the same number of rows.
    ///
    /// # Errors
    /// When the number of rows differs.
    pub fn with_batch(&self, batch: RecordBatch) -> Result<Self> {
        if batch.num_rows() != self.batch.num_rows() {
            return Err(Error::internal("a projection changed the number of rows"));
        }
        Ok(Self {
            batch,
            weights: self.weights.clone(),
        })
    }

    /// The rows.
    pub fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// The weights.
    pub fn weights(&self) -> &Weights {
        &self.weights
    }

    /// The weight of row `row`.
    pub fn weight(&self, row: usize) -> i64 {
        match &self.weights {
            Weights::Ones => 1,
            Weights::Each(weights) => weights.value(row),
        }
    }

    /// The number of rows, whatever their weights.
    pub fn rows(&self) -> usize {
        self.batch.num_rows()
    }

    /// The columns' names and types.
    pub fn schema(&self) -> SchemaRef {
        self.batch.schema()
    }

    /// `rows` rows from row `from` on, sharing their buffers.
    #[must_use]
    pub fn slice(&self, from: usize, rows: usize) -> Self {
        let weights = match &self.weights {
            Weights::Ones => Weights::Ones,
            Weights::Each(weights) => Weights::Each(weights.slice(from, rows)),
        };
        Self {
            batch: self.batch.slice(from, rows),
            weights,
        }
    }

    /// What takes this delta back.
    #[must_use]
    pub fn negate(&self) -> Self {
        match &self.weights {
            Weights::Ones => Self::deletes(self.batch.clone()),
            Weights::Each(weights) => Self {
                batch: self.batch.clone(),
                weights: Weights::Each(weights.unary(|weight: i64| weight.wrapping_neg())),
            },
        }
    }
}

/// A batch of `rows` rows, which may have no columns. Its text columns name few buffers beside those they show.
///
/// A NULL where `schema` promises none makes this batch promise less: what a plan says of NULLs holds for an
/// answer as a whole, not for a row on its way that the same epoch takes back, as the padding of an outer join.
///
/// # Errors
/// When a column is not of its field's type or length.
pub fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let columns = columns
        .into_iter()
        .map(each_once)
        .collect::<Result<Vec<_>>>()?;
    let broken =
        |(field, column): (&FieldRef, &ArrayRef)| !field.is_nullable() && column.null_count() > 0;
    let schema = match schema.fields().iter().zip(&columns).any(broken) {
        true => with_nulls(schema, &columns),
        false => Arc::clone(schema),
    };
    Ok(RecordBatch::try_new_with_options(
        schema, columns, &options,
    )?)
}

/// The rows of `batches`, of which there is one at least, with the names of the first.
///
/// # Errors
/// When the batches differ in the type of a column, or there is none.
pub(super) fn concat_rows<'b>(
    batches: impl Iterator<Item = &'b RecordBatch> + Clone,
) -> Result<RecordBatch> {
    let Some(first) = batches.clone().next() else {
        return Err(Error::internal("no batch to concatenate"));
    };
    let columns = (0..first.num_columns()).map(|column| {
        let parts: Vec<&dyn Array> = batches
            .clone()
            .map(|batch| batch.column(column).as_ref())
            .collect();
        concat(&parts)
    });
    let columns = columns.collect::<std::result::Result<_, _>>()?;
    let rows = batches.map(RecordBatch::num_rows).sum();
    batch_of(&first.schema(), columns, rows)
}

/// `schema` where the fields of `columns` that hold a NULL allow it.
#[cold]
fn with_nulls(schema: &Schema, columns: &[ArrayRef]) -> SchemaRef {
    let fields = schema.fields().iter().zip(columns).map(|(field, column)| {
        let nullable = field.is_nullable() || column.null_count() > 0;
        field.as_ref().clone().with_nullable(nullable)
    });
    let fields: Vec<Field> = fields.collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}
