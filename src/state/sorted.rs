//! Rows with weights in groups, each group in order.
//!
//! A row lies in a *slot*, its columns in chunks. A group is found by its hash, and is a list of slots in order: first by
//! the order's columns, then by all others, so that no two rows are equal. Nothing is encoded: rows that come are
//! compared with those that are here, column by column, and only as far as it takes to tell them apart.
//!
//! A change goes in four steps: [`Sorted::runs`] deals the rows of a batch to groups, [`Against::find`] says where each
//! belongs, [`Sorted::admit`] takes those in that are new, [`Sorted::change`] changes the list of a group. What went can
//! still be gathered until [`Sorted::settle`].
//!
//! Beside the columns and the chunks' own 12 bytes stand 4 to 8 bytes a row in lists, 8 if any weight is not 1, and about
//! 40 a group.

use std::ops::Range;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use hashbrown::HashTable;

use super::against::Against;
use super::blocks::{Blocks, Edit, Place};
use super::chunks::{CHUNK_ROWS, Chunks, at, number};
use super::ordered::OrderKey;
use super::renumber::Renumbering;
use super::search::Equals;
use crate::base::{Error, Result};
use crate::zset::consolidate::add_weights;
use crate::zset::equal::RowEqual;
use crate::zset::hash::row_hashes;
use crate::zset::order::RowOrder;

/// Rows of groups in order.
#[derive(Debug)]
pub struct Sorted {
    schema: SchemaRef,
    group: Vec<usize>,
    /// What orders the rows of a group: the order's keys, then all other columns but the group's, rising.
    keys: Vec<OrderKey>,
    /// How many of the keys are the order's.
    pub(super) leading: usize,
    pub(super) chunks: Chunks,
    /// None while every weight is 1. Otherwise by slot, never 0 for a row; below 0 while its insertion is to come.
    weights: Option<Vec<i64>>,
    /// How many slots there are, free ones included.
    slots: usize,
    free: Vec<u32>,
    /// Slots whose rows went since the last [`Sorted::settle`].
    gone: Vec<u32>,
    pub(super) groups: Vec<Group>,
    free_groups: Vec<u32>,
    heads: HashTable<u32>,
    live: usize,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    hash: u64,
    /// Empty only while nothing finds the group.
    pub(super) rows: Blocks,
}

/// The rows of a batch that belong to one group.
#[derive(Clone, Debug)]
pub struct Run {
    /// The group, where it has rows already.
    pub group: Option<u32>,
    /// Which of the rows that [`Sorted::runs`] gave, or of what the caller made of them.
    pub rows: Range<usize>,
    hash: u64,
}

/// A row of a batch on its way into a group.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Its number in the batch.
    pub row: u32,
    /// What is added to its weight.
    pub weight: i64,
    /// Where it belongs.
    pub place: Place,
    /// The slot of its equal, where it has one.
    pub found: Option<u32>,
    /// Its slot, once it is admitted.
    slot: u32,
}

impl Arrival {
    /// A row that [`Against::find`] has looked for; in a new group it stands at the first place, and is not found.
    pub fn new(row: u32, weight: i64, (place, found): (Place, Option<u32>)) -> Self {
        Self {
            row,
            weight,
            place,
            found,
            slot: found.unwrap_or(u32::MAX),
        }
    }
}

impl Sorted {
    /// No rows. They are of `schema`, in groups of equal `group` columns, each ordered by `order` and then by all
    /// other columns.
    ///
    /// # Errors
    /// When there is no such column.
    pub fn new(schema: &SchemaRef, group: &[usize], order: &[OrderKey]) -> Result<Self> {
        let width = schema.fields().len();
        let mut named = group.iter().chain(order.iter().map(|key| &key.column));
        if width == 0 || named.any(|column| *column >= width) {
            return Err(Error::internal("an order over a column that is not there"));
        }
        let mut keys = order.to_vec();
        keys.extend(
            (0..width)
                .filter(|column| !group.contains(column))
                .filter(|column| order.iter().all(|key| key.column != *column))
                .map(|column| OrderKey {
                    column,
                    options: SortOptions::new(false, false),
                }),
        );
        Ok(Self {
            schema: SchemaRef::clone(schema),
            group: group.to_vec(),
            keys,
            leading: order.len(),
            chunks: Chunks::default(),
            weights: None,
            slots: 0,
            free: Vec::new(),
            gone: Vec::new(),
            groups: Vec::new(),
            free_groups: Vec::new(),
            heads: HashTable::new(),
            live: 0,
        })
    }

    /// The number of different rows.
    pub fn len(&self) -> usize {
        self.live
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.live == 0
    }

    /// About how many bytes everything takes.
    pub fn bytes(&self) -> usize {
        let listed: usize = self.groups.iter().map(|group| group.rows.bytes()).sum();
        self.chunks.bytes()
            + listed
            + self.weights.as_ref().map_or(0, Vec::capacity) * 8
            + (self.free.capacity() + self.gone.capacity() + self.free_groups.capacity()) * 4
            + self.groups.capacity() * size_of::<Group>()
            + self.heads.allocation_size()
    }

    /// The rows of `batch`, whose floats must be canonical, dealt to groups.
    ///
    /// # Errors
    /// When the columns of the group cannot be hashed or compared.
    pub fn runs(&self, batch: &RecordBatch) -> Result<(Vec<u32>, Vec<Run>)> {
        let rows: Vec<u32> = (0..batch.num_rows()).map(number).collect::<Result<_>>()?;
        let columns: Vec<ArrayRef> = self
            .group
            .iter()
            .map(|column| ArrayRef::clone(batch.column(*column)))
            .collect();
        let mut hashes = vec![0; rows.len()];
        let (rows, ends) = if columns.is_empty() {
            let end = rows.len();
            (rows, vec![end])
        } else {
            row_hashes(&columns, rows.len(), &mut hashes)?;
            dealt(&columns, &hashes)?
        };
        let mut equals = Equals::new(&self.chunks, &self.group, &columns);
        let mut runs = Vec::with_capacity(ends.len());
        let mut start = 0;
        for end in ends {
            if let Some(first) = rows.get(start).map(|row| at(*row)) {
                let hash = hashes[first];
                runs.push(Run {
                    group: self.group_of(&mut equals, hash, first)?,
                    rows: start..end,
                    hash,
                });
            }
            start = end;
        }
        Ok((rows, runs))
    }

    /// What compares the rows of `batch` with those that are here.
    ///
    /// # Errors
    /// When a column has no order.
    pub fn against(&self, batch: &RecordBatch) -> Result<Against<'_>> {
        let columns: Vec<ArrayRef> = self
            .keys
            .iter()
            .map(|key| ArrayRef::clone(batch.column(key.column)))
            .collect();
        // One row needs no comparison with itself.
        let among = if batch.num_rows() > 1 {
            self.order(&columns, &columns)?
        } else {
            RowOrder::new([])?
        };
        Ok(Against::new(self, columns, among))
    }

    /// Takes in the arrivals that have no equal here. Those of one group stand in order, and no two are equal.
    ///
    /// # Errors
    /// When there are too many rows.
    pub fn admit(&mut self, batch: &RecordBatch, arrivals: &mut [Arrival]) -> Result<()> {
        let mut new: Vec<&mut Arrival> = arrivals
            .iter_mut()
            .filter(|arrival| arrival.found.is_none())
            .collect();
        // As they stand in the batch, so that a whole batch need not be copied.
        new.sort_unstable_by_key(|arrival| arrival.row);
        for new in new.chunks_mut(CHUNK_ROWS) {
            let mut rows = Vec::with_capacity(new.len());
            let mut slots = Vec::with_capacity(new.len());
            for arrival in new {
                arrival.slot = self.slot(arrival.weight)?;
                rows.push(arrival.row);
                slots.push(arrival.slot);
            }
            self.live += slots.len();
            self.chunks.admit(batch.columns(), &rows, slots)?;
        }
        Ok(())
    }

    /// Makes the arrivals of one run part of their group, and gives its number.
    ///
    /// # Errors
    /// When a weight passes 64 bits.
    pub fn change(&mut self, run: &Run, arrivals: &[Arrival]) -> Result<u32> {
        let mut edits = Vec::with_capacity(arrivals.len());
        for arrival in arrivals {
            match arrival.found {
                None => edits.push(Edit::Put(arrival.place, arrival.slot)),
                Some(slot) => {
                    let weight = add_weights(self.weight(slot), arrival.weight)?;
                    if weight == 0 {
                        edits.push(Edit::Cut(arrival.place));
                        self.gone.push(slot);
                        self.live -= 1;
                    } else {
                        self.set_weight(slot, weight);
                    }
                }
            }
        }
        let group = match run.group {
            Some(group) => group,
            None => self.open(run.hash)?,
        };
        if !edits.is_empty() {
            self.groups[at(group)].rows.edit(&edits);
        }
        Ok(group)
    }

    /// Forgets all but the first `length` rows of a group.
    pub fn truncate(&mut self, group: u32, length: usize) {
        let before = self.gone.len();
        let Self { groups, gone, .. } = self;
        groups[at(group)].rows.truncate(length, gone);
        self.live -= self.gone.len() - before;
    }

    /// Lets go of a group that has no rows left. To be called for each group that was changed.
    pub fn close(&mut self, group: u32) {
        let Group { hash, rows } = &self.groups[at(group)];
        if !rows.is_empty() {
            return;
        }
        if let Ok(entry) = self.heads.find_entry(*hash, |other| *other == group) {
            entry.remove();
        }
        self.free_groups.push(group);
    }

    /// Forgets the groups whose value in `column`, one of the group's and a time, lies below `bound`.
    ///
    /// # Errors
    /// When the column is none of times.
    pub fn forget_groups_below(&mut self, column: usize, bound: i64) -> Result<()> {
        let mut firsts = Vec::with_capacity(self.heads.len());
        for (group, held) in self.groups.iter().enumerate() {
            if let Some(slot) = held.rows.first() {
                firsts.push((number(group)?, slot));
            }
        }
        let before = self.live;
        for piece in firsts.chunks(CHUNK_ROWS) {
            let slots: Vec<u32> = piece.iter().map(|(_, slot)| *slot).collect();
            for values in self.chunks.gather(&slots, &[column])? {
                let values = cast(&values, &DataType::Int64)?;
                let values = values.as_primitive::<Int64Type>().iter();
                for ((group, _), value) in piece.iter().zip(values) {
                    if value.is_some_and(|value| value < bound) {
                        self.truncate(*group, 0);
                        self.close(*group);
                    }
                }
            }
        }
        self.settle(before - self.live)
    }

    /// Forgets what went in a step of `rows` rows. Slots and groups may have other numbers from here on.
    ///
    /// # Errors
    /// When Arrow cannot rewrite a chunk.
    pub fn settle(&mut self, rows: usize) -> Result<()> {
        if self.live == 0 {
            let (group, order) = (&self.group, &self.keys[..self.leading]);
            *self = Self::new(&self.schema, group, order)?;
            return Ok(());
        }
        for slot in std::mem::take(&mut self.gone) {
            self.chunks.kill(slot);
            self.free.push(slot);
        }
        self.chunks.tidy(rows * 2)?;
        self.shrink()
    }

    /// Lets go of memory that more rows and groups needed than are here. Numbers of both that were given are void then.
    fn shrink(&mut self) -> Result<()> {
        if let Some(groups) = Renumbering::due(self.groups.len(), &self.free_groups)? {
            groups.moved(&mut self.groups);
            let held = &self.groups;
            groups.table(&mut self.heads, |group| held[at(*group)].hash);
            self.free_groups = Vec::new();
        }
        let Some(slots) = Renumbering::due(self.slots, &self.free)? else {
            return Ok(());
        };
        if let Some(weights) = &mut self.weights {
            slots.column(weights);
        }
        for group in &mut self.groups {
            group.rows.rename(|slot| slots.now(slot));
        }
        self.chunks.renumber(&slots);
        self.slots = slots.slots();
        self.free = Vec::new();
        Ok(())
    }

    /// The rows of a group, in order, with their weights.
    pub fn of_group(&self, group: u32) -> impl Iterator<Item = (u32, i64)> {
        let slots = self.groups.get(at(group)).map(|group| group.rows.iter());
        slots
            .into_iter()
            .flatten()
            .map(|slot| (slot, self.weight(slot)))
    }

    /// The last row of a group, and how many copies all its rows have.
    pub fn last_of_group(&self, group: u32) -> Option<(u32, i64)> {
        let rows = &self.groups.get(at(group))?.rows;
        let copies = match &self.weights {
            None => i64::try_from(rows.len()).unwrap_or(i64::MAX),
            Some(_) => rows
                .iter()
                .fold(0_i64, |sum, slot| sum.saturating_add(self.weight(slot))),
        };
        rows.last().map(|slot| (slot, copies))
    }

    /// How many rows of a group stand before a place.
    pub fn before(&self, group: u32, place: Place) -> usize {
        self.groups
            .get(at(group))
            .map_or(0, |group| group.rows.before(place))
    }

    /// The first `width` columns of the rows of `slots`, of which there must be one.
    ///
    /// # Errors
    /// When Arrow cannot take from a column.
    pub fn gather(&self, slots: &[u32], width: usize) -> Result<Vec<ArrayRef>> {
        let columns: Vec<usize> = (0..width).collect();
        self.chunks.gather(slots, &columns)
    }

    fn weight(&self, slot: u32) -> i64 {
        self.weights.as_ref().map_or(1, |weights| weights[at(slot)])
    }

    fn set_weight(&mut self, slot: u32, weight: i64) {
        if self.weights.is_none() && weight == 1 {
            return;
        }
        let slots = self.slots;
        let weights = self.weights.get_or_insert_with(|| vec![1; slots]);
        weights[at(slot)] = weight;
    }

    fn slot(&mut self, weight: i64) -> Result<u32> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = number(self.slots)?;
                self.slots += 1;
                if let Some(weights) = &mut self.weights {
                    weights.push(1);
                }
                slot
            }
        };
        self.set_weight(slot, weight);
        Ok(slot)
    }

    fn open(&mut self, hash: u64) -> Result<u32> {
        let group = match self.free_groups.pop() {
            Some(group) => group,
            None => {
                self.groups.push(Group::default());
                number(self.groups.len() - 1)?
            }
        };
        self.groups[at(group)].hash = hash;
        let Self { heads, groups, .. } = self;
        heads.insert_unique(hash, group, |group| groups[at(*group)].hash);
        Ok(group)
    }

    fn group_of(&self, equals: &mut Equals<'_>, hash: u64, row: usize) -> Result<Option<u32>> {
        for group in self.heads.iter_hash(hash) {
            let held = &self.groups[at(*group)];
            if held.hash == hash
                && let Some(slot) = held.rows.first()
                && equals.equal(row, slot)?
            {
                return Ok(Some(*group));
            }
        }
        Ok(None)
    }

    /// Compares rows of columns that stand as the keys do.
    pub(super) fn order(&self, left: &[ArrayRef], right: &[ArrayRef]) -> Result<RowOrder> {
        let pairs = left.iter().zip(right).zip(&self.keys);
        RowOrder::new(pairs.map(|((left, right), key)| (left, right, key.options)))
    }

    /// The columns of a chunk, as the keys stand.
    pub(super) fn keys_of(&self, chunk: u32) -> Result<Vec<ArrayRef>> {
        let columns = &self.chunks.chunk(chunk)?.columns;
        Ok(self
            .keys
            .iter()
            .map(|key| ArrayRef::clone(&columns[key.column]))
            .collect())
    }
}

/// Rows in groups of equal columns: their numbers, and where each group ends.
fn dealt(columns: &[ArrayRef], hashes: &[u64]) -> Result<(Vec<u32>, Vec<usize>)> {
    if hashes.len() == 1 {
        return Ok((vec![0], vec![1]));
    }
    let equal = RowEqual::new(columns, columns)?;
    let mut table: HashTable<u32> = HashTable::with_capacity(hashes.len());
    // Of each group the first row, and the number of rows.
    let mut groups: Vec<(usize, usize)> = Vec::new();
    let mut group_of = Vec::with_capacity(hashes.len());
    for (row, hash) in hashes.iter().enumerate() {
        let same = |group: &u32| {
            let (first, _) = groups[at(*group)];
            hashes[first] == *hash && equal.equal(first, row)
        };
        let group = match table.find(*hash, same) {
            Some(group) => *group,
            None => {
                let group = number(groups.len())?;
                groups.push((row, 0));
                table.insert_unique(*hash, group, |group| hashes[groups[at(*group)].0]);
                group
            }
        };
        groups[at(group)].1 += 1;
        group_of.push(group);
    }
    let mut next: Vec<usize> = Vec::with_capacity(groups.len());
    let mut end = 0;
    for (_, rows) in &groups {
        next.push(end);
        end += rows;
    }
    let mut rows = vec![0; hashes.len()];
    for (row, group) in group_of.iter().enumerate() {
        let place = &mut next[at(*group)];
        rows[*place] = number(row)?;
        *place += 1;
    }
    Ok((rows, next))
}
