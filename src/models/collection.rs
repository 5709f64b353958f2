//! The current rows of one table or model, as a multiset that deltas change.
//!
//! Rows lie in immutable chunks; a row with weight n lies there n times. A hash index finds a row
//! for its retraction, by the primary key where there is one, else by all columns. Small chunks
//! are merged, four of a size at a time, so a row is copied O(log n) times however small the deltas
//! are, and not at all if they have many rows; a chunk that is more than half dead is rewritten.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, UInt64Array};
use arrow::compute::{concat_batches, take_record_batch};
use arrow::datatypes::SchemaRef;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::key_index::KeyIndex;
use super::row_index::{Place, RowIndex, Verdict};
use super::snapshot::{Chunk, Snapshot};
use crate::base::{Error, ObjectId, Result};
use crate::zset::canonical::canonical;
use crate::zset::equal::RowEqual;
use crate::zset::hash::row_hashes;
use crate::zset::{Delta, Merged, WHOLE_ROWS, Weights, gather};

/// The most rows that a chunk holds.
const CHUNK_ROWS: usize = 64 * 1024;
/// So many small chunks become one: with more of them a row is copied less often, and a reader meets more chunks.
const MERGED: usize = 4;

/// The current rows of one table or model.
#[derive(Debug)]
pub struct Collection {
    schema: SchemaRef,
    /// The columns that the index hashes; all of them where there is no key.
    indexed: Vec<usize>,
    /// Chunks in the order of their making; the sizes at the end fall like a counter's of base [`MERGED`]. A
    /// number is never used again, so that a link to a chunk that is gone cannot find another.
    chunks: BTreeMap<u32, Chunk>,
    next_chunk: u32,
    index: RowIndex,
    /// Indexes of further keys that hold once, by the object that asks for them.
    keys: BTreeMap<ObjectId, KeyIndex>,
    /// Whether the index holds the live rows. One of rows that only come is made when the first goes.
    is_indexed: bool,
    rows: usize,
}

impl Collection {
    /// An empty collection. `key` names the primary key's columns; empty for none.
    pub fn new(schema: SchemaRef, key: &[usize]) -> Self {
        let indexed = if key.is_empty() {
            (0..schema.fields().len()).collect()
        } else {
            key.to_vec()
        };
        Self {
            schema,
            indexed,
            chunks: BTreeMap::new(),
            next_chunk: 0,
            index: RowIndex::default(),
            keys: BTreeMap::new(),
            is_indexed: true,
            rows: 0,
        }
    }

    /// An empty collection of rows that as a rule only come, as those of a stream do: it costs no index.
    /// When the first row goes, the index is made, in one piece.
    pub fn append_only(schema: SchemaRef) -> Self {
        Self {
            is_indexed: false,
            ..Self::new(schema, &[])
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

    /// Memory of the rows, in bytes.
    pub fn bytes(&self) -> usize {
        self.chunks.values().map(|chunk| chunk.bytes).sum()
    }

    /// The rows as they are now, for readers to keep.
    pub fn snapshot(&self) -> Snapshot {
        let chunks: Vec<Chunk> = self.chunks.values().cloned().collect();
        let bytes = self.bytes();
        Snapshot {
            schema: Arc::clone(&self.schema),
            chunks,
            rows: self.rows,
            bytes,
        }
    }

    /// Adds and takes away rows. The order of the deltas does not matter.
    ///
    /// # Errors
    /// When a row is taken away that is not there: the caller's deltas are wrong. The collection
    /// is then not to be used further.
    pub fn apply(&mut self, deltas: &[Delta]) -> Result<()> {
        // additions first, so that a delta may take back what another one adds
        self.add(deltas)?;
        for delta in deltas {
            self.remove(delta)?;
        }
        self.compact()
    }

    /// For each row of `keys`, whether a row with these values in the indexed columns is here.
    ///
    /// # Errors
    /// When the types of `keys` are not those of the indexed columns.
    pub fn contains(&self, keys: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
        if !self.is_indexed {
            return Err(Error::internal(
                "a collection of rows that only come has no keys",
            ));
        }
        let keys = canonical_all(keys)?;
        let mut hashes = Vec::new();
        row_hashes(&keys, rows, &mut hashes)?;
        let mut found = vec![false; rows];
        let mut matcher = Matcher::new(keys, self.indexed.clone());
        for (row, hash) in hashes.iter().enumerate() {
            let place = self
                .index
                .find(*hash, |place| matcher.judge(row, place, &self.chunks));
            found[row] = place.is_some();
        }
        matcher.finish()?;
        Ok(found)
    }

    /// Keeps an index of `columns` from now on, for [`Self::contains_key`]. Gives a row that has the key
    /// of another one instead, if there is one: nothing is kept then.
    ///
    /// # Errors
    /// When the types of the columns cannot be compared.
    pub fn add_key(&mut self, id: ObjectId, columns: Vec<usize>) -> Result<Option<RecordBatch>> {
        let mut key = KeyIndex::new(columns);
        for (number, chunk) in &self.chunks {
            let probe = key.columns_of(&chunk.batch);
            let hashes = key.hashes(&probe, chunk.batch.num_rows())?;
            let mut matcher = Matcher::new(probe, key.columns().to_vec());
            for (row, hash) in (0_u32..).zip(&hashes) {
                let Some(hash) = hash.filter(|_| !chunk.dead.is_dead(row as usize)) else {
                    continue;
                };
                let judge = |place| matcher.judge(row as usize, place, &self.chunks);
                if key.rows.find(hash, judge).is_some() {
                    matcher.finish()?;
                    return Ok(Some(chunk.batch.slice(row as usize, 1)));
                }
                let chunk = *number;
                key.rows.insert(hash, Place { chunk, row });
            }
            matcher.finish()?;
        }
        self.keys.insert(id, key);
        Ok(None)
    }

    /// Forgets what [`Self::add_key`] made.
    pub fn remove_key(&mut self, id: ObjectId) {
        self.keys.remove(&id);
    }

    /// For each row of `keys`, whether a row with these values in the columns of key `id` is here. One
    /// with a NULL never is.
    ///
    /// # Errors
    /// When there is no such key, or the types of `keys` are not those of its columns.
    pub fn contains_key(&self, id: ObjectId, keys: &[ArrayRef], rows: usize) -> Result<Vec<bool>> {
        let Some(key) = self.keys.get(&id) else {
            return Err(Error::internal("a collection was not told of a key"));
        };
        let probe = canonical_all(keys)?;
        let hashes = key.hashes(&probe, rows)?;
        let mut matcher = Matcher::new(probe, key.columns().to_vec());
        let mut found = Vec::with_capacity(rows);
        for (row, hash) in hashes.iter().enumerate() {
            let place = hash.and_then(|hash| {
                let judge = |place| matcher.judge(row, place, &self.chunks);
                key.rows.find(hash, judge)
            });
            found.push(place.is_some());
        }
        matcher.finish()?;
        Ok(found)
    }

    /// Adds the rows with weights above 0. Many of them are copied by several threads.
    fn add(&mut self, deltas: &[Delta]) -> Result<()> {
        let adds = |delta: &&Delta| match delta.weights() {
            Weights::Ones => true,
            Weights::Each(weights) => weights.values().iter().any(|weight| *weight > 0),
        };
        let deltas: Vec<Delta> = deltas.iter().filter(adds).cloned().collect();
        let pieces = gather(&deltas)?;
        let admit = |piece: Merged| self.admit(piece);
        let admitted: Vec<Option<Admitted>> = if pieces.len() > 1 {
            pieces.into_par_iter().map(admit).collect::<Result<_>>()?
        } else {
            pieces.into_iter().map(admit).collect::<Result<_>>()?
        };
        for admitted in admitted.into_iter().flatten() {
            self.rows += admitted.chunk.batch.num_rows();
            self.store(admitted)?;
        }
        Ok(())
    }

    /// The rows of `piece` with weights above 0, as often as their weights say.
    fn admit(&self, piece: Merged) -> Result<Option<Admitted>> {
        let Merged { batch, weights, .. } = piece;
        let batch = if weights.iter().all(|weight| *weight == 1) {
            batch
        } else {
            let mut picks = Vec::with_capacity(weights.len());
            for (row, weight) in (0_u64..).zip(&weights) {
                picks.extend((0..*weight).map(|_| row));
            }
            take_record_batch(&batch, &UInt64Array::from(picks))?
        };
        if batch.num_rows() == 0 {
            return Ok(None);
        }
        let columns = batch.columns().to_vec();
        let batch = RecordBatch::try_new(Arc::clone(&self.schema), columns)?;
        self.indexed_chunk(Chunk::new(own(&batch)?)).map(Some)
    }

    /// `chunk` with what the index needs of it.
    fn indexed_chunk(&self, chunk: Chunk) -> Result<Admitted> {
        let mut hashes = Vec::new();
        if self.is_indexed {
            let columns = self.columns_of(&chunk.batch);
            row_hashes(&columns, chunk.batch.num_rows(), &mut hashes)?;
        }
        Ok(Admitted { chunk, hashes })
    }

    /// Stores a chunk whose rows all live, and indexes them.
    fn store(&mut self, admitted: Admitted) -> Result<()> {
        let Admitted { chunk, hashes } = admitted;
        let number = self.next_chunk;
        self.next_chunk = number
            .checked_add(1)
            .ok_or_else(|| Error::limit("a collection has had more than 4 billion chunks"))?;
        self.index.reserve(hashes.len());
        for (row, hash) in (0_u32..).zip(&hashes) {
            self.index.insert(*hash, Place { chunk: number, row });
        }
        for key in self.keys.values_mut() {
            key.add(number, &chunk)?;
        }
        self.chunks.insert(number, chunk);
        Ok(())
    }

    fn remove(&mut self, delta: &Delta) -> Result<()> {
        let Weights::Each(weights) = delta.weights() else {
            return Ok(());
        };
        if weights.values().iter().all(|weight| *weight >= 0) {
            return Ok(());
        }
        if !self.is_indexed {
            self.is_indexed = true;
            self.rebuild_index()?;
        }
        let probe = canonical_all(delta.batch().columns())?;
        let keys: Vec<ArrayRef> = self
            .indexed
            .iter()
            .map(|c| Arc::clone(&probe[*c]))
            .collect();
        let mut hashes = Vec::new();
        row_hashes(&keys, delta.rows(), &mut hashes)?;
        let gone = self.key_hashes(&probe, delta.rows())?;
        let all = (0..self.schema.fields().len()).collect();
        let mut matcher = Matcher::new(probe, all);
        for (row, weight) in weights.values().iter().enumerate() {
            for _ in *weight..0 {
                let chunks = &self.chunks;
                let place = self
                    .index
                    .take(hashes[row], |place| matcher.judge(row, place, chunks));
                let Some(place) = place else {
                    matcher.finish()?;
                    return Err(Error::internal(
                        "a row is taken away that is not in the collection",
                    ));
                };
                self.kill(place);
                for (key, hashes) in self.keys.values_mut().zip(&gone) {
                    key.remove(hashes[row], place, |chunk| self.chunks.contains_key(&chunk));
                }
            }
        }
        matcher.finish()
    }

    /// The hashes of rows under every key, in the order of the keys.
    fn key_hashes(&self, columns: &[ArrayRef], rows: usize) -> Result<Vec<Vec<Option<u64>>>> {
        self.keys
            .values()
            .map(|key| key.hashes(&key.pick(columns), rows))
            .collect()
    }

    fn kill(&mut self, place: Place) {
        if let Some(chunk) = self.chunks.get_mut(&place.chunk) {
            let rows = chunk.batch.num_rows();
            Arc::make_mut(&mut chunk.dead).kill(place.row as usize, rows);
        }
        self.rows -= 1;
    }

    /// Merges small chunks at the end, rewrites those that are mostly dead, and rebuilds the index
    /// when it is mostly stale.
    fn compact(&mut self) -> Result<()> {
        let mostly_dead: Vec<u32> = self
            .chunks
            .iter()
            .filter(|(_, chunk)| chunk.live_rows() * 2 < chunk.batch.num_rows())
            .map(|(number, _)| *number)
            .collect();
        for number in mostly_dead {
            self.rewrite(&[number])?;
        }
        loop {
            let mergeable = self.mergeable();
            if mergeable.is_empty() {
                break;
            }
            self.rewrite(&mergeable)?;
        }
        if self.index.is_sparse(self.rows) {
            self.rebuild_index()?;
        }
        for key in self.keys.values_mut() {
            if key.rows.is_sparse(self.rows) {
                key.rows.clear();
                for (number, chunk) in &self.chunks {
                    key.add(*number, chunk)?;
                }
            }
        }
        Ok(())
    }

    /// The chunks at the end that are about as small as the last one, once there are [`MERGED`] of them.
    fn mergeable(&self) -> Vec<u32> {
        let last = self.chunks.values().next_back();
        let last = last.map_or(usize::MAX, |chunk| chunk.batch.num_rows());
        if last >= WHOLE_ROWS {
            return Vec::new();
        }
        // the next power of MERGED: as many rows as the chunks of this size make at least
        let mut size = MERGED;
        while size <= last {
            size *= MERGED;
        }
        let mut rows = 0;
        let small = self.chunks.iter().rev().take_while(|(_, chunk)| {
            rows += chunk.batch.num_rows();
            chunk.batch.num_rows() < size && rows <= CHUNK_ROWS
        });
        let mut small: Vec<u32> = small.map(|(number, _)| *number).collect();
        if small.len() < MERGED {
            return Vec::new();
        }
        small.reverse();
        small
    }

    /// Replaces chunks by one with their live rows.
    fn rewrite(&mut self, numbers: &[u32]) -> Result<()> {
        let mut live = Vec::with_capacity(numbers.len());
        for number in numbers {
            if let Some(chunk) = self.chunks.remove(number) {
                live.push(chunk.live()?);
            }
        }
        let merged = concat_batches(&self.schema, &live)?;
        if merged.num_rows() > 0 {
            let merged = self.indexed_chunk(Chunk::new(merged))?;
            self.store(merged)?;
        }
        Ok(())
    }

    fn rebuild_index(&mut self) -> Result<()> {
        self.index.clear();
        self.index.reserve(self.rows);
        for (number, chunk) in &self.chunks {
            let columns: Vec<ArrayRef> = self
                .indexed
                .iter()
                .map(|c| Arc::clone(chunk.batch.column(*c)))
                .collect();
            let mut hashes = Vec::new();
            row_hashes(&columns, chunk.batch.num_rows(), &mut hashes)?;
            for (row, hash) in (0_u32..).zip(&hashes) {
                if !chunk.dead.is_dead(row as usize) {
                    self.index.insert(
                        *hash,
                        Place {
                            chunk: *number,
                            row,
                        },
                    );
                }
            }
        }
        Ok(())
    }

    fn columns_of(&self, batch: &RecordBatch) -> Vec<ArrayRef> {
        self.indexed
            .iter()
            .map(|column| Arc::clone(batch.column(*column)))
            .collect()
    }
}

/// A chunk on its way in.
struct Admitted {
    chunk: Chunk,
    /// The hash of each row; empty where there is no index.
    hashes: Vec<u64>,
}

/// Compares rows of one batch with stored rows, keeping one comparison a chunk.
struct Matcher {
    probe: Vec<ArrayRef>,
    columns: Vec<usize>,
    made: BTreeMap<u32, RowEqual>,
    failure: Option<Error>,
}

impl Matcher {
    fn new(probe: Vec<ArrayRef>, columns: Vec<usize>) -> Self {
        Self {
            probe,
            columns,
            made: BTreeMap::new(),
            failure: None,
        }
    }

    fn judge(&mut self, row: usize, place: Place, chunks: &BTreeMap<u32, Chunk>) -> Verdict {
        let Some(chunk) = chunks.get(&place.chunk) else {
            return Verdict::Stale;
        };
        match self.equality(place.chunk, chunk) {
            Ok(equality) if equality.equal(row, place.row as usize) => Verdict::Found,
            Ok(_) => Verdict::Other,
            Err(error) => {
                self.failure = Some(error);
                Verdict::Other
            }
        }
    }

    fn equality(&mut self, number: u32, chunk: &Chunk) -> Result<&RowEqual> {
        Ok(match self.made.entry(number) {
            Entry::Occupied(made) => made.into_mut(),
            Entry::Vacant(empty) => {
                let stored: Vec<ArrayRef> = self
                    .columns
                    .iter()
                    .map(|c| Arc::clone(chunk.batch.column(*c)))
                    .collect();
                empty.insert(RowEqual::new(&self.probe, &stored)?)
            }
        })
    }

    /// The error of a comparison that could not be made, if any.
    fn finish(self) -> Result<()> {
        self.failure.map_or(Ok(()), Err)
    }
}

/// The columns with one NaN and one zero, as equality and hashes expect them.
fn canonical_all(columns: &[ArrayRef]) -> Result<Vec<ArrayRef>> {
    columns.iter().map(canonical).collect()
}

/// A copy whose buffers hold these rows alone, so that a slice does not pin its source.
fn own(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .map(|column| {
            let data = column.to_data();
            if data.get_slice_memory_size().unwrap_or(0) * 2 >= column.get_array_memory_size() {
                return Ok(Arc::clone(column));
            }
            let indices = UInt64Array::from_iter_values(0..column.len() as u64);
            let taken = arrow::compute::take(column, &indices, None)?;
            Ok(match taken.data_type() {
                arrow::datatypes::DataType::Utf8View => {
                    Arc::new(arrow::array::AsArray::as_string_view(&taken).gc()) as ArrayRef
                }
                arrow::datatypes::DataType::BinaryView => {
                    Arc::new(arrow::array::AsArray::as_binary_view(&taken).gc()) as ArrayRef
                }
                _ => taken,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(batch.schema(), columns)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Field, Int64Type, Schema};

    use super::*;

    fn rows(values: &[i64]) -> RecordBatch {
        let schema = Schema::new(vec![Field::new("v", DataType::Int64, true)]);
        let column = Arc::new(Int64Array::from(values.to_vec()));
        RecordBatch::try_new(Arc::new(schema), vec![column]).expect("one column")
    }

    fn held(collection: &Collection) -> Vec<i64> {
        let batches = collection.snapshot().batches().expect("the rows");
        let mut values: Vec<i64> = batches
            .iter()
            .flat_map(|batch| {
                batch
                    .column(0)
                    .as_primitive::<Int64Type>()
                    .values()
                    .to_vec()
            })
            .collect();
        values.sort_unstable();
        values
    }

    #[test]
    fn a_further_key_follows_rows_that_come_and_go() {
        let schema = Schema::new(vec![
            Field::new("k", DataType::Int64, true),
            Field::new("v", DataType::Int64, true),
        ]);
        let schema = Arc::new(schema);
        let batch = |rows: &[(Option<i64>, i64)]| {
            let keys: Int64Array = rows.iter().map(|row| row.0).collect();
            let values: Int64Array = rows.iter().map(|row| Some(row.1)).collect();
            let columns: Vec<ArrayRef> = vec![Arc::new(keys), Arc::new(values)];
            RecordBatch::try_new(Arc::clone(&schema), columns).expect("two columns")
        };
        let probe: Vec<ArrayRef> = vec![Arc::new(Int64Array::from(vec![
            Some(1),
            Some(2),
            Some(3),
            None,
        ]))];
        let id = ObjectId(7);
        let mut collection = Collection::new(Arc::clone(&schema), &[]);
        let apply = |collection: &mut Collection, delta: Delta| {
            collection.apply(&[delta]).expect("it applies");
        };
        let rows = [(Some(1), 10), (Some(2), 20), (None, 30), (None, 30)];
        apply(&mut collection, Delta::inserts(batch(&rows)));
        assert!(collection.add_key(id, vec![0]).expect("a key").is_none());
        let seen = |collection: &Collection| collection.contains_key(id, &probe, 4).expect("known");
        assert_eq!(seen(&collection), [true, true, false, false]);
        apply(&mut collection, Delta::inserts(batch(&[(Some(3), 1)])));
        apply(
            &mut collection,
            Delta::deletes(batch(&[(Some(1), 10), (None, 30)])),
        );
        assert_eq!(seen(&collection), [false, true, true, false]);
        // many small chunks are merged and rewritten, and the key follows them
        for round in 0..200 {
            apply(&mut collection, Delta::inserts(batch(&[(Some(1), round)])));
            assert_eq!(seen(&collection), [true, true, true, false]);
            apply(&mut collection, Delta::deletes(batch(&[(Some(1), round)])));
            assert_eq!(seen(&collection), [false, true, true, false]);
        }
        apply(&mut collection, Delta::inserts(batch(&[(Some(5), 20)])));
        let twice = collection.add_key(ObjectId(8), vec![1]).expect("compared");
        assert_eq!(twice.map(|row| row.num_rows()), Some(1));
        collection
            .contains_key(ObjectId(8), &probe, 4)
            .expect_err("no such key is kept");
    }

    #[test]
    fn small_chunks_are_merged_and_large_ones_left_alone() {
        let mut collection = Collection::new(rows(&[]).schema(), &[]);
        for value in 0..1_000 {
            let delta = Delta::inserts(rows(&[value]));
            collection.apply(&[delta]).expect("it applies");
            assert!(collection.chunks.len() < 5 * MERGED);
        }
        assert_eq!(held(&collection), (0..1_000).collect::<Vec<i64>>());
        let large: Vec<i64> = (0..i64::try_from(WHOLE_ROWS).expect("few")).collect();
        let large = rows(&large);
        let before = collection.chunks.len();
        for _ in 0..2 * MERGED {
            let delta = Delta::inserts(large.clone());
            collection.apply(&[delta]).expect("it applies");
        }
        assert_eq!(collection.chunks.len(), before + 2 * MERGED);
        let last = collection.chunks.values().next_back().expect("chunks");
        assert!(Arc::ptr_eq(last.batch.column(0), large.column(0)));
    }

    #[test]
    fn rows_that_only_come_have_no_index_until_one_goes() {
        let mut collection = Collection::append_only(rows(&[]).schema());
        for batch in [&[1, 2, 2][..], &[3], &[4, 5, 2]] {
            let delta = Delta::inserts(rows(batch));
            collection.apply(&[delta]).expect("they are added");
        }
        assert_eq!(collection.index.links(), 0);
        collection
            .apply(&[Delta::inserts(rows(&[2, 4])).negate()])
            .expect("both are there");
        assert_eq!(held(&collection), [1, 2, 2, 3, 5]);
        collection
            .apply(&[Delta::inserts(rows(&[6]))])
            .expect("it is added");
        collection
            .apply(&[Delta::inserts(rows(&[6, 2])).negate()])
            .expect("later rows are found too");
        assert_eq!(held(&collection), [1, 2, 3, 5]);
        collection
            .apply(&[Delta::inserts(rows(&[7])).negate()])
            .expect_err("it was never there");
    }
}
