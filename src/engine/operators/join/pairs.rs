//! The pairs that a delta of one side makes with the state of the other.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, BooleanArray, Int64Array};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::ranges::{Comparisons, Ranges};
use super::side::{Piece, Side};
use crate::base::Result;
use crate::engine::budget::Budget;
use crate::engine::evaluate::evaluate_rows;
use crate::engine::operator::{Deltas, RowError, StepContext};
use crate::engine::operators::filter::{keep, truth};
use crate::zset::consolidate::{add_weights, multiply_weights};
use crate::zset::{Delta, batch_of};

/// How many rows one thread probes at a time.
const RANGE: usize = 1 << 13;

/// What makes a pair, and where the delta stands in it.
pub(super) struct Pairing<'a> {
    pub(super) own: &'a Side,
    pub(super) other: &'a Side,
    /// Whether the delta is the left side.
    pub(super) own_is_left: bool,
    pub(super) residual: Option<&'a Arc<dyn PhysicalExpr>>,
    /// What the residual condition compares, where there is no key and pairs are found by that.
    pub(super) comparisons: Option<&'a Comparisons>,
    /// The columns of a pair: left then right.
    pub(super) pair_schema: &'a SchemaRef,
    /// The schema under which pairs come out, if they do.
    pub(super) output: Option<&'a SchemaRef>,
    /// Pays for the pairs.
    pub(super) budget: Option<&'a Budget>,
}

/// What was found for a range of the delta's rows.
#[derive(Default)]
pub(super) struct Found {
    pub(super) pairs: Deltas,
    pub(super) errors: Vec<RowError>,
    /// For each row of the delta, the sum of its partners' weights (when its side counts).
    pub(super) own_matches: Vec<i64>,
    /// Partners' slots and the weight that each gained (when their side counts).
    pub(super) touched: Vec<(u32, i64)>,
}

impl<'a> Pairing<'a> {
    /// All pairs of `piece`, on several threads when it is large.
    pub(super) fn find(&self, piece: &Piece) -> Result<Found> {
        let rows = piece.rows.rows();
        let candidates = self.ranges(piece)?;
        let can_be_split = candidates.as_ref().is_none_or(Ranges::can_be_split);
        if rows <= RANGE || !can_be_split {
            return self.find_range(piece, 0..rows, candidates.as_ref());
        }
        let ranges: Vec<Range<usize>> = (0..rows)
            .step_by(RANGE)
            .map(|from| from..rows.min(from + RANGE))
            .collect();
        let parts = ranges
            .into_par_iter()
            .map(|range| self.find_range(piece, range, candidates.as_ref()))
            .collect::<Result<Vec<_>>>()?;
        let mut all = Found::default();
        for part in parts {
            all.pairs.extend(part.pairs);
            all.errors.extend(part.errors);
            all.own_matches.extend(part.own_matches);
            all.touched.extend(part.touched);
        }
        Ok(all)
    }

    /// As [`Pairing::find`], on this thread alone.
    pub(super) fn find_all(&self, piece: &Piece) -> Result<Found> {
        let candidates = self.ranges(piece)?;
        self.find_range(piece, 0..piece.rows.rows(), candidates.as_ref())
    }

    fn ranges(&self, piece: &Piece) -> Result<Option<Ranges<'a>>> {
        let (own, other) = (self.own, self.other);
        let (Some(comparisons), Some(compared), Some(others)) =
            (self.comparisons, &own.compared, &other.compared)
        else {
            return Ok(None);
        };
        let sides = [(own, compared), (other, others)];
        let by_change = self.output.is_none() && !own.counts;
        Ranges::new(comparisons, piece, sides, self.own_is_left, by_change).map(Some)
    }

    fn find_range(
        &self,
        piece: &Piece,
        range: Range<usize>,
        candidates: Option<&Ranges<'_>>,
    ) -> Result<Found> {
        let from = range.start;
        let own_matches = if self.own.counts {
            vec![0; range.len()]
        } else {
            Vec::new()
        };
        let mut found = Found {
            own_matches,
            ..Found::default()
        };
        let mut take = |rows: &[u32], slots: &[u32]| {
            let passed = self.pass(piece, rows, slots, &mut found)?;
            for (pair, (row, slot)) in rows.iter().zip(slots).enumerate() {
                if passed.as_ref().is_some_and(|passed| !passed[pair]) {
                    continue;
                }
                let row = usize::try_from(*row).unwrap_or(usize::MAX);
                if self.own.counts {
                    let matches = &mut found.own_matches[row - from];
                    *matches = add_weights(*matches, self.other.state.weight(*slot))?;
                }
                if self.other.counts {
                    found.touched.push((*slot, piece.rows.weights[row]));
                }
            }
            Ok(())
        };
        match candidates {
            Some(candidates) => candidates.give(range, &mut take)?,
            None => self.other.state.probe(piece.keys(), range, &mut take)?,
        }
        Ok(found)
    }

    /// Puts the pairs that come out into `found`, and says which pairs passed the residual
    /// condition; `None`: all.
    fn pass(
        &self,
        piece: &Piece,
        rows: &[u32],
        slots: &[u32],
        found: &mut Found,
    ) -> Result<Option<Vec<bool>>> {
        if self.residual.is_none() && self.output.is_none() {
            return Ok(None);
        }
        let candidates = self.candidates(piece, rows, slots)?;
        let Some(residual) = self.residual else {
            self.give(&candidates, found)?;
            return Ok(None);
        };
        let mut cx = StepContext::default();
        let mut passed = vec![false; rows.len()];
        let residual = std::slice::from_ref(residual);
        for part in evaluate_rows(residual, &candidates, "join", &mut cx)? {
            let mask: BooleanArray = truth(&part.columns[0])?;
            for (index, is_true) in mask.values().iter().enumerate() {
                passed[part.from + index] = is_true;
            }
            let kept = keep(&part.delta, &mask)?;
            self.give(&kept, found)?;
        }
        found.errors.append(&mut cx.errors);
        Ok(Some(passed))
    }

    fn give(&self, pairs: &Delta, found: &mut Found) -> Result<()> {
        if let Some(schema) = self.output
            && pairs.rows() > 0
        {
            if let Some(budget) = self.budget {
                budget.charge(pairs_bytes(pairs))?;
            }
            let columns = pairs.batch().columns().to_vec();
            found
                .pairs
                .push(pairs.with_batch(batch_of(schema, columns, pairs.rows())?)?);
        }
        Ok(())
    }

    /// The pairs as rows, left columns first, with the product of their weights.
    fn candidates(&self, piece: &Piece, rows: &[u32], slots: &[u32]) -> Result<Delta> {
        let own = piece.take(self.own.width, rows)?;
        let other = self.other.state.gather(slots, &self.other.all)?;
        let (mut columns, right) = if self.own_is_left {
            (own, other)
        } else {
            (other, own)
        };
        columns.extend(right);
        let batch = batch_of(self.pair_schema, columns, rows.len())?;
        let mut weights = Vec::with_capacity(rows.len());
        for (row, slot) in rows.iter().zip(slots) {
            let own = piece.rows.weights[usize::try_from(*row).unwrap_or(usize::MAX)];
            weights.push(multiply_weights(own, self.other.state.weight(*slot))?);
        }
        if weights.iter().all(|weight| *weight == 1) {
            return Ok(Delta::inserts(batch));
        }
        Delta::new(batch, Int64Array::from(weights))
    }
}

/// What the pairs take: their own arrays, without the text that they share with the rows they came from.
fn pairs_bytes(pairs: &Delta) -> usize {
    let columns = pairs.batch().columns().iter();
    let bytes: usize = columns
        .map(|column| match column.data_type() {
            DataType::Utf8View | DataType::BinaryView => column.len() * size_of::<u128>(),
            _ => column.get_array_memory_size(),
        })
        .sum();
    bytes + pairs.rows() * size_of::<i64>()
}
