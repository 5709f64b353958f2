//! Merging equal rows of deltas: by row hash first, then by exact comparison.

use arrow::array::{Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take_arrays;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use rayon::iter::{IntoParallelRefIterator, ParallelIterator};

use super::canonical::canonical_batch;
use super::delta::{Delta, Weights, batch_of, concat_rows};
use super::equal::RowEqual;
use super::hash::row_hashes;
use crate::base::{Error, Result};

/// The most rows that [`merge`] puts in one piece, unless one delta is larger.
const PIECE_ROWS: usize = 1 << 16;
/// [`gather`] leaves a delta of so many rows a piece of its own: to put it beside another would copy it. More than a batch of
/// DataFusion's has, of which a large load would leave thousands.
pub const WHOLE_ROWS: usize = (1 << 13) + 1;

/// Rows that are all different, with the weights and hashes that merging them found; or, from [`gather`], rows
/// that may be equal.
#[derive(Clone, Debug)]
pub struct Merged {
    /// The rows, canonical, no two equal.
    pub batch: RecordBatch,
    /// A weight a row, never 0.
    pub weights: Vec<i64>,
    /// A hash a row, over all columns (see [`super::hash::row_hashes`]). Empty where rows were not merged.
    pub hashes: Vec<u64>,
}

impl Merged {
    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.weights.len()
    }

    /// Whether equal rows were merged.
    pub fn is_merged(&self) -> bool {
        self.hashes.len() == self.weights.len()
    }

    /// As a delta.
    ///
    /// # Errors
    /// Never for a value made by [`merge`].
    pub fn to_delta(&self) -> Result<Delta> {
        if self.weights.iter().all(|weight| *weight == 1) {
            return Ok(Delta::inserts(self.batch.clone()));
        }
        Delta::new(self.batch.clone(), Int64Array::from(self.weights.clone()))
    }
}

/// Merges equal rows within pieces of about 64 Ki rows. Rows of different pieces may be equal: who
/// keeps state takes the pieces one after the other, and needs no more than that.
///
/// # Errors
/// When a column cannot be hashed or compared, or a weight passes 64 bits.
pub fn merge(deltas: &[Delta]) -> Result<Vec<Merged>> {
    let merged = each_piece(&pieces_of(deltas, usize::MAX), merge_piece)?;
    Ok(merged
        .into_iter()
        .filter(|merged| merged.rows() > 0)
        .collect())
}

/// The rows in pieces like those of [`merge`], but equal ones stay apart and nothing is hashed: for rows that
/// are known to be different, or where that does not matter. No weight may be 0.
///
/// # Errors
/// When batches cannot be joined.
pub fn gather(deltas: &[Delta]) -> Result<Vec<Merged>> {
    each_piece(&pieces_of(deltas, WHOLE_ROWS), |piece| {
        let (batch, weights) = joined(piece)?;
        Ok(Merged {
            batch,
            weights,
            hashes: Vec::new(),
        })
    })
}

/// What `work` makes of the pieces, several at the same time where there are several.
fn each_piece(
    pieces: &[Vec<Delta>],
    work: impl Fn(&[Delta]) -> Result<Merged> + Sync,
) -> Result<Vec<Merged>> {
    if pieces.len() > 1 {
        pieces.par_iter().map(|piece| work(piece)).collect()
    } else {
        pieces.iter().map(|piece| work(piece)).collect()
    }
}

/// The deltas dealt to pieces of about [`PIECE_ROWS`] rows. One of `whole` rows or more is a piece of its own.
fn pieces_of(deltas: &[Delta], whole: usize) -> Vec<Vec<Delta>> {
    let mut pieces: Vec<Vec<Delta>> = Vec::new();
    let mut room = 0;
    for delta in deltas
        .iter()
        .flat_map(split)
        .filter(|delta| delta.rows() > 0)
    {
        match pieces.last_mut() {
            Some(piece) if delta.rows() <= room && delta.rows() < whole => {
                room -= delta.rows();
                piece.push(delta);
            }
            _ => {
                room = match delta.rows() {
                    rows if rows >= whole => 0,
                    rows => PIECE_ROWS.saturating_sub(rows),
                };
                pieces.push(vec![delta]);
            }
        }
    }
    pieces
}

/// Equal rows merged, zeros dropped: at most one row of each value comes back.
///
/// # Errors
/// As [`merge`].
pub fn consolidate(deltas: &[Delta]) -> Result<Vec<Delta>> {
    let mut pieces = merge(deltas)?;
    if pieces.len() > 1 {
        across(&mut pieces)?;
    }
    pieces
        .iter()
        .filter(|piece| piece.rows() > 0)
        .map(Merged::to_delta)
        .collect()
}

/// Takes away what cancels. Unlike [`consolidate`], equal rows may remain when all are inserted:
/// append-only deltas come back as they are.
///
/// # Errors
/// As [`merge`].
pub fn net(deltas: &[Delta]) -> Result<Vec<Delta>> {
    if deltas
        .iter()
        .all(|delta| matches!(delta.weights(), Weights::Ones))
    {
        return Ok(deltas
            .iter()
            .filter(|delta| delta.rows() > 0)
            .cloned()
            .collect());
    }
    if let [gone, come] = deltas
        && gone.rows() == 1
        && come.rows() == 1
        && gone.weight(0) != 0
        && come.weight(0) != 0
        && gone.schema().fields().len() == come.schema().fields().len()
        && !RowEqual::new(gone.batch().columns(), come.batch().columns())?.equal(0, 0)
    {
        // one row that became another: the commonest of all small changes
        return Ok(deltas.to_vec());
    }
    consolidate(deltas)
}

/// What `left` has and `right` has not, with positive weights, and the other way with negative
/// ones. Empty when both are the same multiset.
///
/// # Errors
/// As [`merge`].
pub fn differences(left: &[Delta], right: &[Delta]) -> Result<Vec<Delta>> {
    let all: Vec<Delta> = left
        .iter()
        .cloned()
        .chain(right.iter().map(Delta::negate))
        .collect();
    consolidate(&all)
}

/// `delta` in slices of at most [`PIECE_ROWS`] rows.
fn split(delta: &Delta) -> Vec<Delta> {
    if delta.rows() <= PIECE_ROWS {
        return vec![delta.clone()];
    }
    (0..delta.rows())
        .step_by(PIECE_ROWS)
        .map(|from| delta.slice(from, PIECE_ROWS.min(delta.rows() - from)))
        .collect()
}

fn merge_piece(piece: &[Delta]) -> Result<Merged> {
    let (batch, mut weights) = joined(piece)?;
    let rows = batch.num_rows();
    let mut hashes = Vec::new();
    row_hashes(batch.columns(), rows, &mut hashes)?;
    if rows > 1 {
        add_up(&batch, &hashes, &mut weights)?;
    }
    if weights.iter().all(|weight| *weight != 0) {
        return Ok(Merged {
            batch,
            weights,
            hashes,
        });
    }
    keep_nonzero(&batch, &weights, &hashes)
}

/// The rows of all deltas as one canonical batch, and their weights.
fn joined(piece: &[Delta]) -> Result<(RecordBatch, Vec<i64>)> {
    let batch = match piece {
        [one] => one.batch().clone(),
        several => concat_rows(several.iter().map(Delta::batch))?,
    };
    let mut weights = Vec::with_capacity(batch.num_rows());
    for delta in piece {
        match delta.weights() {
            Weights::Ones => weights.resize(weights.len() + delta.rows(), 1),
            Weights::Each(each) => weights.extend_from_slice(each.values()),
        }
    }
    Ok((canonical_batch(&batch)?, weights))
}

/// Puts the weight of every later equal row on the first one and leaves 0 on the later.
fn add_up(batch: &RecordBatch, hashes: &[u64], weights: &mut [i64]) -> Result<()> {
    let mut equal: Option<RowEqual> = None;
    let mut seen: HashTable<u32> = HashTable::with_capacity(hashes.len());
    for (row, &hash) in hashes.iter().enumerate() {
        if weights[row] == 0 {
            continue;
        }
        // A comparison is built when the first two hashes meet, which may be never.
        if equal.is_none()
            && seen
                .find(hash, |&first| hashes[index(first)] == hash)
                .is_some()
        {
            equal = Some(RowEqual::new(batch.columns(), batch.columns())?);
        }
        let same = |&first: &u32| {
            hashes[index(first)] == hash
                && equal
                    .as_ref()
                    .is_some_and(|equal| equal.equal(index(first), row))
        };
        match seen.entry(hash, same, |&first| hashes[index(first)]) {
            Entry::Occupied(first) => {
                let first = index(*first.get());
                weights[first] = add_weights(weights[first], weights[row])?;
                weights[row] = 0;
            }
            Entry::Vacant(place) => {
                place.insert(number(row)?);
            }
        }
    }
    Ok(())
}

fn keep_nonzero(batch: &RecordBatch, weights: &[i64], hashes: &[u64]) -> Result<Merged> {
    let kept: Vec<usize> = (0..weights.len())
        .filter(|&row| weights[row] != 0)
        .collect();
    let rows = kept
        .iter()
        .map(|&row| number(row))
        .collect::<Result<Vec<u32>>>()?;
    Ok(Merged {
        batch: take_rows(batch, rows)?,
        weights: kept.iter().map(|&row| weights[row]).collect(),
        hashes: kept.iter().map(|&row| hashes[row]).collect(),
    })
}

/// Merges rows of different pieces that are equal, then drops what became 0.
fn across(pieces: &mut [Merged]) -> Result<()> {
    let total = pieces.iter().map(Merged::rows).sum();
    let mut seen: HashTable<(u32, u32)> = HashTable::with_capacity(total);
    for right in 0..pieces.len() {
        let mut equals: Vec<Option<RowEqual>> = (0..right).map(|_| None).collect();
        for row in 0..pieces[right].rows() {
            let hash = pieces[right].hashes[row];
            let mut first = None;
            for &(left, left_row) in seen.iter_hash(hash) {
                let (left, left_row) = (index(left), index(left_row));
                if left == right || pieces[left].hashes[left_row] != hash {
                    continue;
                }
                if equals[left].is_none() {
                    let (a, b) = (&pieces[left].batch, &pieces[right].batch);
                    equals[left] = Some(RowEqual::new(a.columns(), b.columns())?);
                }
                if equals[left]
                    .as_ref()
                    .is_some_and(|equal| equal.equal(left_row, row))
                {
                    first = Some((left, left_row));
                    break;
                }
            }
            if let Some((left, left_row)) = first {
                let sum = add_weights(pieces[left].weights[left_row], pieces[right].weights[row])?;
                pieces[left].weights[left_row] = sum;
                pieces[right].weights[row] = 0;
            } else {
                let place = (number(right)?, number(row)?);
                seen.insert_unique(hash, place, |&(piece, row)| {
                    pieces[index(piece)].hashes[index(row)]
                });
            }
        }
    }
    for piece in pieces {
        if piece.weights.contains(&0) {
            *piece = keep_nonzero(&piece.batch, &piece.weights, &piece.hashes)?;
        }
    }
    Ok(())
}

/// The named rows of `batch`, in that order.
///
/// # Errors
/// When Arrow cannot take from a column.
pub fn take_rows(batch: &RecordBatch, rows: Vec<u32>) -> Result<RecordBatch> {
    let rows = UInt32Array::from(rows);
    let columns = take_arrays(batch.columns(), &rows, None)?;
    batch_of(&batch.schema(), columns, rows.len())
}

/// The sum of two weights.
///
/// # Errors
/// When it passes 64 bits.
pub fn add_weights(left: i64, right: i64) -> Result<i64> {
    left.checked_add(right)
        .ok_or_else(|| Error::limit("a row has more than 2^63 copies"))
}

/// The product of two weights.
///
/// # Errors
/// When it passes 64 bits.
pub fn multiply_weights(left: i64, right: i64) -> Result<i64> {
    left.checked_mul(right)
        .ok_or_else(|| Error::limit("a row has more than 2^63 copies"))
}

fn index(row: u32) -> usize {
    usize::try_from(row).unwrap_or(usize::MAX)
}

fn number(row: usize) -> Result<u32> {
    u32::try_from(row).map_err(|_| Error::limit("a delta has more than 2^32 rows"))
}
