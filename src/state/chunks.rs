//! The columns of an arrangement, in immutable chunks of at most 64 Ki rows.
//!
//! A row is known by its *slot*, a number that never changes while the row lives; where the slot's
//! row lies may change. So a chunk can be rewritten without touching any table. Small chunks are
//! merged sixteen at a time, and a chunk that is more than half dead is rewritten, so that a row is
//! copied about four times in its life and a gather touches few chunks.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::DataType;

use super::places::{Place, Places};
use super::renumber::Renumbering;
use crate::base::{Error, Result};

/// The most rows of a chunk.
pub(super) const CHUNK_ROWS: usize = 1 << 16;
/// How many chunks of one size wait before they are merged.
const TIER_CHUNKS: usize = 16;
/// Sizes from 1, 16, 256 and 4096 rows on.
const TIERS: usize = 4;
/// Stands where a row is dead.
const DEAD: u32 = u32::MAX;

#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) columns: Vec<ArrayRef>,
    slots: SlotsOf,
    live: usize,
    /// Whether it stands in the list of sparse chunks.
    waits: bool,
    bytes: usize,
}

/// The slots of a chunk's rows.
#[derive(Debug)]
enum SlotsOf {
    /// One behind the other from the first on.
    Run {
        first: u32,
        rows: usize,
        /// A bit a row that is dead; empty while none is.
        dead: Vec<u64>,
    },
    /// A slot a row, or [`DEAD`].
    Each(Vec<u32>),
}

impl SlotsOf {
    fn new(slots: Vec<u32>) -> Self {
        let in_a_row = |pair: &[u32]| pair[0].checked_add(1) == Some(pair[1]);
        match slots.first() {
            Some(first) if !slots.contains(&DEAD) && slots.windows(2).all(in_a_row) => Self::Run {
                first: *first,
                rows: slots.len(),
                dead: Vec::new(),
            },
            _ => Self::Each(slots),
        }
    }

    fn rows(&self) -> usize {
        match self {
            Self::Run { rows, .. } => *rows,
            Self::Each(slots) => slots.len(),
        }
    }

    /// The slot of a row, unless it is dead.
    fn get(&self, row: u32) -> Option<u32> {
        match self {
            Self::Run { first, dead, .. } => {
                let bits = dead.get(at(row) / 64).copied().unwrap_or(0);
                (bits >> (row % 64) & 1 == 0).then_some(first + row)
            }
            Self::Each(slots) => Some(slots[at(row)]).filter(|slot| *slot != DEAD),
        }
    }

    fn kill(&mut self, row: u32) {
        match self {
            Self::Run { rows, dead, .. } => {
                if dead.is_empty() {
                    *dead = vec![0; rows.div_ceil(64)];
                }
                dead[at(row) / 64] |= 1 << (row % 64);
            }
            Self::Each(slots) => slots[at(row)] = DEAD,
        }
    }
}

impl Chunk {
    /// How many rows there are, dead ones included.
    pub(super) fn rows(&self) -> usize {
        self.slots.rows()
    }

    /// Whether no row is dead.
    pub(super) fn all_live(&self) -> bool {
        self.live == self.rows()
    }

    /// The rows that live, with their slots.
    pub(super) fn live(&self) -> impl Iterator<Item = (u32, u32)> {
        let rows = (0u32..).take(self.rows());
        rows.filter_map(|row| Some((row, self.slots.get(row)?)))
    }
}

/// All chunks of an arrangement.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    chunks: Vec<Option<Chunk>>,
    free: Vec<u32>,
    /// Chunks not yet full, by size.
    tiers: [Vec<u32>; TIERS],
    /// Chunks more than half dead.
    sparse: Vec<u32>,
    places: Places,
    bytes: usize,
}

impl Chunks {
    /// Copies the named rows of `columns` in; row `rows[i]` becomes slot `slots[i]`.
    pub(super) fn admit(
        &mut self,
        columns: &[ArrayRef],
        rows: &[u32],
        slots: Vec<u32>,
    ) -> Result<()> {
        let in_order = (0u32..).zip(rows).all(|(place, row)| place == *row);
        let rows = UInt32Array::from(rows.to_vec());
        let columns = columns
            .iter()
            .map(|column| {
                let is_whole = in_order && column.len() == rows.len() && owns_its_buffers(column);
                if is_whole {
                    return Ok(compact(ArrayRef::clone(column)));
                }
                Ok(compact(take(column, &rows, None)?))
            })
            .collect::<Result<Vec<_>>>()?;
        self.insert(columns, slots)
    }

    /// Marks the row of `slot` dead.
    pub(super) fn kill(&mut self, slot: u32) {
        let Place { chunk: id, row } = self.place(slot);
        let Some(chunk) = self.chunks.get_mut(at(id)).and_then(Option::as_mut) else {
            return;
        };
        chunk.slots.kill(row);
        chunk.live -= 1;
        if chunk.live * 2 < chunk.rows() && !chunk.waits {
            chunk.waits = true;
            self.sparse.push(id);
        }
    }

    pub(super) fn place(&self, slot: u32) -> Place {
        self.places.get(slot)
    }

    pub(super) fn chunk(&self, id: u32) -> Result<&Chunk> {
        self.chunks
            .get(at(id))
            .and_then(Option::as_ref)
            .ok_or_else(|| Error::internal("a row lies in a chunk that is gone"))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Chunk> {
        self.chunks.iter().flatten()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + self.places.bytes()
    }

    /// The named columns of the rows of `slots`, in that order. Touches only the chunks hit.
    pub(super) fn gather(&self, slots: &[u32], columns: &[usize]) -> Result<Vec<ArrayRef>> {
        let Some(first) = slots.first().map(|slot| self.place(*slot).chunk) else {
            return Err(Error::internal("a gather of no rows"));
        };
        if slots.iter().all(|slot| self.place(*slot).chunk == first) {
            let rows: UInt32Array = slots
                .iter()
                .map(|slot| Some(self.place(*slot).row))
                .collect();
            let chunk = self.chunk(first)?;
            return columns
                .iter()
                .map(|column| Ok(take(&chunk.columns[*column], &rows, None)?))
                .collect();
        }
        let mut order = vec![usize::MAX; self.chunks.len()];
        let mut hit: Vec<&Chunk> = Vec::new();
        let mut pairs = Vec::with_capacity(slots.len());
        for slot in slots {
            let Place { chunk: id, row } = self.place(*slot);
            if order[at(id)] == usize::MAX {
                order[at(id)] = hit.len();
                hit.push(self.chunk(id)?);
            }
            pairs.push((order[at(id)], at(row)));
        }
        columns
            .iter()
            .map(|column| {
                let sources: Vec<&dyn Array> = hit
                    .iter()
                    .map(|chunk| chunk.columns[*column].as_ref())
                    .collect();
                Ok(interleave(&sources, &pairs)?)
            })
            .collect()
    }

    /// Merges small chunks and rewrites sparse ones: about `budget` rows, and never much more than
    /// a chunk above it.
    pub(super) fn tidy(&mut self, budget: usize) -> Result<()> {
        let mut left = budget.max(CHUNK_ROWS / 16);
        while left > 0
            && let Some(id) = self.sparse.pop()
        {
            let Some(chunk) = self.chunks.get(at(id)).and_then(Option::as_ref) else {
                continue;
            };
            // Its number may stand for another chunk by now.
            if !chunk.waits {
                continue;
            }
            left = left.saturating_sub(chunk.live);
            self.rewrite(&[id])?;
        }
        for tier in 0..TIERS {
            if self.tiers[tier].len() >= TIER_CHUNKS {
                let mut chosen = Vec::new();
                let mut rows = 0;
                // The longest waiting first; what would not fit in one chunk waits on.
                for id in &self.tiers[tier] {
                    let live = self.chunk(*id)?.live;
                    if rows + live > CHUNK_ROWS {
                        break;
                    }
                    rows += live;
                    chosen.push(*id);
                }
                self.rewrite(&chosen)?;
            }
        }
        Ok(())
    }

    /// Gives the slots that live new numbers; the others are known no more.
    pub(super) fn renumber(&mut self, slots: &Renumbering) {
        self.places.renumber(slots);
        for chunk in self.chunks.iter_mut().flatten() {
            let rows = (0u32..).take(chunk.rows());
            let now = |row| chunk.slots.get(row).map_or(DEAD, |slot| slots.now(slot));
            chunk.slots = SlotsOf::new(rows.map(now).collect());
        }
    }

    fn insert(&mut self, columns: Vec<ArrayRef>, slots: Vec<u32>) -> Result<()> {
        let id = match self.free.pop() {
            Some(id) => id,
            None => {
                self.chunks.push(None);
                number(self.chunks.len() - 1)?
            }
        };
        let rows = slots.len();
        let slots = SlotsOf::new(slots);
        let place = |row| Place { chunk: id, row };
        let slot_bytes = match &slots {
            SlotsOf::Run { first, .. } => {
                self.places
                    .set_run(*first..*first + number(rows)?, place(0));
                rows / 8
            }
            SlotsOf::Each(slots) => {
                for (row, slot) in (0u32..).zip(slots) {
                    self.places.set(*slot, place(row));
                }
                rows * size_of::<u32>()
            }
        };
        let bytes = columns
            .iter()
            .map(|column| column.get_array_memory_size())
            .sum::<usize>()
            + slot_bytes;
        if let Some(tier) = tier(rows) {
            self.tiers[tier].push(id);
        }
        self.bytes += bytes;
        self.chunks[at(id)] = Some(Chunk {
            columns,
            live: rows,
            slots,
            waits: false,
            bytes,
        });
        Ok(())
    }

    /// Puts the live rows of `ids` in one new chunk, in place of the old ones.
    fn rewrite(&mut self, ids: &[u32]) -> Result<()> {
        let mut slots = Vec::new();
        for id in ids {
            slots.extend(self.chunk(*id)?.live().map(|(_, slot)| slot));
        }
        if slots.is_empty() {
            ids.iter().for_each(|id| self.remove(*id));
            return Ok(());
        }
        let width: Vec<usize> = (0..self.chunk(ids[0])?.columns.len()).collect();
        let columns = self
            .gather(&slots, &width)?
            .into_iter()
            .map(compact)
            .collect();
        ids.iter().for_each(|id| self.remove(*id));
        self.insert(columns, slots)
    }

    fn remove(&mut self, id: u32) {
        let Some(chunk) = self.chunks.get_mut(at(id)).and_then(Option::take) else {
            return;
        };
        if let Some(tier) = tier(chunk.rows()) {
            self.tiers[tier].retain(|other| *other != id);
        }
        self.bytes -= chunk.bytes;
        self.free.push(id);
    }
}

/// Which waiting list a chunk of `rows` rows belongs to; none when it is large enough to stay.
fn tier(rows: usize) -> Option<usize> {
    match rows {
        0..16 => Some(0),
        16..256 => Some(1),
        256..4096 => Some(2),
        4096..32768 => Some(3),
        _ => None,
    }
}

/// Whether the buffers of a column hold little beside its rows, so that to keep it is no waste. Those of views
/// are compacted anyway.
fn owns_its_buffers(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Utf8View | DataType::BinaryView => true,
        _ => {
            let own = column.to_data().get_slice_memory_size().unwrap_or(0);
            own + own / 4 >= column.get_array_memory_size()
        }
    }
}

/// Lets go of what a view column's source held beyond its own rows.
fn compact(column: ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Utf8View => Arc::new(column.as_string_view().gc()),
        DataType::BinaryView => Arc::new(column.as_binary_view().gc()),
        _ => column,
    }
}

pub(super) fn at(number: u32) -> usize {
    // u32 fits usize on every platform that Lotic builds for; the fallback makes an index panic.
    usize::try_from(number).unwrap_or(usize::MAX)
}

pub(super) fn number(index: usize) -> Result<u32> {
    u32::try_from(index)
        .ok()
        .filter(|number| *number != DEAD)
        .ok_or_else(|| Error::limit("an operator holds more than 2^32 rows"))
}
