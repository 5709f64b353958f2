//! Looks the keys of several rows up together.
//!
//! In a large state each step of a lookup waits for memory: the table, the hash of the row that it names, where that row lies, its
//! key. One row at a time, these waits stand in a line. Here each step is made for a block of rows before the next one is, so that
//! a core waits for many rows at once (group prefetching: Chen, Ailamaki, Gibbons, Mowry, "Improving Hash Join Performance through
//! Prefetching", 2004; by plain reads here, which a core begins ahead of time where none depends on another).

use std::ops::Range;

use hashbrown::HashTable;

use super::chains::NONE;
use super::chunks::at;
use super::keyed::{short, spread};
use super::search::Equals;
use crate::base::Result;

/// The most rows of a block: a few times what a core can wait for at once.
pub(super) const BLOCK: usize = 32;
/// A state of fewer slots than this is near the core anyhow, and a step more costs more than it spares. Tests have small ones.
pub(super) const LARGE: usize = if cfg!(test) { 64 } else { 1 << 15 };

/// Where keys are looked up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads<'a> {
    /// The first slot of each key, by [`spread`].
    pub(super) table: &'a HashTable<u32>,
    /// The hash of each slot's key, [`short`].
    pub(super) hashes: &'a [u32],
}

impl Heads<'_> {
    /// The first slot with the key of probing row `row`, whose hash is [`short`], or [`NONE`].
    ///
    /// # Errors
    /// When a key cannot be compared.
    pub(super) fn find(&self, equals: &mut Equals<'_>, hash: u32, row: usize) -> Result<u32> {
        for head in self.table.iter_hash(spread(hash)) {
            if self.hashes[at(*head)] == hash && equals.equal(row, *head)? {
                return Ok(*head);
            }
        }
        Ok(NONE)
    }

    /// The first slots with the keys of the rows `rows`, at most [`BLOCK`], each as [`Heads::find`] gives it.
    ///
    /// # Errors
    /// When a key cannot be compared.
    pub(super) fn find_all(
        &self,
        equals: &mut Equals<'_>,
        hashes: &[u64],
        rows: Range<usize>,
    ) -> Result<[u32; BLOCK]> {
        let short_hashes = || hashes[rows.clone()].iter().map(|hash| short(*hash));
        let mut heads = self.likely(short_hashes());
        let mut sure = [false; BLOCK];
        for (hash, (head, sure)) in short_hashes().zip(heads.iter().zip(&mut sure)) {
            *sure = self.hashes.get(at(*head)) == Some(&hash);
        }
        for (row, (head, sure)) in rows.clone().zip(heads.iter().zip(&mut sure)) {
            if *sure {
                *sure = equals.equal(row, *head)?;
            }
        }
        let block = rows.clone().zip(short_hashes());
        for ((row, hash), (head, sure)) in block.zip(heads.iter_mut().zip(&sure)) {
            if !*sure && *head != NONE {
                *head = self.find(equals, hash, row)?;
            }
        }
        Ok(heads)
    }

    /// Reads what a lookup of the keys of `slots`, at most [`BLOCK`], will read of the table.
    pub(super) fn touch(&self, slots: &[u32]) {
        let mut touched = 0;
        for head in self.likely(slots.iter().map(|slot| self.hashes[at(*slot)])) {
            touched ^= self.hashes.get(at(head)).copied().unwrap_or(0);
        }
        std::hint::black_box(touched);
    }

    /// The first slot that the table names for each hash: of its key, but for hashes that meet.
    fn likely(&self, hashes: impl Iterator<Item = u32>) -> [u32; BLOCK] {
        let mut heads = [NONE; BLOCK];
        for (head, hash) in heads.iter_mut().zip(hashes) {
            let mut named = self.table.iter_hash(spread(hash));
            *head = named.next().copied().unwrap_or(NONE);
        }
        heads
    }
}
