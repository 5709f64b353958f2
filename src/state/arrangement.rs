//! An arrangement: different rows with a weight each, found by the whole row or by a key.
//!
//! Beside the chunks, every slot has a weight, a row hash, and (with a key) a key hash and its
//! neighbours in the chain of rows of the same key. A weight may be negative for a while, because
//! deltas may come in any order; a row is forgotten when its weight is 0. About 60 bytes a row stand
//! beside the columns.
//!
//! One value of this type owns everything, so that a split into shards by key hash is a loop over
//! it; it is not split yet, because small steps cost less in one piece.

use std::ops::Range;

use arrow::array::{ArrayRef, Int64Array};
use arrow::datatypes::SchemaRef;
use hashbrown::HashTable;

use super::chunks::{CHUNK_ROWS, Chunks, at, number};
use super::pairs::{Emit, Pairs};
use super::renumber::Renumbering;
use super::search::Equals;
use crate::base::Result;
use crate::zset::consolidate::add_weights;
use crate::zset::{Delta, Merged};

/// The end of a chain.
const NONE: u32 = u32::MAX;

/// The keys of some rows, ready to be looked up.
#[derive(Clone, Copy, Debug)]
pub struct Keys<'a> {
    /// The key's columns, canonical.
    pub columns: &'a [ArrayRef],
    /// Their hash, a row each (see [`crate::zset::hash::row_hashes`]).
    pub hashes: &'a [u64],
}

/// Rows with weights, by row and by key.
#[derive(Debug)]
pub struct Arrangement {
    schema: SchemaRef,
    /// Which of the columns are the key; `None`: rows are found whole only.
    key: Option<Vec<usize>>,
    chunks: Chunks,
    weights: Vec<i64>,
    row_hashes: Vec<u64>,
    matches: Vec<i64>,
    key_hashes: Vec<u64>,
    next: Vec<u32>,
    previous: Vec<u32>,
    free: Vec<u32>,
    rows: HashTable<u32>,
    /// The first row of each key.
    heads: HashTable<u32>,
    live: usize,
}

impl Arrangement {
    /// Rows of `schema`; with a `key`, some of its columns by index, rows are found by that too.
    pub fn new(schema: SchemaRef, key: Option<Vec<usize>>) -> Self {
        Self {
            schema,
            key,
            chunks: Chunks::default(),
            weights: Vec::new(),
            row_hashes: Vec::new(),
            matches: Vec::new(),
            key_hashes: Vec::new(),
            next: Vec::new(),
            previous: Vec::new(),
            free: Vec::new(),
            rows: HashTable::new(),
            heads: HashTable::new(),
            live: 0,
        }
    }

    /// The number of different rows.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// The columns' names and types.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// About how many bytes everything takes.
    pub fn bytes(&self) -> usize {
        self.chunks.bytes()
            + (self.weights.capacity() + self.row_hashes.capacity() + self.matches.capacity()) * 8
            + self.key_hashes.capacity() * 8
            + (self.next.capacity() + self.previous.capacity() + self.free.capacity()) * 4
            + self.rows.allocation_size()
            + self.heads.allocation_size()
    }

    /// The weight of a row that [`Arrangement::probe`] gave.
    pub fn weight(&self, slot: u32) -> i64 {
        self.weights[at(slot)]
    }

    /// The count of matches kept for a row: what [`Arrangement::apply`] was given when the row was
    /// new, and what was added since.
    pub fn matches(&self, slot: u32) -> i64 {
        self.matches[at(slot)]
    }

    /// Adds to a row's count of matches.
    ///
    /// # Errors
    /// When the count passes 64 bits.
    pub fn add_matches(&mut self, slot: u32, change: i64) -> Result<()> {
        let count = &mut self.matches[at(slot)];
        *count = add_weights(*count, change)?;
        Ok(())
    }

    /// Adds `delta` to the rows and says which weight each of its rows had before. The hashes of
    /// the keys are needed when there is a key, and `matches` is kept for the rows that are new.
    ///
    /// # Errors
    /// When a weight passes 64 bits or a column cannot be compared.
    pub fn apply(
        &mut self,
        delta: &Merged,
        key_hashes: Option<&[u64]>,
        matches: Option<&[i64]>,
    ) -> Result<Vec<i64>> {
        let columns = delta.batch.columns();
        let found = self.find_rows(columns, &delta.hashes)?;
        let mut before = Vec::with_capacity(found.len());
        let mut new_rows = Vec::new();
        for (row, slot) in found.iter().enumerate() {
            if *slot == NONE {
                before.push(0);
                new_rows.push(number(row)?);
                continue;
            }
            let weight = self.weights[at(*slot)];
            before.push(weight);
            let weight = add_weights(weight, delta.weights[row])?;
            self.weights[at(*slot)] = weight;
            if weight == 0 {
                self.forget(*slot);
            }
        }
        for rows in new_rows.chunks(CHUNK_ROWS) {
            self.admit(delta, rows, key_hashes, matches)?;
        }
        self.chunks.tidy(delta.rows() * 2)?;
        self.shrink()?;
        Ok(before)
    }

    /// Lets go of memory that more rows needed than are here.
    fn shrink(&mut self) -> Result<()> {
        if self.live == 0 {
            *self = Self::new(SchemaRef::clone(&self.schema), self.key.take());
            return Ok(());
        }
        let Some(slots) = Renumbering::due(self.weights.len(), &self.free)? else {
            return Ok(());
        };
        slots.column(&mut self.weights);
        slots.column(&mut self.row_hashes);
        slots.column(&mut self.matches);
        let hashes = &self.row_hashes;
        slots.table(&mut self.rows, |slot| hashes[at(*slot)]);
        if self.key.is_some() {
            slots.column(&mut self.key_hashes);
            slots.links(&mut self.next);
            slots.links(&mut self.previous);
            let hashes = &self.key_hashes;
            slots.table(&mut self.heads, |slot| hashes[at(*slot)]);
        }
        self.chunks.renumber(&slots);
        self.free = Vec::new();
        Ok(())
    }

    /// Looks the rows `range` of `keys` up and gives the pairs found, a bounded number at a time:
    /// probing row and slot.
    ///
    /// # Errors
    /// Those of `emit`, and when a key cannot be compared.
    pub fn probe(&self, keys: Keys<'_>, range: Range<usize>, emit: Emit<'_>) -> Result<()> {
        if self.live == 0 {
            return Ok(());
        }
        let key = self.key.as_deref().unwrap_or_default();
        let mut equals = Equals::new(&self.chunks, key, keys.columns);
        let mut pairs = Pairs::new(emit);
        for row in range {
            let probe = number(row)?;
            let mut slot = self.find_head(&mut equals, keys.hashes[row], row)?;
            while slot != NONE {
                pairs.push(probe, slot)?;
                slot = self.next[at(slot)];
            }
        }
        pairs.finish()
    }

    /// The named columns of the rows of `slots`, which must not be empty.
    ///
    /// # Errors
    /// When Arrow cannot take from a column.
    pub fn gather(&self, slots: &[u32], columns: &[usize]) -> Result<Vec<ArrayRef>> {
        self.chunks.gather(slots, columns)
    }

    /// Everything that is held, as deltas. Shares the chunks where all their rows live.
    ///
    /// # Errors
    /// When Arrow cannot take from a column.
    pub fn scan(&self) -> Result<Vec<Delta>> {
        let width: Vec<usize> = (0..self.schema.fields().len()).collect();
        let mut deltas = Vec::new();
        for chunk in self.chunks.iter() {
            let slots: Vec<u32> = chunk.live().map(|(_, slot)| slot).collect();
            if slots.is_empty() {
                continue;
            }
            let columns = if chunk.all_live() {
                chunk.columns.clone()
            } else {
                self.gather(&slots, &width)?
            };
            let batch = crate::zset::batch_of(&self.schema, columns, slots.len())?;
            let weights: Vec<i64> = slots.iter().map(|slot| self.weight(*slot)).collect();
            deltas.push(if weights.iter().all(|weight| *weight == 1) {
                Delta::inserts(batch)
            } else {
                Delta::new(batch, Int64Array::from(weights))?
            });
        }
        Ok(deltas)
    }

    /// The slot of each row, or [`NONE`].
    fn find_rows(&self, columns: &[ArrayRef], hashes: &[u64]) -> Result<Vec<u32>> {
        if self.live == 0 {
            return Ok(vec![NONE; hashes.len()]);
        }
        let all: Vec<usize> = (0..columns.len()).collect();
        let mut equals = Equals::new(&self.chunks, &all, columns);
        let mut found = Vec::with_capacity(hashes.len());
        for (row, hash) in hashes.iter().enumerate() {
            let mut slot = NONE;
            for candidate in self.rows.iter_hash(*hash) {
                if self.row_hashes[at(*candidate)] == *hash && equals.equal(row, *candidate)? {
                    slot = *candidate;
                    break;
                }
            }
            found.push(slot);
        }
        Ok(found)
    }

    /// The first row with the key of probing row `row`, or [`NONE`].
    fn find_head(&self, equals: &mut Equals<'_>, hash: u64, row: usize) -> Result<u32> {
        for head in self.heads.iter_hash(hash) {
            if self.key_hashes[at(*head)] == hash && equals.equal(row, *head)? {
                return Ok(*head);
            }
        }
        Ok(NONE)
    }

    /// Takes the named rows of `delta` in as new ones.
    fn admit(
        &mut self,
        delta: &Merged,
        rows: &[u32],
        key_hashes: Option<&[u64]>,
        matches: Option<&[i64]>,
    ) -> Result<()> {
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows.iter().map(|row| at(*row)) {
            let slot = match self.free.pop() {
                Some(slot) => slot,
                None => self.new_slot()?,
            };
            self.weights[at(slot)] = delta.weights[row];
            self.row_hashes[at(slot)] = delta.hashes[row];
            if let Some(key_hashes) = key_hashes {
                self.key_hashes[at(slot)] = key_hashes[row];
            }
            self.matches[at(slot)] = matches.map_or(0, |matches| matches[row]);
            slots.push(slot);
        }
        self.chunks
            .admit(delta.batch.columns(), rows, slots.clone())?;
        self.live += slots.len();
        let Self {
            rows: table,
            row_hashes,
            ..
        } = self;
        table.reserve(slots.len(), |slot| row_hashes[at(*slot)]);
        for slot in &slots {
            table.insert_unique(row_hashes[at(*slot)], *slot, |slot| row_hashes[at(*slot)]);
        }
        if self.key.is_some() && key_hashes.is_some() {
            self.link(delta.batch.columns(), rows, &slots)?;
        }
        Ok(())
    }

    fn new_slot(&mut self) -> Result<u32> {
        let slot = number(self.weights.len())?;
        self.weights.push(0);
        self.row_hashes.push(0);
        self.matches.push(0);
        if self.key.is_some() {
            self.key_hashes.push(0);
            self.next.push(NONE);
            self.previous.push(NONE);
        }
        Ok(slot)
    }

    /// Puts new rows in the chains of their keys. A chain holds one key, not one hash, so that a
    /// probe compares with its first row alone.
    fn link(&mut self, columns: &[ArrayRef], rows: &[u32], slots: &[u32]) -> Result<()> {
        let key: Vec<ArrayRef> = self
            .key
            .iter()
            .flatten()
            .map(|column| ArrayRef::clone(&columns[*column]))
            .collect();
        let mut heads = std::mem::take(&mut self.heads);
        let mut next = std::mem::take(&mut self.next);
        let mut previous = std::mem::take(&mut self.previous);
        let hashes = &self.key_hashes;
        heads.reserve(if heads.is_empty() { slots.len() } else { 0 }, |slot| {
            hashes[at(*slot)]
        });
        let stored = self.key.as_deref().unwrap_or_default();
        let mut equals = Equals::new(&self.chunks, stored, &key);
        let mut linked = Ok(());
        for (row, slot) in rows.iter().zip(slots) {
            let hash = hashes[at(*slot)];
            let mut head = NONE;
            for candidate in heads.iter_hash(hash) {
                if hashes[at(*candidate)] != hash {
                    continue;
                }
                match equals.equal(at(*row), *candidate) {
                    Ok(true) => head = *candidate,
                    Ok(false) => {}
                    Err(error) => linked = Err(error),
                }
            }
            // Behind the head, so that the table need not change.
            let after = if head == NONE { NONE } else { next[at(head)] };
            next[at(*slot)] = after;
            previous[at(*slot)] = head;
            if head == NONE {
                heads.insert_unique(hash, *slot, |slot| hashes[at(*slot)]);
            } else {
                next[at(head)] = *slot;
                if after != NONE {
                    previous[at(after)] = *slot;
                }
            }
        }
        drop(equals);
        (self.heads, self.next, self.previous) = (heads, next, previous);
        linked
    }

    /// Drops a row whose weight became 0.
    fn forget(&mut self, slot: u32) {
        if let Ok(entry) = self
            .rows
            .find_entry(self.row_hashes[at(slot)], |other| *other == slot)
        {
            entry.remove();
        }
        if self.key.is_some() {
            let (previous, next) = (self.previous[at(slot)], self.next[at(slot)]);
            if next != NONE {
                self.previous[at(next)] = previous;
            }
            if previous != NONE {
                self.next[at(previous)] = next;
            } else if let Ok(mut head) = self
                .heads
                .find_entry(self.key_hashes[at(slot)], |other| *other == slot)
            {
                if next == NONE {
                    head.remove();
                } else {
                    *head.get_mut() = next;
                }
            }
        }
        self.chunks.kill(slot);
        self.free.push(slot);
        self.live -= 1;
    }
}
