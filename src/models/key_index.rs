//! An index over the columns of a key that holds once. Rows with a NULL in it are not in it.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};

use super::row_index::{Place, RowIndex, Verdict};
use super::snapshot::Chunk;
use crate::base::Result;
use crate::zset::hash::row_hashes;

/// The places of rows by the hash of the key.
#[derive(Debug)]
pub(super) struct KeyIndex {
    columns: Vec<usize>,
    pub(super) rows: RowIndex,
}

impl KeyIndex {
    /// An empty index over `columns`.
    pub(super) fn new(columns: Vec<usize>) -> Self {
        Self {
            columns,
            rows: RowIndex::default(),
        }
    }

    /// Positions of the key's columns.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// The key's columns of a stored batch.
    pub(super) fn columns_of(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.pick(batch.columns())
    }

    /// The key's columns among all.
    pub(super) fn pick(&self, all: &[ArrayRef]) -> Vec<ArrayRef> {
        let picked = self.columns.iter().map(|column| Arc::clone(&all[*column]));
        picked.collect()
    }

    /// The hashes of `rows` keys; none where one of `columns` is NULL.
    ///
    /// # Errors
    /// When a type has no hash.
    pub(super) fn hashes(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Option<u64>>> {
        let mut hashes = Vec::new();
        row_hashes(columns, rows, &mut hashes)?;
        let known = |row: usize| !columns.iter().any(|column| column.is_null(row));
        Ok(hashes
            .into_iter()
            .enumerate()
            .map(|(row, hash)| known(row).then_some(hash))
            .collect())
    }

    /// Adds the live rows of a chunk.
    ///
    /// # Errors
    /// As [`Self::hashes`].
    pub(super) fn add(&mut self, number: u32, chunk: &Chunk) -> Result<()> {
        let hashes = self.hashes(&self.columns_of(&chunk.batch), chunk.batch.num_rows())?;
        self.rows.reserve(hashes.len());
        for (row, hash) in (0_u32..).zip(&hashes) {
            if let Some(hash) = hash.filter(|_| !chunk.dead.is_dead(row as usize)) {
                self.rows.insert(hash, Place { chunk: number, row });
            }
        }
        Ok(())
    }

    /// Takes the row at `place` out, whose key has this hash.
    pub(super) fn remove(
        &mut self,
        hash: Option<u64>,
        place: Place,
        is_there: impl Fn(u32) -> bool,
    ) {
        let Some(hash) = hash else {
            return;
        };
        self.rows.take(hash, |at| {
            if at == place {
                Verdict::Found
            } else if is_there(at.chunk) {
                Verdict::Other
            } else {
                Verdict::Stale
            }
        });
    }
}
