//! One side of a join: its rows by key, and how a delta becomes such rows.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;

use super::ranges::Compared;
use crate::base::{ObjectId, Result};
use crate::engine::evaluate::evaluate_rows;
use crate::engine::frontier::Closing;
use crate::engine::operator::{Deltas, StepContext};
use crate::engine::sweep::Sweep;
use crate::state::{Keyed, Keys};
use crate::zset::canonical::canonical_batch;
use crate::zset::consolidate::take_rows;
use crate::zset::equal::any_null;
use crate::zset::hash::row_hashes;
use crate::zset::{Delta, Merged, Weights, batch_of, consolidate, gather, merge};

/// Of this many rows at most it is not worth while to guess whether they are different.
const FEW: usize = 1 << 16;
/// To guess, rows are looked at whose key has a hash that ends in so many zeros: one in 64.
const SAMPLE_BITS: u32 = 6;

/// Rows of a delta, ready to be looked up on the other side and stored on this one.
pub(super) struct Piece {
    /// Different rows; or rows that come once each, without their hashes.
    pub(super) rows: Merged,
    key: Vec<ArrayRef>,
    pub(super) key_hashes: Vec<u64>,
    /// Rows that match nothing because of a NULL in their key.
    pub(super) unmatchable: Option<Merged>,
}

impl Piece {
    pub(super) fn keys(&self) -> Keys<'_> {
        Keys {
            columns: &self.key,
            hashes: &self.key_hashes,
        }
    }

    /// The named rows' input columns.
    pub(super) fn take(&self, width: usize, rows: &[u32]) -> Result<Vec<ArrayRef>> {
        let rows = UInt32Array::from(rows.to_vec());
        let columns = self.rows.batch.columns();
        columns[..width]
            .iter()
            .map(|column| Ok(take(column, &rows, None)?))
            .collect()
    }
}

/// A side's keys and state.
#[derive(Debug)]
pub(super) struct Side {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    types: Vec<DataType>,
    /// Where in the stored columns each key lies: an input column, or one computed behind them.
    key: Vec<usize>,
    /// How many of the stored columns are the input's; 0 when only the keys matter.
    pub(super) width: usize,
    pub(super) all: Vec<usize>,
    null_equals_null: bool,
    /// Whether matches are counted a row.
    pub(super) counts: bool,
    pub(super) state: Keyed,
    /// The rows in order, where pairs are found by that.
    pub(super) compared: Option<Compared>,
    /// Where a watermark closes rows, by a column of the state.
    sweep: Option<Sweep>,
}

impl Side {
    /// A side over rows of `input`, of which nothing but the keys is stored when `keys_only`.
    pub(super) fn new(
        input: &SchemaRef,
        expressions: Vec<Arc<dyn PhysicalExpr>>,
        types: Vec<DataType>,
        keys_only: bool,
    ) -> Self {
        let mut fields: Vec<Arc<Field>> = if keys_only {
            Vec::new()
        } else {
            input.fields().iter().cloned().collect()
        };
        let width = fields.len();
        let mut key = Vec::new();
        for (expression, data_type) in expressions.iter().zip(&types) {
            match column_of(expression) {
                Some(index)
                    if !keys_only
                        && input
                            .fields()
                            .get(index)
                            .is_some_and(|field| field.data_type() == data_type) =>
                {
                    key.push(index);
                }
                _ => {
                    key.push(fields.len());
                    let name = format!("key {}", key.len());
                    fields.push(Arc::new(Field::new(name, data_type.clone(), true)));
                }
            }
        }
        let state = Keyed::new(Arc::new(Schema::new(fields)), key.clone(), false);
        Self {
            expressions,
            types,
            key,
            width,
            all: (0..width).collect(),
            null_equals_null: false,
            counts: false,
            state,
            compared: None,
            sweep: None,
        }
    }

    /// Lets go of rows that are closed by a column of the input.
    pub(super) fn close_by(&mut self, closing: Option<Closing>) {
        let Some(Closing { key, frontier }) = closing else {
            return;
        };
        let is_key = |expression: &Arc<dyn PhysicalExpr>| column_of(expression) == Some(key);
        let kept = if key < self.width {
            Some(key)
        } else {
            let position = self.expressions.iter().position(is_key);
            position.and_then(|position| self.key.get(position).copied())
        };
        self.sweep = kept.map(|column| Sweep::new(column, frontier));
    }

    /// Lets go of the rows that `other`, a side of the same columns and keys, lets go of.
    pub(super) fn close_like(&mut self, other: &Self) {
        self.sweep.clone_from(&other.sweep);
    }

    /// The watermarks that close rows.
    pub(super) fn clocks(&self) -> Vec<ObjectId> {
        self.sweep.as_ref().map_or_else(Vec::new, Sweep::sources)
    }

    /// Lets go of the rows that are closed, when it is time to look.
    pub(super) fn close(&mut self, cx: &StepContext) -> Result<()> {
        if let Some(sweep) = &mut self.sweep
            && let Some(bound) = sweep.due(self.state.len(), &cx.watermarks)
        {
            self.state.forget_below(sweep.column, bound)?;
            sweep.done(self.state.len());
        }
        // rows may also have gone one by one
        if let Some(compared) = &mut self.compared {
            compared.let_go(&self.state);
        }
        Ok(())
    }

    /// Brings the rows in order up to what is stored.
    pub(super) fn follow(&mut self) -> Result<()> {
        match &mut self.compared {
            Some(compared) => compared.follow(&mut self.state),
            None => Ok(()),
        }
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.state.bytes() + self.compared.as_ref().map_or(0, Compared::bytes)
    }

    /// With NULL keys matching each other, or not, and with or without counts of matches.
    pub(super) fn with(mut self, null_equals_null: bool, counts: bool) -> Self {
        self.null_equals_null = null_equals_null;
        self.counts = counts;
        let schema = SchemaRef::clone(self.state.schema());
        self.state = Keyed::new(schema, self.key.clone(), counts);
        self
    }

    /// Takes a piece into the state; `matches` are those of its rows, where they are counted.
    pub(super) fn store(&mut self, piece: &Piece, matches: &[i64]) -> Result<()> {
        let matches = self.counts.then_some(matches);
        let Piece {
            rows, key_hashes, ..
        } = piece;
        if rows.is_merged() {
            self.state.apply(rows, key_hashes, matches)
        } else {
            self.state.insert(rows.batch.columns(), key_hashes, matches)
        }
    }

    /// Computes the keys of `deltas`, merges equal rows, and sets those apart that match nothing.
    pub(super) fn prepare(&self, deltas: &[Delta], cx: &mut StepContext) -> Result<Vec<Piece>> {
        let mut stored = Vec::new();
        for delta in deltas {
            self.compute(delta, cx, &mut stored)?;
        }
        let pieces = if self.are_different(&stored)? {
            gather(&stored)?
        } else {
            merge(&stored)?
        };
        pieces.into_iter().map(|rows| self.piece(rows)).collect()
    }

    /// As [`Side::prepare`], but of rows that are only looked up: equal ones stay as they are.
    pub(super) fn prepare_one(&self, delta: &Delta, cx: &mut StepContext) -> Result<Vec<Piece>> {
        let mut computed = Vec::new();
        self.compute(delta, cx, &mut computed)?;
        let pieces = gather(&computed)?;
        pieces.into_iter().map(|rows| self.piece(rows)).collect()
    }

    /// The columns of the state for the rows of `delta`, in pieces.
    fn compute(&self, delta: &Delta, cx: &mut StepContext, stored: &mut Deltas) -> Result<()> {
        // Before the keys are computed, so that equal rows get equal keys.
        let delta = delta.with_batch(canonical_batch(delta.batch())?)?;
        for piece in evaluate_rows(&self.expressions, &delta, "join", cx)? {
            let mut columns = piece.delta.batch().columns()[..self.width].to_vec();
            for ((key, column), data_type) in self.key.iter().zip(&piece.columns).zip(&self.types) {
                if *key < self.width {
                    continue;
                }
                columns.push(if column.data_type() == data_type {
                    Arc::clone(column)
                } else {
                    cast(column, data_type)?
                });
            }
            let batch = batch_of(self.state.schema(), columns, piece.delta.rows())?;
            stored.push(piece.delta.with_batch(batch)?);
        }
        Ok(())
    }

    /// Whether rows that only come are so many and so different that to look for equal ones is not worth
    /// while. A sample by key tells: equal rows have equal keys, so they are in it together or not at all.
    fn are_different(&self, deltas: &[Delta]) -> Result<bool> {
        let rows: usize = deltas.iter().map(Delta::rows).sum();
        let only_come = |delta: &Delta| matches!(delta.weights(), Weights::Ones);
        if rows <= FEW || !self.state.takes_unmerged() || !deltas.iter().all(only_come) {
            return Ok(false);
        }
        let mut sample = Vec::new();
        let mut hashes = Vec::new();
        for delta in deltas {
            let key: Vec<ArrayRef> = self
                .key
                .iter()
                .map(|column| Arc::clone(delta.batch().column(*column)))
                .collect();
            row_hashes(&key, delta.rows(), &mut hashes)?;
            let chosen: Vec<u32> = (0u32..)
                .zip(&hashes)
                .filter(|(_, hash)| hash.trailing_zeros() >= SAMPLE_BITS)
                .map(|(row, _)| row)
                .collect();
            sample.push(Delta::inserts(take_rows(delta.batch(), chosen)?));
        }
        let sampled: usize = sample.iter().map(Delta::rows).sum();
        let different: usize = consolidate(&sample)?.iter().map(Delta::rows).sum();
        // too small a sample means few keys, under which rows are likely to be equal
        Ok(sampled > rows >> (SAMPLE_BITS + 2) && different > sampled / 8 * 7)
    }

    fn piece(&self, rows: Merged) -> Result<Piece> {
        let mut key = self.key_of(&rows);
        let nulls = if self.null_equals_null {
            None
        } else {
            any_null(&key)
        };
        let (rows, unmatchable) = match nulls {
            None => (rows, None),
            Some(nulls) => {
                let unmatchable = select(&rows, |row| nulls[row])?;
                let rows = select(&rows, |row| !nulls[row])?;
                key = self.key_of(&rows);
                (rows, Some(unmatchable))
            }
        };
        let mut key_hashes = Vec::new();
        row_hashes(&key, rows.rows(), &mut key_hashes)?;
        Ok(Piece {
            rows,
            key,
            key_hashes,
            unmatchable,
        })
    }

    fn key_of(&self, rows: &Merged) -> Vec<ArrayRef> {
        self.key
            .iter()
            .map(|column| Arc::clone(rows.batch.column(*column)))
            .collect()
    }
}

/// The index of the column that `expression` is, when it is one.
fn column_of(expression: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    let expression: &dyn Any = expression.as_ref();
    expression.downcast_ref::<Column>().map(Column::index)
}

fn select(rows: &Merged, chosen: impl Fn(usize) -> bool) -> Result<Merged> {
    let kept: Vec<(usize, u32)> = (0..rows.rows())
        .zip(0u32..)
        .filter(|(row, _)| chosen(*row))
        .collect();
    Ok(Merged {
        batch: take_rows(&rows.batch, kept.iter().map(|(_, row)| *row).collect())?,
        weights: kept.iter().map(|(row, _)| rows.weights[*row]).collect(),
        hashes: if rows.is_merged() {
            kept.iter().map(|(row, _)| rows.hashes[*row]).collect()
        } else {
            Vec::new()
        },
    })
}
