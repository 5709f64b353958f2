//! Rows by key: what a side of a join remembers.
//!
//! A row lies in a *slot*, with a weight; rows of one key form a chain. The same row may lie in several
//! slots: what counts is the sum of the weights. So a row that comes need not be looked for, as long as
//! no row has a weight below 0 that waits for it, and most rows are never looked for at all. One that goes
//! is found along the chain of its key, from both ends, by the columns that are not the key. Where chains are
//! so long that this costs more than an index of all rows would, the index is made, and from then on a row that
//! comes goes where its equal lies.
//!
//! Beside the columns stand 12 bytes a row, and 5 to 9 a key in the table of heads; up to 12 more where rows come in no large
//! numbers, for where they lie.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use hashbrown::HashTable;

use super::arrangement::Keys;
use super::chains::{Chains, NONE, Removed};
use super::changes::{ChangeLog, SlotChanges};
use super::chunks::{CHUNK_ROWS, Chunk, Chunks, at, number};
use super::pairs::{Emit, Pairs};
use super::renumber::Renumbering;
use super::search::{Equals, RowIndex};
use super::slot_weights::SlotWeights;
use super::together::{BLOCK, Heads, LARGE};
use crate::base::{Error, Result};
use crate::zset::Merged;
use crate::zset::consolidate::add_weights;

/// How far a row that comes looks for its equal along the chain.
const GLANCE: usize = 8;
/// After a load there is room for this part of the rows, as 1/n, so that the first rows that come do not make
/// everything move.
const ROOM: usize = 16;
/// Below this many rows no index is worth while.
const FEW: usize = 1 << 12;
/// To look at this many rows costs as much as to put one into the index.
const INDEX_COST: usize = 4;

/// Rows with weights, found by key.
#[derive(Debug)]
pub struct Keyed {
    schema: SchemaRef,
    /// Which of the columns are the key.
    key: Vec<usize>,
    /// The other columns: those that tell rows of one key apart.
    rest: Vec<usize>,
    /// Whether a count of matches is kept a row.
    counts: bool,
    chunks: Chunks,
    weights: SlotWeights,
    /// Empty where they are not kept.
    matches: Vec<i64>,
    /// The hash of each slot's key, [`short`].
    key_hashes: Vec<u32>,
    chains: Chains,
    free: Vec<u32>,
    /// The first row of each key.
    heads: HashTable<u32>,
    live: usize,
    /// How many slots have a weight below 0.
    below_zero: usize,
    /// Finds a row by all its columns.
    index: Option<RowIndex>,
    /// Slots that were looked at in search of a row, and rows that came without being looked for far
    /// enough: what an index would have spared.
    spent: usize,
    changes: ChangeLog,
}

impl Keyed {
    /// Rows of `schema` by the columns `key`; with `counts`, each beside a count of matches.
    pub fn new(schema: SchemaRef, key: Vec<usize>, counts: bool) -> Self {
        let rest = 0..schema.fields().len();
        Self {
            rest: rest.filter(|column| !key.contains(column)).collect(),
            schema,
            key,
            counts,
            chunks: Chunks::default(),
            weights: SlotWeights::default(),
            matches: Vec::new(),
            key_hashes: Vec::new(),
            chains: Chains::default(),
            free: Vec::new(),
            heads: HashTable::new(),
            live: 0,
            below_zero: 0,
            index: None,
            spent: 0,
            changes: ChangeLog::default(),
        }
    }

    /// The number of slots that hold a row.
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

    /// Whether rows that come once each may be handed over as they are. Otherwise they must be merged: one of
    /// them may be waited for, or lie here already.
    pub fn takes_unmerged(&self) -> bool {
        self.below_zero == 0 && self.index.is_none()
    }

    /// About how many bytes everything takes.
    pub fn bytes(&self) -> usize {
        let index = self.index.as_ref().map_or(0, RowIndex::bytes);
        self.chunks.bytes()
            + self.weights.bytes()
            + self.chains.bytes()
            + self.matches.capacity() * 8
            + self.key_hashes.capacity() * 4
            + self.free.capacity() * 4
            + self.heads.allocation_size()
            + index
            + self.changes.bytes()
    }

    /// The weight of a row that [`Keyed::probe`] gave.
    pub fn weight(&self, slot: u32) -> i64 {
        self.weights.get(slot)
    }

    /// The count of matches kept for a row: what was given when the row was new, and what was added
    /// since.
    pub fn matches(&self, slot: u32) -> i64 {
        self.matches.get(at(slot)).copied().unwrap_or(0)
    }

    /// Adds to a row's count of matches.
    ///
    /// # Errors
    /// When the count passes 64 bits.
    pub fn add_matches(&mut self, slot: u32, change: i64) -> Result<()> {
        let count = self
            .matches
            .get_mut(at(slot))
            .ok_or_else(|| Error::internal("matches are not counted here"))?;
        *count = add_weights(*count, change)?;
        Ok(())
    }

    /// What changed since this was asked before; the first time, most.
    pub fn take_changes(&mut self) -> SlotChanges {
        self.changes.take()
    }

    /// Whether [`Keyed::take_changes`] would say [`SlotChanges::Most`].
    pub fn most_changed(&self) -> bool {
        self.changes.is_most()
    }

    /// The slots that hold a row.
    pub fn slots(&self) -> Vec<u32> {
        let rows = self.chunks.iter().flat_map(Chunk::live);
        rows.map(|(_, slot)| slot).collect()
    }

    /// Takes rows in that come once each and may be equal. [`Keyed::takes_unmerged`] must hold.
    ///
    /// # Errors
    /// When a column cannot be compared.
    pub fn insert(
        &mut self,
        columns: &[ArrayRef],
        key_hashes: &[u64],
        matches: Option<&[i64]>,
    ) -> Result<()> {
        if self.live > 0 {
            self.spent = self.spent.saturating_add(key_hashes.len());
        }
        let rows: Vec<u32> = (0..key_hashes.len()).map(number).collect::<Result<_>>()?;
        for rows in rows.chunks(CHUNK_ROWS) {
            self.admit(columns, rows, key_hashes, matches)?;
        }
        self.make_room(key_hashes.len());
        self.chunks.tidy(key_hashes.len() * 2)
    }

    /// Makes room for a few rows more where `came` rows are a load, and no more room than that: to double is for what grows on.
    fn make_room(&mut self, came: usize) {
        let slots = self.live / ROOM;
        if came <= slots {
            return;
        }
        self.key_hashes.reserve_exact(slots);
        self.chains.reserve_exact(slots);
        if self.counts {
            self.matches.reserve_exact(slots);
        }
        let hashes = &self.key_hashes;
        self.heads
            .reserve(self.heads.len() / ROOM, |slot| spread(hashes[at(*slot)]));
    }

    /// Makes room for `rows` rows that are about to come, where they are a load, and for the first few behind them: to grow
    /// on the way is to copy.
    pub fn reserve(&mut self, rows: usize) {
        if rows <= self.live / ROOM {
            return;
        }
        let slots = rows + (self.live + rows) / ROOM;
        if self.key_hashes.capacity() < self.key_hashes.len() + rows {
            self.key_hashes.reserve_exact(slots);
            self.chains.reserve_exact(slots);
            if self.counts {
                self.matches.reserve_exact(slots);
            }
        }
        // where no two of many rows had one key, the others are likely to have one each too
        if self.live > FEW && self.heads.len() == self.live {
            let hashes = &self.key_hashes;
            self.heads.reserve(slots, |slot| spread(hashes[at(*slot)]));
        }
    }

    /// Adds `delta` to the rows. `matches` is kept for the rows that are new.
    ///
    /// # Errors
    /// When a weight passes 64 bits or a column cannot be compared.
    pub fn apply(
        &mut self,
        delta: &Merged,
        key_hashes: &[u64],
        matches: Option<&[i64]>,
    ) -> Result<()> {
        if self.index.is_none() && self.live > FEW && self.spent / INDEX_COST > self.live {
            self.index = Some(RowIndex::of(
                &self.chunks,
                self.key_hashes.len(),
                self.live,
            )?);
            self.spent = 0;
        }
        let (rest, emptied) = self.meet(delta, key_hashes)?;
        for slot in emptied {
            self.chunks.kill(slot);
            self.free.push(slot);
            self.live -= 1;
        }
        let new_rows: Vec<u32> = (0..rest.len())
            .filter(|row| rest[*row] != 0)
            .map(number)
            .collect::<Result<_>>()?;
        for rows in new_rows.chunks(CHUNK_ROWS) {
            let slots = self.admit(delta.batch.columns(), rows, key_hashes, matches)?;
            for (slot, row) in slots.iter().zip(rows) {
                self.set_weight(*slot, rest[at(*row)]);
                if let Some(index) = &mut self.index {
                    index.insert(*slot, delta.hashes[at(*row)]);
                }
            }
        }
        self.make_room(delta.rows());
        self.chunks.tidy(delta.rows() * 2)?;
        self.shrink()
    }

    /// Forgets the rows whose value in `column`, a time, lies below `bound`.
    ///
    /// # Errors
    /// When the column is none of times, or Arrow cannot copy what is left.
    pub fn forget_below(&mut self, column: usize, bound: i64) -> Result<()> {
        let mut gone = Vec::new();
        for chunk in self.chunks.iter() {
            let values = cast(&chunk.columns[column], &DataType::Int64)?;
            let values = values.as_primitive::<Int64Type>();
            let below = |row: u32| values.is_valid(at(row)) && values.value(at(row)) < bound;
            let below = chunk.live().filter(|(row, _)| below(*row));
            gone.extend(below.map(|(_, slot)| slot));
        }
        for slot in &gone {
            self.below_zero -= usize::from(self.weight(*slot) < 0);
            self.weights.set(*slot, 1);
            self.unlink(*slot);
            self.chunks.kill(*slot);
            self.free.push(*slot);
            self.live -= 1;
        }
        self.chunks.tidy(gone.len() * 2)?;
        self.shrink()
    }

    /// Lets go of memory that more rows needed than are here.
    fn shrink(&mut self) -> Result<()> {
        if self.live == 0 {
            let empty = Self::new(
                SchemaRef::clone(&self.schema),
                std::mem::take(&mut self.key),
                self.counts,
            );
            let changes = self.changes.emptied();
            *self = Self { changes, ..empty };
            return Ok(());
        }
        let Some(slots) = Renumbering::due(self.key_hashes.len(), &self.free)? else {
            return Ok(());
        };
        self.weights.renumber(&slots);
        if self.counts {
            slots.column(&mut self.matches);
        }
        slots.column(&mut self.key_hashes);
        self.chains.renumber(&slots);
        let hashes = &self.key_hashes;
        slots.table(&mut self.heads, |slot| spread(hashes[at(*slot)]));
        if let Some(index) = &mut self.index {
            index.renumber(&slots);
        }
        self.chunks.renumber(&slots);
        self.free = Vec::new();
        self.changes.lose();
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
        let mut equals = Equals::new(&self.chunks, &self.key, keys.columns);
        let mut pairs = Pairs::new(emit);
        for block in blocks(range) {
            let heads = self
                .heads()
                .find_all(&mut equals, keys.hashes, block.clone())?;
            for (row, head) in block.zip(heads) {
                let probe = number(row)?;
                let mut slot = head;
                while slot != NONE {
                    pairs.push(probe, slot)?;
                    slot = self.chains.after(slot);
                }
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

    fn heads(&self) -> Heads<'_> {
        Heads {
            table: &self.heads,
            hashes: &self.key_hashes,
        }
    }

    /// Adds the rows of `delta` to the equal ones that are here. Gives what is left of each weight, and the
    /// slots whose weight became 0.
    fn meet(&mut self, delta: &Merged, key_hashes: &[u64]) -> Result<(Vec<i64>, Vec<u32>)> {
        let mut rest = delta.weights.clone();
        let mut emptied = Vec::new();
        let looks_for_all = self.below_zero > 0 || self.index.is_some();
        if self.live == 0 {
            return Ok((rest, emptied));
        }
        let columns = delta.batch.columns();
        let key: Vec<ArrayRef> = self
            .key
            .iter()
            .map(|column| ArrayRef::clone(&columns[*column]))
            .collect();
        // rows of one chain differ in nothing but the rest
        let told_apart = if self.index.is_some() {
            (0..columns.len()).collect()
        } else {
            self.rest.clone()
        };
        let told: Vec<ArrayRef> = told_apart
            .iter()
            .map(|column| ArrayRef::clone(&columns[*column]))
            .collect();
        // taken out of `self`, whose weights change meanwhile
        let chunks = std::mem::take(&mut self.chunks);
        let key_columns = self.key.clone();
        let mut by_key = Equals::new(&chunks, &key_columns, &key);
        let mut by_row = Equals::new(&chunks, &told_apart, &told);
        let mut met = Ok(());
        let large = self.index.is_none() && self.key_hashes.len() >= LARGE;
        for (row, left) in rest.iter_mut().enumerate() {
            if large && row % BLOCK == 0 {
                let block = row..key_hashes.len().min(row + BLOCK);
                met = self.look_ahead(block, key_hashes, (&mut by_key, &mut by_row));
                if met.is_err() {
                    break;
                }
            }
            let search = Search {
                row,
                row_hash: delta.hashes[row],
                key_hash: key_hashes[row],
                // an equal row that is here is as good a place as a new one, but no more than that
                most: if *left > 0 && !looks_for_all {
                    GLANCE
                } else {
                    usize::MAX
                },
            };
            met = self.meet_row(search, left, (&mut by_key, &mut by_row), &mut emptied);
            if met.is_err() {
                break;
            }
        }
        drop((by_key, by_row));
        self.chunks = chunks;
        met.map(|()| (rest, emptied))
    }

    /// Reads what the search of these rows will read, for all of them together.
    fn look_ahead(
        &self,
        rows: Range<usize>,
        key_hashes: &[u64],
        (by_key, by_row): (&mut Equals<'_>, &mut Equals<'_>),
    ) -> Result<()> {
        let heads = self.heads().find_all(by_key, key_hashes, rows.clone())?;
        for (row, head) in rows.zip(heads) {
            if head != NONE {
                std::hint::black_box(self.chains.after(head));
                std::hint::black_box(by_row.equal(row, head)?);
            }
        }
        Ok(())
    }

    /// Takes as much of `left` as equal rows can: a weight above 0 may go to any of them, one below 0 to those
    /// above 0.
    fn meet_row(
        &mut self,
        search: Search,
        left: &mut i64,
        (by_key, by_row): (&mut Equals<'_>, &mut Equals<'_>),
        emptied: &mut Vec<u32>,
    ) -> Result<()> {
        let Search { row, row_hash, .. } = search;
        if let Some(index) = &self.index {
            for slot in index.find(row_hash) {
                if *left != 0 && by_row.equal(row, slot)? {
                    self.add_to(slot, left, emptied)?;
                }
            }
            return Ok(());
        }
        let head = self.heads().find(by_key, short(search.key_hash), row)?;
        let mut walk = self.chains.walk(head);
        let mut looked = 0;
        while *left != 0
            && looked < search.most
            && let Some(slot) = walk.next(&self.chains)
        {
            if by_row.equal(row, slot)? {
                self.add_to(slot, left, emptied)?;
            }
            looked += 1;
        }
        self.spent = self.spent.saturating_add(looked);
        Ok(())
    }

    /// Adds to the weight of a slot whose row is equal, as far as that brings it to 0, or beyond where both
    /// have the same sign.
    fn add_to(&mut self, slot: u32, left: &mut i64, emptied: &mut Vec<u32>) -> Result<()> {
        let weight = self.weight(slot);
        let sum = add_weights(weight, *left)?;
        let same_sign = (weight > 0) == (*left > 0);
        let crosses = !same_sign && sum != 0 && (sum > 0) != (weight > 0);
        *left = if crosses { sum } else { 0 };
        if crosses || sum == 0 {
            self.below_zero -= usize::from(weight < 0);
            self.unlink(slot);
            emptied.push(slot);
        } else {
            self.set_weight(slot, sum);
        }
        Ok(())
    }

    fn set_weight(&mut self, slot: u32, weight: i64) {
        let was = self.weight(slot);
        if was == weight {
            return;
        }
        self.weights.set(slot, weight);
        self.below_zero += usize::from(weight < 0);
        self.below_zero -= usize::from(was < 0);
    }

    /// Takes the named rows in as new ones, with weight 1.
    fn admit(
        &mut self,
        columns: &[ArrayRef],
        rows: &[u32],
        key_hashes: &[u64],
        matches: Option<&[i64]>,
    ) -> Result<Vec<u32>> {
        let mut slots = Vec::with_capacity(rows.len());
        for row in rows.iter().map(|row| at(*row)) {
            let slot = match self.free.pop() {
                Some(slot) => slot,
                None => self.new_slot()?,
            };
            self.key_hashes[at(slot)] = short(key_hashes[row]);
            self.weights.set(slot, 1);
            if self.counts {
                self.matches[at(slot)] = matches.map_or(0, |matches| matches[row]);
            }
            slots.push(slot);
            self.changes.note(slot, true, self.live);
        }
        self.chunks.admit(columns, rows, slots.clone())?;
        self.live += slots.len();
        self.link(columns, rows, &slots)?;
        Ok(slots)
    }

    fn new_slot(&mut self) -> Result<u32> {
        let slot = number(self.key_hashes.len())?;
        if self.counts {
            self.matches.push(0);
        }
        self.key_hashes.push(0);
        self.chains.push();
        Ok(slot)
    }

    /// Puts new rows in the chains of their keys. A chain holds one key, not one hash, so that a
    /// probe compares with its first row alone.
    fn link(&mut self, columns: &[ArrayRef], rows: &[u32], slots: &[u32]) -> Result<()> {
        let key: Vec<ArrayRef> = self
            .key
            .iter()
            .map(|column| ArrayRef::clone(&columns[*column]))
            .collect();
        let Self {
            heads,
            chains,
            key_hashes: hashes,
            ..
        } = self;
        heads.reserve(if heads.is_empty() { slots.len() } else { 0 }, |slot| {
            spread(hashes[at(*slot)])
        });
        let mut equals = Equals::new(&self.chunks, &self.key, &key);
        let large = hashes.len() >= LARGE;
        for (place, (row, slot)) in rows.iter().zip(slots).enumerate() {
            let known = Heads {
                table: heads,
                hashes,
            };
            if large && place % BLOCK == 0 {
                let block = place..slots.len().min(place + BLOCK);
                known.touch(&slots[block]);
            }
            let hash = hashes[at(*slot)];
            let head = known.find(&mut equals, hash, at(*row))?;
            if head == NONE {
                chains.begin(*slot);
                heads.insert_unique(spread(hash), *slot, |slot| spread(hashes[at(*slot)]));
            } else {
                // the table need not change
                chains.add(head, *slot);
            }
        }
        Ok(())
    }

    /// Takes a row whose weight became 0 out of its chain and the index: nothing finds it any more.
    fn unlink(&mut self, slot: u32) {
        self.changes.note(slot, false, self.live);
        let hash = spread(self.key_hashes[at(slot)]);
        match self.chains.remove(slot) {
            Removed::Inside => {}
            Removed::Only => {
                if let Ok(head) = self.heads.find_entry(hash, |other| *other == slot) {
                    head.remove();
                }
            }
            Removed::Head(next) => {
                if let Some(head) = self.heads.find_mut(hash, |other| *other == slot) {
                    *head = next;
                }
            }
            Removed::Tail(tail) => {
                let chains = &self.chains;
                let head = self
                    .heads
                    .find(hash, |other| chains.is_head_of(*other, slot));
                if let Some(head) = head.copied() {
                    self.chains.set_tail(head, tail);
                }
            }
        }
        if let Some(index) = &mut self.index {
            index.remove(slot);
        }
    }
}

/// `range` in blocks of rows that are looked up together.
fn blocks(range: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range
        .step_by(BLOCK)
        .map(move |start| start..end.min(start + BLOCK))
}

/// What is kept of a hash: half of it, with what is stronger of it in both halves.
pub(super) fn short(hash: u64) -> u32 {
    u32::try_from(hash & u64::from(u32::MAX)).unwrap_or(u32::MAX)
}

/// A hash for the table of heads, which takes its tags from the top.
pub(super) fn spread(short: u32) -> u64 {
    u64::from(short).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// A row that is looked for.
#[derive(Clone, Copy)]
struct Search {
    row: usize,
    row_hash: u64,
    key_hash: u64,
    /// How many rows of the chain may be looked at.
    most: usize,
}
