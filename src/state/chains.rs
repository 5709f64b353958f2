//! Chains of slots: the rows of one key, one linked to the next.
//!
//! A chain is looked through from both ends at once, as the rows that go are mostly the oldest or the newest: the newest
//! stand right behind the head, the oldest are the head and the tail. The tail stands where the head would have one before it.

use super::chunks::at;
use super::renumber::Renumbering;

/// The end of a chain.
pub(super) const NONE: u32 = u32::MAX;

/// The links of all chains, two a slot.
#[derive(Debug, Default)]
pub(super) struct Chains {
    /// Both of a slot side by side: who reads one mostly reads the other.
    links: Vec<Link>,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    /// What comes after the slot; [`NONE`] after the tail.
    next: u32,
    /// What comes before the slot; before the head, the tail.
    previous: u32,
}

/// Where a slot was that left its chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Removed {
    /// It was all of it.
    Only,
    /// This slot is the head now.
    Head(u32),
    /// This slot is the tail now, which the head has to be told.
    Tail(u32),
    /// Between two others.
    Inside,
}

impl Chains {
    /// One slot more, in no chain yet.
    pub(super) fn push(&mut self) {
        self.links.push(Link {
            next: NONE,
            previous: NONE,
        });
    }

    /// Room for `slots` more.
    pub(super) fn reserve_exact(&mut self, slots: usize) {
        self.links.reserve_exact(slots);
    }

    /// Memory held, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.links.capacity() * size_of::<Link>()
    }

    /// Gives the slots that are kept their new numbers.
    pub(super) fn renumber(&mut self, slots: &Renumbering) {
        slots.column(&mut self.links);
        for Link { next, previous } in &mut self.links {
            *next = slots.link(*next);
            *previous = slots.link(*previous);
        }
    }

    /// What comes after `slot`, or [`NONE`].
    pub(super) fn after(&self, slot: u32) -> u32 {
        self.links[at(slot)].next
    }

    /// Makes a chain of one slot.
    pub(super) fn begin(&mut self, slot: u32) {
        self.links[at(slot)] = Link {
            next: NONE,
            previous: slot,
        };
    }

    /// Puts `slot` behind the head, so that the head stays what it is.
    pub(super) fn add(&mut self, head: u32, slot: u32) {
        let after = self.links[at(head)].next;
        self.links[at(slot)] = Link {
            next: after,
            previous: head,
        };
        self.links[at(head)].next = slot;
        let before = if after == NONE { head } else { after };
        self.links[at(before)].previous = slot;
    }

    /// Takes `slot` out of its chain.
    pub(super) fn remove(&mut self, slot: u32) -> Removed {
        let Link { next, previous } = self.links[at(slot)];
        let is_head = self.links[at(previous)].next == NONE;
        match (is_head, next) {
            (true, NONE) => Removed::Only,
            (true, _) => {
                self.links[at(next)].previous = previous;
                Removed::Head(next)
            }
            (false, NONE) => {
                self.links[at(previous)].next = NONE;
                Removed::Tail(previous)
            }
            (false, _) => {
                self.links[at(previous)].next = next;
                self.links[at(next)].previous = previous;
                Removed::Inside
            }
        }
    }

    /// Whether `slot` is the head of the chain whose tail is `tail`.
    pub(super) fn is_head_of(&self, slot: u32, tail: u32) -> bool {
        self.links[at(slot)].previous == tail
    }

    /// Tells a head its tail.
    pub(super) fn set_tail(&mut self, head: u32, tail: u32) {
        self.links[at(head)].previous = tail;
    }

    /// A walk over the chain of `head`, which may be [`NONE`].
    pub(super) fn walk(&self, head: u32) -> Walk {
        Walk {
            front: head,
            back: if head == NONE {
                NONE
            } else {
                self.links[at(head)].previous
            },
            from_back: false,
        }
    }
}

/// A walk from both ends of a chain to where they meet. The slot that was given last may leave the chain meanwhile.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    front: u32,
    back: u32,
    from_back: bool,
}

impl Walk {
    /// The next slot; none after the last.
    pub(super) fn next(&mut self, chains: &Chains) -> Option<u32> {
        if self.front == NONE {
            return None;
        }
        let slot = if self.from_back {
            self.back
        } else {
            self.front
        };
        if self.front == self.back {
            self.front = NONE;
        } else if self.from_back {
            self.back = chains.links[at(slot)].previous;
        } else {
            self.front = chains.links[at(slot)].next;
        }
        self.from_back = !self.from_back;
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

    use super::{Chains, NONE, Removed};

    fn walked(chains: &Chains, head: u32) -> Vec<u32> {
        let mut walk = chains.walk(head);
        std::iter::from_fn(|| walk.next(chains)).collect()
    }

    #[test]
    fn the_ends_of_a_chain_come_first() {
        let mut chains = Chains::default();
        (0..6).for_each(|_| chains.push());
        chains.begin(0);
        (1..6).for_each(|slot| chains.add(0, slot));
        // in the chain: 0, 5, 4, 3, 2, 1
        assert_eq!(walked(&chains, 0), [0, 1, 5, 2, 4, 3]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_chain_holds_what_was_added_and_not_removed(
            steps in proptest::collection::vec((0..12_u32, proptest::bool::ANY), 0..80)
        ) {
            let mut chains = Chains::default();
            (0..12).for_each(|_| chains.push());
            let (mut head, mut held) = (NONE, std::collections::BTreeSet::new());
            for (slot, adds) in steps {
                if adds && held.insert(slot) {
                    if head == NONE {
                        chains.begin(slot);
                        head = slot;
                    } else {
                        chains.add(head, slot);
                    }
                } else if !adds && held.remove(&slot) {
                    match chains.remove(slot) {
                        Removed::Only => head = NONE,
                        Removed::Head(next) => head = next,
                        Removed::Tail(tail) => {
                            assert!(chains.is_head_of(head, slot));
                            chains.set_tail(head, tail);
                        }
                        Removed::Inside => {}
                    }
                }
                let mut found = walked(&chains, head);
                found.sort_unstable();
                prop_assert_eq!(found, held.iter().copied().collect::<Vec<_>>());
                let mut forward = Vec::new();
                let mut at = head;
                while at != NONE {
                    forward.push(at);
                    at = chains.after(at);
                }
                forward.sort_unstable();
                prop_assert_eq!(forward, held.iter().copied().collect::<Vec<_>>());
            }
        }
    }
}
