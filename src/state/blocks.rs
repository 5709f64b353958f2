//! The slots of one group in order: a list that is searched, and changed at several places at a time.
//!
//! Most groups are small, and many have one row: those take no memory of their own. A long list is cut into blocks, so
//! that a change moves a block and not the list.

use std::cmp::Ordering;

use crate::base::Result;

/// The longest block.
const BLOCK: usize = 512;
/// A list with room for more than so many times its slots is made smaller.
const SPARSE: usize = 4;
/// Room for so many slots is never too much.
const SMALL: usize = 16;

/// Slots in an order that only the caller knows.
#[derive(Debug)]
pub(super) enum Blocks {
    One(u32),
    Few(Vec<u32>),
    /// None of the blocks is empty.
    Many(Vec<Vec<u32>>),
}

/// A place before, at or behind the slots of a list. It holds until the list is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    block: usize,
    index: usize,
}

/// A change of a list.
#[derive(Clone, Copy, Debug)]
pub(super) enum Edit {
    /// A new slot stands before the one that is at the place.
    Put(Place, u32),
    /// The slot at the place goes.
    Cut(Place),
}

impl Edit {
    fn place(self) -> Place {
        match self {
            Self::Put(place, _) | Self::Cut(place) => place,
        }
    }
}

impl Default for Blocks {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Blocks {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Few(slots) => slots.len(),
            Self::Many(blocks) => blocks.iter().map(Vec::len).sum(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Few(slots) if slots.is_empty())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        let (single, blocks): (&[u32], &[Vec<u32>]) = match self {
            Self::One(slot) => (std::slice::from_ref(slot), &[]),
            Self::Few(slots) => (slots, &[]),
            Self::Many(blocks) => (&[], blocks),
        };
        single.iter().chain(blocks.iter().flatten()).copied()
    }

    pub(super) fn first(&self) -> Option<u32> {
        self.iter().next()
    }

    pub(super) fn last(&self) -> Option<u32> {
        match self {
            Self::One(slot) => Some(*slot),
            Self::Few(slots) => slots.last().copied(),
            Self::Many(blocks) => blocks.last().and_then(|block| block.last().copied()),
        }
    }

    /// How many slots stand before a place.
    pub(super) fn before(&self, place: Place) -> usize {
        let blocks = match self {
            Self::One(_) | Self::Few(_) => 0,
            Self::Many(blocks) => blocks.iter().take(place.block).map(Vec::len).sum(),
        };
        blocks + place.index
    }

    /// Where something belongs, and the slot of its equal if that is here. `compare` says where it stands beside a
    /// slot.
    pub(super) fn search(
        &self,
        mut compare: impl FnMut(u32) -> Result<Ordering>,
    ) -> Result<(Place, Option<u32>)> {
        let (block, slots): (usize, &[u32]) = match self {
            Self::One(slot) => (0, std::slice::from_ref(slot)),
            Self::Few(slots) => (0, slots),
            Self::Many(blocks) => {
                // The last block that does not begin behind it.
                let (mut low, mut high) = (0, blocks.len());
                while high - low > 1 {
                    let middle = low + (high - low) / 2;
                    if blocks[middle]
                        .first()
                        .map(|slot| compare(*slot))
                        .transpose()?
                        .is_none_or(Ordering::is_ge)
                    {
                        low = middle;
                    } else {
                        high = middle;
                    }
                }
                (low, &blocks[low])
            }
        };
        let (mut low, mut high) = (0, slots.len());
        while low < high {
            let index = low + (high - low) / 2;
            match compare(slots[index])? {
                Ordering::Equal => return Ok((Place { block, index }, Some(slots[index]))),
                Ordering::Greater => low = index + 1,
                Ordering::Less => high = index,
            }
        }
        Ok((Place { block, index: low }, None))
    }

    /// Makes changes whose places rise; at one place what is put comes before the cut.
    pub(super) fn edit(&mut self, edits: &[Edit]) {
        match self {
            Self::One(slot) => *self = Self::of(merged(std::slice::from_ref(slot), edits)),
            Self::Few(slots) => {
                match edits {
                    [Edit::Put(_, slot)] if slots.is_empty() => {
                        *self = Self::One(*slot);
                        return;
                    }
                    [Edit::Put(place, slot)] => slots.insert(place.index, *slot),
                    [Edit::Cut(place)] => {
                        slots.remove(place.index);
                    }
                    edits => *slots = merged(slots, edits),
                }
                if slots.len() <= 1 || slots.len() > BLOCK {
                    *self = Self::of(std::mem::take(slots));
                } else {
                    fit(slots);
                }
            }
            Self::Many(blocks) => {
                edit_blocks(blocks, edits);
                if blocks.len() <= 1 {
                    *self = Self::of(blocks.pop().unwrap_or_default());
                }
            }
        }
    }

    /// Gives every slot another number.
    pub(super) fn rename(&mut self, now: impl Fn(u32) -> u32) {
        let (single, blocks): (&mut [u32], &mut [Vec<u32>]) = match self {
            Self::One(slot) => (std::slice::from_mut(slot), &mut []),
            Self::Few(slots) => (slots, &mut []),
            Self::Many(blocks) => (&mut [], blocks),
        };
        for slot in single.iter_mut().chain(blocks.iter_mut().flatten()) {
            *slot = now(*slot);
        }
    }

    /// Memory of the lists, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let slots = match self {
            Self::One(_) => 0,
            Self::Few(slots) => slots.capacity(),
            Self::Many(blocks) => {
                let slots: usize = blocks.iter().map(Vec::capacity).sum();
                slots + blocks.capacity() * size_of::<Vec<u32>>() / size_of::<u32>()
            }
        };
        slots * size_of::<u32>()
    }

    /// Takes out all but the first `length` slots.
    pub(super) fn truncate(&mut self, length: usize, taken: &mut Vec<u32>) {
        let before = taken.len();
        taken.extend(self.iter().skip(length));
        if taken.len() == before {
            return;
        }
        match self {
            Self::One(_) => *self = Self::default(),
            Self::Few(slots) => {
                slots.truncate(length);
                if slots.len() <= 1 {
                    *self = Self::of(std::mem::take(slots));
                } else {
                    fit(slots);
                }
            }
            Self::Many(_) => *self = Self::of(self.iter().take(length).collect()),
        }
    }

    fn of(slots: Vec<u32>) -> Self {
        match slots.as_slice() {
            [] => Self::default(),
            [slot] => Self::One(*slot),
            slots if slots.len() > BLOCK => {
                Self::Many(slots.chunks(BLOCK / 2).map(<[u32]>::to_vec).collect())
            }
            _ => Self::Few(slots),
        }
    }
}

fn edit_blocks(blocks: &mut Vec<Vec<u32>>, edits: &[Edit]) {
    // From the last block on, so that the numbers of those before it hold.
    for edits in edits
        .chunk_by(|left, right| left.place().block == right.place().block)
        .rev()
    {
        let number = edits.first().map_or(0, |edit| edit.place().block);
        let block = &mut blocks[number];
        match edits {
            [Edit::Put(place, slot)] => block.insert(place.index, *slot),
            [Edit::Cut(place)] => {
                block.remove(place.index);
            }
            edits => *block = merged(block, edits),
        }
        if block.is_empty() {
            blocks.remove(number);
        } else if block.len() > BLOCK {
            let parts: Vec<Vec<u32>> = block.chunks(BLOCK / 2).map(<[u32]>::to_vec).collect();
            blocks.splice(number..=number, parts);
        } else {
            fit(block);
            join_next(blocks, number);
        }
    }
    if blocks.len() * SPARSE < blocks.capacity() {
        blocks.shrink_to_fit();
    }
}

/// Puts the block behind into this one where both are small.
fn join_next(blocks: &mut Vec<Vec<u32>>, number: usize) {
    if let Some([block, next]) = blocks.get_mut(number..=number + 1)
        && block.len() + next.len() <= BLOCK / 2
    {
        block.append(next);
        blocks.remove(number + 1);
    }
}

/// Lets go of room that most slots of a list have left.
fn fit(slots: &mut Vec<u32>) {
    if slots.len() * SPARSE < slots.capacity() && slots.capacity() > SMALL {
        slots.shrink_to(slots.len() * 2);
    }
}

/// The slots of one block after changes of it.
fn merged(slots: &[u32], edits: &[Edit]) -> Vec<u32> {
    let mut merged = Vec::with_capacity(slots.len() + edits.len());
    let mut next = 0;
    for edit in edits {
        let index = edit.place().index;
        merged.extend_from_slice(&slots[next..index]);
        next = index;
        match edit {
            Edit::Put(_, slot) => merged.push(*slot),
            Edit::Cut(_) => next += 1,
        }
    }
    merged.extend_from_slice(&slots[next..]);
    merged
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::{Blocks, Edit};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn lists_stay_in_order_through_changes_at_many_places(
            rounds in vec(vec(0..6_000_u32, 0..900), 1..12),
            length in 0..2_000_usize,
        ) {
            let mut blocks = Blocks::default();
            let mut expected = std::collections::BTreeSet::new();
            for mut round in rounds {
                round.sort_unstable();
                round.dedup();
                let mut edits = Vec::new();
                for number in round {
                    let (place, found) = blocks.search(|slot| Ok(number.cmp(&slot))).unwrap();
                    let before = expected.range(..number).count();
                    prop_assert_eq!(blocks.before(place), before);
                    prop_assert_eq!(found.is_some(), expected.contains(&number));
                    edits.push((number, match found {
                        Some(_) => Edit::Cut(place),
                        None => Edit::Put(place, number),
                    }));
                }
                for (number, _) in &edits {
                    if !expected.remove(number) {
                        expected.insert(*number);
                    }
                }
                let edits: Vec<Edit> = edits.into_iter().map(|(_, edit)| edit).collect();
                blocks.edit(&edits);
                prop_assert_eq!(blocks.len(), expected.len());
                prop_assert_eq!(blocks.is_empty(), expected.is_empty());
                prop_assert_eq!(blocks.iter().collect::<Vec<_>>(), expected.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(blocks.first(), expected.first().copied());
                prop_assert_eq!(blocks.last(), expected.last().copied());
            }
            let mut taken = Vec::new();
            blocks.truncate(length, &mut taken);
            let kept: Vec<u32> = expected.iter().copied().take(length).collect();
            prop_assert_eq!(blocks.iter().collect::<Vec<_>>(), kept);
            prop_assert_eq!(taken, expected.iter().copied().skip(length).collect::<Vec<_>>());
        }
    }
}
