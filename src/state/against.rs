//! How rows that come stand beside those of a [`Sorted`], and those beside each other.
//!
//! A comparison is built for each chunk that is hit.

use std::cmp::Ordering;

use arrow::array::ArrayRef;
use hashbrown::HashMap;

use super::blocks::Place;
use super::chunks::at;
use super::sorted::Sorted;
use crate::base::Result;
use crate::zset::order::RowOrder;

/// The rows of a batch beside those that are stored.
#[derive(Debug)]
pub struct Against<'a> {
    sorted: &'a Sorted,
    /// As the keys stand.
    columns: Vec<ArrayRef>,
    among: RowOrder,
    by_chunk: Vec<Option<RowOrder>>,
}

impl<'a> Against<'a> {
    /// `columns` are those of the batch, as the keys of `sorted` stand; `among` compares them with themselves.
    pub(super) fn new(sorted: &'a Sorted, columns: Vec<ArrayRef>, among: RowOrder) -> Self {
        Self {
            sorted,
            columns,
            among,
            by_chunk: Vec::new(),
        }
    }

    /// Where one row of the batch stands beside another.
    pub fn compare(&self, left: u32, right: u32) -> Ordering {
        self.among.compare(at(left), at(right))
    }

    /// Whether the order calls two rows of the batch equal.
    pub fn are_peers(&self, left: u32, right: u32) -> bool {
        let ordering = self
            .among
            .compare_first(self.sorted.leading, at(left), at(right));
        ordering.is_eq()
    }

    /// Where a row of the batch stands beside a stored one of its group; with `leading`, by the order alone.
    ///
    /// # Errors
    /// When Arrow cannot compare the columns.
    pub fn compare_stored(&mut self, row: u32, slot: u32, leading: bool) -> Result<Ordering> {
        let sorted = self.sorted;
        let place = sorted.chunks.place(slot);
        let id = at(place.chunk);
        if id >= self.by_chunk.len() {
            self.by_chunk.resize_with(id + 1, || None);
        }
        let order = match &mut self.by_chunk[id] {
            Some(order) => order,
            unknown => {
                let keys = sorted.keys_of(place.chunk)?;
                unknown.insert(sorted.order(&self.columns, &keys)?)
            }
        };
        Ok(if leading {
            order.compare_first(sorted.leading, at(row), at(place.row))
        } else {
            order.compare(at(row), at(place.row))
        })
    }

    /// Where a row of the batch belongs in a group, and the slot of its equal if that is here.
    ///
    /// # Errors
    /// When Arrow cannot compare the columns.
    pub fn find(&mut self, group: u32, row: u32) -> Result<(Place, Option<u32>)> {
        let sorted = self.sorted;
        let rows = &sorted.groups[at(group)].rows;
        rows.search(|slot| self.compare_stored(row, slot, false))
    }
}

/// Says which stored rows the order calls equal. Good until the store settles.
#[derive(Debug, Default)]
pub struct Peers {
    by_chunks: HashMap<(u32, u32), RowOrder>,
}

impl Peers {
    /// Whether the order calls two stored rows of a group equal.
    ///
    /// # Errors
    /// When Arrow cannot compare the columns.
    pub fn are_peers(&mut self, sorted: &Sorted, left: u32, right: u32) -> Result<bool> {
        let (left, right) = (sorted.chunks.place(left), sorted.chunks.place(right));
        let chunks = (left.chunk, right.chunk);
        if !self.by_chunks.contains_key(&chunks) {
            let (left, right) = (sorted.keys_of(chunks.0)?, sorted.keys_of(chunks.1)?);
            let leading = sorted.leading;
            let order = sorted.order(&left[..leading], &right[..leading])?;
            self.by_chunks.insert(chunks, order);
        }
        Ok(self
            .by_chunks
            .get(&chunks)
            .is_some_and(|order| order.compare(at(left.row), at(right.row)).is_eq()))
    }
}
