//! A piece of a Z-set: a record batch and a weight for every row.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

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

/// A batch of `rows` rows, which may have no columns.
///
/// # Errors
/// When a column is not of its field's type or length.
pub fn batch_of(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}
