//! Gives slots new numbers once most are free, so that memory follows the rows down as it followed them up.
//!
//! A slot that is free is given out again, but what stands beside the chunks is as long as the most rows that ever were
//! there at once. When three slots of four are free, the rows that are left get the first numbers, and every column, chain
//! and table is made anew at its size. That costs what there are slots, and three quarters of them went since they came: a
//! constant for each row that goes.

use hashbrown::HashTable;

use super::chunks::{at, number};
use crate::base::Result;

/// Stands where there is no slot: the end of a chain, and the new number of a slot that is free.
const NONE: u32 = u32::MAX;
/// Fewer slots are left as they are; tests have few rows, and are to meet new numbers all the same.
const FEW: usize = if cfg!(test) { 4 } else { 1 << 12 };

/// The slots that are kept, and their new numbers.
#[derive(Debug)]
pub(super) struct Renumbering {
    /// The old numbers, rising.
    kept: Vec<u32>,
    /// The new number of each old one.
    now: Vec<u32>,
}

impl Renumbering {
    /// New numbers for the slots below `slots` that are not `free`, where it is worth while.
    ///
    /// # Errors
    /// Never: there are fewer slots than before.
    pub(super) fn due(slots: usize, free: &[u32]) -> Result<Option<Self>> {
        if slots < FEW || free.len() * 4 < slots * 3 {
            return Ok(None);
        }
        let mut now = vec![0; slots];
        for slot in free {
            now[at(*slot)] = NONE;
        }
        let mut kept = Vec::with_capacity(slots - free.len());
        for (old, new) in (0_u32..).zip(&mut now) {
            if *new != NONE {
                *new = number(kept.len())?;
                kept.push(old);
            }
        }
        Ok(Some(Self { kept, now }))
    }

    /// How many slots there are now.
    pub(super) fn slots(&self) -> usize {
        self.kept.len()
    }

    /// The old numbers of the slots that are kept, rising: the n-th is called n now.
    pub(super) fn kept(&self) -> &[u32] {
        &self.kept
    }

    /// The new number of a slot that is kept.
    pub(super) fn now(&self, slot: u32) -> u32 {
        self.now[at(slot)]
    }

    /// Keeps the values of the slots that are kept.
    pub(super) fn column<T: Copy>(&self, column: &mut Vec<T>) {
        *column = self.kept.iter().map(|slot| column[at(*slot)]).collect();
    }

    /// As [`Self::column`], of values that move.
    pub(super) fn moved<T: Default>(&self, column: &mut Vec<T>) {
        let kept = self.kept.iter();
        *column = kept
            .map(|slot| std::mem::take(&mut column[at(*slot)]))
            .collect();
    }

    /// As [`Self::column`], of values that are slots or [`NONE`].
    pub(super) fn links(&self, column: &mut Vec<u32>) {
        let links = self.kept.iter().map(|slot| column[at(*slot)]);
        *column = links.map(|link| self.link(link)).collect();
    }

    /// As [`Self::now`], of a slot or [`NONE`].
    pub(super) fn link(&self, link: u32) -> u32 {
        if link == NONE { NONE } else { self.now(link) }
    }

    /// Renames the slots of a table, in which are only such that are kept. `hash` is told new numbers.
    pub(super) fn table(&self, table: &mut HashTable<u32>, hash: impl Fn(&u32) -> u64) {
        for slot in table.iter_mut() {
            *slot = self.now(*slot);
        }
        table.shrink_to(0, hash);
    }
}
