//! The rows of a collection at one epoch: immutable chunks, each with a mask of dead rows.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::SchemaRef;

use crate::base::Result;
use crate::zset::own_bytes;

/// Rows that no longer count, one bit a row of a chunk.
#[derive(Clone, Debug, Default)]
pub(super) struct DeadRows {
    words: Vec<u64>,
    count: usize,
}

impl DeadRows {
    pub(super) fn is_dead(&self, row: usize) -> bool {
        self.words
            .get(row / 64)
            .is_some_and(|word| word >> (row % 64) & 1 == 1)
    }

    pub(super) fn kill(&mut self, row: usize, rows: usize) {
        if self.words.is_empty() {
            self.words = vec![0; rows.div_ceil(64)];
        }
        if let Some(word) = self.words.get_mut(row / 64) {
            let bit = 1 << (row % 64);
            if *word & bit == 0 {
                *word |= bit;
                self.count += 1;
            }
        }
    }

    pub(super) fn count(&self) -> usize {
        self.count
    }
}

/// One immutable batch of rows and which of them are dead.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// Shared with the snapshots of all epochs that have it.
    pub(super) batch: Arc<RecordBatch>,
    pub(super) dead: Arc<DeadRows>,
    /// Memory of the batch, in bytes: asked for at every epoch, so computed once.
    pub(super) bytes: usize,
}

impl Chunk {
    pub(super) fn new(batch: RecordBatch) -> Self {
        Self {
            bytes: own_bytes(&batch),
            batch: Arc::new(batch),
            dead: Arc::default(),
        }
    }

    pub(super) fn live_rows(&self) -> usize {
        self.batch.num_rows() - self.dead.count()
    }

    /// The live rows, without a copy where none is dead.
    pub(super) fn live(&self) -> Result<RecordBatch> {
        if self.dead.count() == 0 {
            return Ok(RecordBatch::clone(&self.batch));
        }
        let keep: BooleanArray = (0..self.batch.num_rows())
            .map(|row| Some(!self.dead.is_dead(row)))
            .collect();
        Ok(filter_record_batch(&self.batch, &keep)?)
    }
}

/// The rows of one table or model at one epoch.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) schema: SchemaRef,
    pub(super) chunks: Vec<Chunk>,
    pub(super) rows: usize,
    pub(super) bytes: usize,
}

impl Snapshot {
    /// No rows.
    pub fn empty(schema: SchemaRef) -> Self {
        Self {
            schema,
            chunks: Vec::new(),
            rows: 0,
            bytes: 0,
        }
    }

    /// The rows of `batches`.
    pub fn from_batches(schema: SchemaRef, batches: Vec<RecordBatch>) -> Self {
        let rows = batches.iter().map(RecordBatch::num_rows).sum();
        let bytes = batches.iter().map(RecordBatch::get_array_memory_size).sum();
        Self {
            schema,
            chunks: batches.into_iter().map(Chunk::new).collect(),
            rows,
            bytes,
        }
    }

    /// The columns.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How many rows, copies counted.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The memory that the chunks take, in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The live rows, a batch a chunk.
    ///
    /// # Errors
    /// When a mask cannot be applied, which is a defect.
    pub fn batches(&self) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::with_capacity(self.chunks.len());
        for chunk in &self.chunks {
            let live = chunk.live()?;
            if live.num_rows() > 0 {
                batches.push(live);
            }
        }
        Ok(batches)
    }
}
