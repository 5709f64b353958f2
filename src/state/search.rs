//! How a stored row is found to be the one that is looked for: by comparison, and by an index of all rows.

use arrow::array::ArrayRef;
use hashbrown::HashTable;

use super::chunks::{Chunks, at};
use super::renumber::Renumbering;
use crate::base::Result;
use crate::zset::equal::RowEqual;
use crate::zset::hash::row_hashes;

/// Finds rows by the hash of all their columns.
#[derive(Debug, Default)]
pub(super) struct RowIndex {
    /// By slot.
    hashes: Vec<u64>,
    table: HashTable<u32>,
}

impl RowIndex {
    /// An index of the rows of `chunks`, which have slots below `slots` and are `live` in number.
    pub(super) fn of(chunks: &Chunks, slots: usize, live: usize) -> Result<Self> {
        let mut index = Self {
            hashes: vec![0; slots],
            table: HashTable::with_capacity(live),
        };
        let mut hashes = Vec::new();
        for chunk in chunks.iter() {
            row_hashes(&chunk.columns, chunk.rows(), &mut hashes)?;
            for (row, slot) in chunk.live() {
                index.insert(slot, hashes[at(row)]);
            }
        }
        Ok(index)
    }

    /// The slots of the rows that have this hash.
    pub(super) fn find(&self, hash: u64) -> Vec<u32> {
        let slots = self.table.iter_hash(hash).copied();
        slots
            .filter(|slot| self.hashes[at(*slot)] == hash)
            .collect()
    }

    /// About how many bytes it takes.
    pub(super) fn bytes(&self) -> usize {
        self.hashes.capacity() * 8 + self.table.allocation_size()
    }

    /// Gives the slots that are left new numbers.
    pub(super) fn renumber(&mut self, slots: &Renumbering) {
        slots.column(&mut self.hashes);
        let hashes = &self.hashes;
        slots.table(&mut self.table, |slot| hashes[at(*slot)]);
    }

    /// Adds the row of a slot.
    pub(super) fn insert(&mut self, slot: u32, hash: u64) {
        if at(slot) >= self.hashes.len() {
            self.hashes.resize(at(slot) + 1, 0);
        }
        self.hashes[at(slot)] = hash;
        let hashes = &self.hashes;
        self.table
            .insert_unique(hash, slot, |slot| hashes[at(*slot)]);
    }

    /// Forgets the row of a slot.
    pub(super) fn remove(&mut self, slot: u32) {
        let Some(hash) = self.hashes.get(at(slot)) else {
            return;
        };
        if let Ok(entry) = self.table.find_entry(*hash, |other| *other == slot) {
            entry.remove();
        }
    }
}

/// Compares probing rows with stored ones; a comparison is built for each chunk that is hit.
pub(super) struct Equals<'a> {
    chunks: &'a Chunks,
    /// Which stored columns.
    columns: &'a [usize],
    probing: &'a [ArrayRef],
    by_chunk: Vec<Option<RowEqual>>,
}

impl<'a> Equals<'a> {
    /// Compares `probing` with the stored columns of these numbers.
    pub(super) fn new(chunks: &'a Chunks, columns: &'a [usize], probing: &'a [ArrayRef]) -> Self {
        Self {
            chunks,
            columns,
            probing,
            by_chunk: Vec::new(),
        }
    }

    /// Whether probing row `probing` equals the row of `slot`.
    ///
    /// # Errors
    /// When Arrow cannot compare the columns.
    pub(super) fn equal(&mut self, probing: usize, slot: u32) -> Result<bool> {
        if self.columns.is_empty() {
            return Ok(true);
        }
        let place = self.chunks.place(slot);
        let id = at(place.chunk);
        if id >= self.by_chunk.len() {
            self.by_chunk.resize_with(id + 1, || None);
        }
        let equal = match &mut self.by_chunk[id] {
            Some(equal) => equal,
            unknown => {
                let chunk = self.chunks.chunk(place.chunk)?;
                let stored = self.columns.iter().map(|column| &chunk.columns[*column]);
                unknown.insert(RowEqual::new(self.probing, stored)?)
            }
        };
        Ok(equal.equal(probing, at(place.row)))
    }
}
