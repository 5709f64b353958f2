//! Slots by numbers: each slot has some, the first of them orders the slots, and windows on all of them find them.
//!
//! The slots lie in blocks, so that a change moves a block and not the list. A block knows the least and the greatest of
//! each further number, and is passed over where a window lies outside: for intervals, whose begin is the first number and whose end the
//! second, that leaves few blocks unless long and short ones are mixed in all of them.
//!
//! A slot takes 8 bytes a number, and 4 to 8 more.

use std::ops::Range;

use super::chunks::at;
use crate::base::Result;

/// The longest block. Tests have few rows.
const BLOCK: usize = if cfg!(test) { 4 } else { 512 };

/// Numbers from `least` to `greatest`, both included; none where `least` is above `greatest`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The first.
    pub least: u64,
    /// The last.
    pub greatest: u64,
}

impl Window {
    /// All numbers.
    pub const ALL: Self = Self {
        least: 0,
        greatest: u64::MAX,
    };

    /// No number.
    pub const NONE: Self = Self {
        least: u64::MAX,
        greatest: 0,
    };

    /// The numbers that are in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            least: self.least.max(other.least),
            greatest: self.greatest.min(other.greatest),
        }
    }

    /// Whether no number is in it.
    pub fn is_empty(self) -> bool {
        self.least > self.greatest
    }

    fn holds(self, number: u64) -> bool {
        self.least <= number && number <= self.greatest
    }
}

/// Slots in the order of their first number.
#[derive(Debug)]
pub struct ByNumbers {
    /// How many numbers a slot has, at least 1.
    width: usize,
    /// Those of each slot, one slot's behind the other's; of a slot that is not here they mean nothing.
    numbers: Vec<u64>,
    /// None is empty.
    blocks: Vec<Block>,
    len: usize,
}

#[derive(Debug)]
struct Block {
    /// By their first number, and then by their own.
    slots: Vec<u32>,
    /// Of each number but the first, where at least all of them lie.
    zones: Vec<Window>,
    /// How many slots went since the zones were exact.
    cuts: usize,
}

/// A place before, at or behind the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    block: usize,
    index: usize,
}

impl ByNumbers {
    /// No slots, with `width` numbers each.
    pub fn new(width: usize) -> Self {
        Self {
            width: width.max(1),
            numbers: Vec::new(),
            blocks: Vec::new(),
            len: 0,
        }
    }

    /// How many numbers a slot has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no slot.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        let blocks = self.blocks.iter().map(|block| {
            block.slots.capacity() * size_of::<u32>()
                + block.zones.capacity() * size_of::<Window>()
                + size_of::<Block>()
        });
        blocks.sum::<usize>() + self.numbers.capacity() * size_of::<u64>()
    }

    /// The slots, in order.
    pub fn slots(&self) -> impl Iterator<Item = u32> {
        self.blocks
            .iter()
            .flat_map(|block| block.slots.iter().copied())
    }

    /// The numbers of a slot that is here.
    pub fn numbers(&self, slot: u32) -> &[u64] {
        let from = at(slot) * self.width;
        &self.numbers[from..from + self.width]
    }

    /// Replaces everything by `slots`, which are different, and their numbers.
    pub fn load(&mut self, slots: &[u32], numbers: &[u64]) {
        *self = Self::new(self.width);
        let most = slots.iter().max().map_or(0, |slot| at(*slot) + 1);
        self.numbers = vec![0; most * self.width];
        let mut order = Vec::with_capacity(slots.len());
        for (slot, numbers) in slots.iter().zip(numbers.chunks_exact(self.width)) {
            let from = at(*slot) * self.width;
            self.numbers[from..from + self.width].copy_from_slice(numbers);
            order.push((numbers[0], *slot));
        }
        order.sort_unstable();
        self.len = order.len();
        // not full, so that the next ones need not cut them
        for part in order.chunks(BLOCK / 4 * 3) {
            let slots = part.iter().map(|(_, slot)| *slot).collect();
            self.blocks.push(self.block(slots));
        }
    }

    /// Takes a slot in that is not here.
    pub fn put(&mut self, slot: u32, numbers: &[u64]) {
        let from = at(slot) * self.width;
        if self.numbers.len() < from + self.width {
            self.numbers.resize(from + self.width, 0);
        }
        self.numbers[from..from + self.width].copy_from_slice(numbers);
        self.len += 1;
        let Place { block, index } = self.place((numbers[0], slot));
        let Some(found) = self.blocks.get_mut(block) else {
            let first = self.block(vec![slot]);
            self.blocks.push(first);
            return;
        };
        found.slots.insert(index, slot);
        for (zone, number) in found.zones.iter_mut().zip(&numbers[1..]) {
            zone.least = zone.least.min(*number);
            zone.greatest = zone.greatest.max(*number);
        }
        if found.slots.len() > BLOCK {
            let slots = std::mem::take(&mut found.slots);
            let parts = slots.chunks(BLOCK / 2).map(<[u32]>::to_vec);
            let parts: Vec<Block> = parts.map(|slots| self.block(slots)).collect();
            self.blocks.splice(block..=block, parts);
        }
    }

    /// Lets go of a slot, if it is here.
    pub fn cut(&mut self, slot: u32) {
        let Some(first) = self.numbers.get(at(slot) * self.width) else {
            return;
        };
        let Place { block, index } = self.place((*first, slot));
        let Some(found) = self.blocks.get_mut(block) else {
            return;
        };
        if found.slots.get(index) != Some(&slot) {
            return;
        }
        found.slots.remove(index);
        found.cuts += 1;
        self.len -= 1;
        let (left, cuts) = (found.slots.len(), found.cuts);
        if left == 0 {
            self.blocks.remove(block);
            return;
        }
        let next = self.blocks.get(block + 1).map(|next| next.slots.len());
        if next.is_some_and(|next| left + next <= BLOCK / 2) {
            let next = self.blocks.remove(block + 1).slots;
            let mut slots = std::mem::take(&mut self.blocks[block].slots);
            slots.extend(next);
            self.blocks[block] = self.block(slots);
        } else if cuts > left {
            let mut slots = std::mem::take(&mut self.blocks[block].slots);
            slots.shrink_to_fit();
            self.blocks[block] = self.block(slots);
        }
    }

    /// Gives the slots whose numbers lie in `windows`, one a number, some at a time; not those that `but` has by their first
    /// number.
    ///
    /// # Errors
    /// Those of `give`.
    pub fn find(
        &self,
        windows: &[Window],
        but: Window,
        give: &mut dyn FnMut(&[u32]) -> Result<()>,
    ) -> Result<()> {
        let Some((first, rest)) = windows.split_first() else {
            return Ok(());
        };
        if windows.iter().any(|window| window.is_empty()) {
            return Ok(());
        }
        let stretch = self.stretch(*first);
        let left_out = first.and(but);
        if left_out.is_empty() {
            return self.give(stretch, rest, give);
        }
        let left_out = self.stretch(left_out);
        self.give(stretch.start..left_out.start, rest, give)?;
        self.give(left_out.end..stretch.end, rest, give)
    }

    /// Those of a stretch whose further numbers lie in `rest`.
    fn give(
        &self,
        stretch: Range<Place>,
        rest: &[Window],
        give: &mut dyn FnMut(&[u32]) -> Result<()>,
    ) -> Result<()> {
        let Range { start, end } = stretch;
        let mut chosen = Vec::new();
        for number in start.block..self.blocks.len().min(end.block + 1) {
            let Block { slots, zones, .. } = &self.blocks[number];
            let from = if number == start.block {
                start.index
            } else {
                0
            };
            let to = if number == end.block {
                end.index
            } else {
                slots.len()
            };
            if from >= to {
                continue;
            }
            let slots = &slots[from..to];
            if rest.iter().all(|window| *window == Window::ALL) {
                give(slots)?;
                continue;
            }
            let apart = |(zone, window): (&Window, &Window)| zone.and(*window).is_empty();
            if zones.iter().zip(rest).any(apart) {
                continue;
            }
            chosen.clear();
            let holds = |slot: &u32| {
                let numbers = self.numbers(*slot)[1..].iter();
                numbers
                    .zip(rest)
                    .all(|(number, window)| window.holds(*number))
            };
            chosen.extend(slots.iter().copied().filter(holds));
            if !chosen.is_empty() {
                give(&chosen)?;
            }
        }
        Ok(())
    }

    /// The slots whose first number lies in a window that is not empty.
    fn stretch(&self, window: Window) -> Range<Place> {
        let start = self.place((window.least, 0));
        let end = match window.greatest.checked_add(1) {
            Some(above) => self.place((above, 0)),
            None => Place {
                block: self.blocks.len(),
                index: 0,
            },
        };
        start..end
    }

    /// Where a slot with this first number stands or would stand.
    fn place(&self, sought: (u64, u32)) -> Place {
        let key = |slot: &u32| (self.numbers[at(*slot) * self.width], *slot);
        let begins = |block: &Block| block.slots.first().is_some_and(|slot| key(slot) <= sought);
        // the last block that does not begin behind it
        let block = self.blocks.partition_point(begins).saturating_sub(1);
        let index = self.blocks.get(block).map_or(0, |found| {
            found.slots.partition_point(|slot| key(slot) < sought)
        });
        Place { block, index }
    }

    /// A block of slots in order, of which there is one at least.
    fn block(&self, slots: Vec<u32>) -> Block {
        let mut zones = vec![Window::NONE; self.width - 1];
        for slot in &slots {
            for (zone, number) in zones.iter_mut().zip(&self.numbers(*slot)[1..]) {
                zone.least = zone.least.min(*number);
                zone.greatest = zone.greatest.max(*number);
            }
        }
        Block {
            slots,
            zones,
            cuts: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::{ProptestConfig, Strategy, prop_assert, prop_assert_eq, proptest};

    use super::{ByNumbers, Window};

    fn windows() -> impl Strategy<Value = Window> {
        let number = || {
            (0..16_u64).prop_map(|number| match number {
                0 => 0,
                15 => u64::MAX,
                number => number,
            })
        };
        (number(), number()).prop_map(|(least, greatest)| Window { least, greatest })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn windows_find_what_lies_in_them_through_changes(
            loaded in vec((0..16_u64, 0..16_u64), 0..60),
            changes in vec((0..80_u32, 0..16_u64, 0..16_u64), 0..200),
            asked in vec((windows(), windows(), windows()), 1..12),
        ) {
            let number = |number| if number == 15 { u64::MAX } else { number };
            let mut found = ByNumbers::new(2);
            let mut expected: BTreeMap<u32, [u64; 2]> = BTreeMap::new();
            expected.extend((0..).zip(loaded.iter().map(|(a, b)| [number(*a), number(*b)])));
            let slots: Vec<u32> = expected.keys().copied().collect();
            let numbers: Vec<u64> = expected.values().flatten().copied().collect();
            found.load(&slots, &numbers);
            for (slot, a, b) in changes {
                found.cut(slot);
                if expected.remove(&slot).is_none() {
                    found.put(slot, &[number(a), number(b)]);
                    expected.insert(slot, [number(a), number(b)]);
                }
            }
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.slots().count(), expected.len());
            for (first, second, but) in asked {
                let mut given = Vec::new();
                found
                    .find(&[first, second], but, &mut |slots| {
                        given.extend_from_slice(slots);
                        Ok(())
                    })
                    .unwrap();
                prop_assert!(given.is_sorted_by_key(|slot| (found.numbers(*slot)[0], *slot)));
                given.sort_unstable();
                let lies = |[a, b]: &[u64; 2]| first.holds(*a) && second.holds(*b) && !but.holds(*a);
                let expected = expected.iter().filter(|(_, numbers)| lies(numbers));
                let expected: Vec<u32> = expected.map(|(slot, _)| *slot).collect();
                prop_assert_eq!(given, expected);
            }
        }
    }
}
