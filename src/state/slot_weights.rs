//! The weights of slots, of which most are 1: those are not stored unless another one lies near.
//!
//! They stand in pages, so that the first weight that is not 1 costs one page, and more slots never move those that are there.

use super::chunks::at;
use super::renumber::Renumbering;

/// Slots of a page.
const PAGE: usize = 512;

/// A weight a slot; 1 where none was set.
#[derive(Debug, Default)]
pub(super) struct SlotWeights {
    /// `None`: all 1.
    pages: Vec<Option<Box<[i64; PAGE]>>>,
    made: usize,
}

impl SlotWeights {
    /// The weight of a slot.
    pub(super) fn get(&self, slot: u32) -> i64 {
        match self.pages.get(at(slot) / PAGE) {
            Some(Some(page)) => page[at(slot) % PAGE],
            _ => 1,
        }
    }

    /// Sets the weight of a slot.
    pub(super) fn set(&mut self, slot: u32, weight: i64) {
        let number = at(slot) / PAGE;
        if weight == 1 && self.pages.get(number).is_none_or(Option::is_none) {
            return;
        }
        if number >= self.pages.len() {
            self.pages.resize_with(number + 1, || None);
        }
        let page = self.pages[number].get_or_insert_with(|| {
            self.made += 1;
            Box::new([1; PAGE])
        });
        page[at(slot) % PAGE] = weight;
    }

    /// Gives the slots that are kept their new numbers.
    pub(super) fn renumber(&mut self, slots: &Renumbering) {
        let mut renumbered = Self::default();
        for (new, old) in (0_u32..).zip(slots.kept()) {
            renumbered.set(new, self.get(*old));
        }
        *self = renumbered;
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.pages.capacity() * size_of::<Option<Box<[i64; PAGE]>>>()
            + self.made * size_of::<[i64; PAGE]>()
    }
}

#[cfg(test)]
mod tests {
    use super::SlotWeights;

    #[test]
    fn only_weights_that_are_not_one_take_memory() {
        let mut weights = SlotWeights::default();
        (0..100_000).for_each(|slot| weights.set(slot, 1));
        assert_eq!(weights.bytes(), 0);
        weights.set(70_000, -3);
        assert_eq!((weights.get(70_000), weights.get(70_001)), (-3, 1));
        assert!(weights.bytes() < 8_192, "{} bytes", weights.bytes());
        weights.set(70_000, 1);
        assert_eq!(weights.get(70_000), 1);
    }
}
