//! Where the rows of slots lie: a page of slots that lie in a row in one chunk needs no place a slot.
//!
//! A load gives its rows slots in the order in which they lie, so that most pages are such a run. A page in which the place
//! of a slot changes gets a place a slot, and keeps it.

use super::chunks::at;
use super::renumber::Renumbering;

/// Slots of a page.
const PAGE: usize = 1 << 12;

/// Where a slot's row lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: u32,
    pub(super) row: u32,
}

#[derive(Debug)]
enum Page {
    /// The first slot lies here, and every other one right behind the one before it. The page is full.
    Run(Place),
    /// A place a slot.
    Each(Vec<Place>),
}

/// A place for every slot from 0 on.
#[derive(Debug, Default)]
pub(super) struct Places {
    /// Only the last one may have fewer slots than [`PAGE`].
    pages: Vec<Page>,
    /// Bytes of the pages that have a place a slot.
    bytes: usize,
}

impl Places {
    /// The place of a slot that has one.
    pub(super) fn get(&self, slot: u32) -> Place {
        let within = at(slot) % PAGE;
        match &self.pages[at(slot) / PAGE] {
            Page::Run(first) => after(*first, within),
            Page::Each(places) => places[within],
        }
    }

    /// Says where the slots `slots` lie: the first at `first`, each other right behind the one before it. Slots below that have
    /// no place yet get one that means nothing.
    pub(super) fn set_run(&mut self, slots: std::ops::Range<u32>, first: Place) {
        let (from, to) = (at(slots.start), at(slots.end));
        let mut slot = from;
        while slot < to {
            let (page, within) = (slot / PAGE, slot % PAGE);
            let end = to.min((page + 1) * PAGE);
            let begin = after(first, slot - from);
            if within == 0 && end - slot == PAGE && page <= self.pages.len() {
                self.put_run(page, begin);
            } else {
                for offset in 0..end - slot {
                    self.set_at(slot + offset, after(begin, offset));
                }
            }
            slot = end;
        }
    }

    /// Says where a slot lies. Slots below that have no place yet get one that means nothing.
    pub(super) fn set(&mut self, slot: u32, place: Place) {
        self.set_at(at(slot), place);
    }

    fn set_at(&mut self, slot: usize, place: Place) {
        let (number, within) = (slot / PAGE, slot % PAGE);
        while self.pages.len() <= number {
            self.fill_last(place);
            self.pages.push(Page::Each(Vec::new()));
        }
        let page = &mut self.pages[number];
        if let Page::Run(first) = page {
            if after(*first, within) == place {
                return;
            }
            let places: Vec<Place> = (0..PAGE).map(|offset| after(*first, offset)).collect();
            self.bytes += places.capacity() * size_of::<Place>();
            *page = Page::Each(places);
        }
        if let Page::Each(places) = page {
            let before = places.capacity();
            if places.len() <= within {
                places.resize(within + 1, place);
            }
            places[within] = place;
            self.bytes += (places.capacity() - before) * size_of::<Place>();
        }
    }

    fn fill_last(&mut self, place: Place) {
        if let Some(Page::Each(places)) = self.pages.last_mut()
            && places.len() < PAGE
        {
            let before = places.capacity();
            places.resize(PAGE, place);
            self.bytes += (places.capacity() - before) * size_of::<Place>();
        }
    }

    fn put_run(&mut self, number: usize, first: Place) {
        if number == self.pages.len() {
            self.fill_last(first);
            self.pages.push(Page::Run(first));
            return;
        }
        if let Page::Each(places) = &self.pages[number] {
            self.bytes -= places.capacity() * size_of::<Place>();
        }
        self.pages[number] = Page::Run(first);
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
        self.pages.capacity() * size_of::<Page>() + self.bytes
    }
}

/// The place `rows` rows behind `first`.
fn after(first: Place, rows: usize) -> Place {
    Place {
        row: first.row + u32::try_from(rows).unwrap_or(u32::MAX),
        ..first
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::{PAGE, Place, Places};

    #[test]
    fn a_load_takes_a_place_a_page() {
        let mut places = Places::default();
        let first = Place { chunk: 3, row: 5 };
        places.set_run(0..1_000_000, first);
        let last = places.get(999_999);
        assert_eq!(
            last,
            Place {
                chunk: 3,
                row: 1_000_004
            }
        );
        let bytes = places.bytes();
        assert!(bytes < 1_000_000 / 10, "{bytes} bytes");
        places.set(500_000, first);
        assert_eq!(places.get(500_000), first);
        assert_eq!(places.get(500_001).row, 500_006);
        assert_eq!(places.bytes() - bytes, PAGE * size_of::<Place>());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn places_are_as_they_were_set_last(
            steps in proptest::collection::vec((0..20_000_u32, 0..9_000_u32, 0..50_000_u32, 0..4_u32), 0..12)
        ) {
            let mut places = Places::default();
            let mut expected: Vec<Option<Place>> = Vec::new();
            for (from, rows, row, chunk) in steps {
                // as slots are given out: those that are there again, or new ones behind them
                let from = from.min(u32::try_from(expected.len()).unwrap());
                let first = Place { chunk, row };
                if rows % 5 == 0 {
                    places.set(from, first);
                } else {
                    places.set_run(from..from + rows, first);
                }
                let count = if rows % 5 == 0 { 1 } else { rows };
                for offset in 0..count {
                    let slot = usize::try_from(from + offset).unwrap();
                    if slot >= expected.len() {
                        expected.resize(slot + 1, None);
                    }
                    expected[slot] = Some(Place { chunk, row: row + offset });
                }
            }
            for (slot, place) in (0_u32..).zip(&expected) {
                prop_assert_eq!(Some(places.get(slot)), *place);
            }
            let bytes: usize = places.pages.iter().map(|page| match page {
                super::Page::Run(_) => 0,
                super::Page::Each(places) => places.capacity() * size_of::<Place>(),
            }).sum();
            prop_assert_eq!(places.bytes, bytes);
        }
    }
}
