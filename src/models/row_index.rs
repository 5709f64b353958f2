//! Finds a stored row by the hash of its columns.
//!
//! Rows with one hash form a chain through an arena of links, so that a million equal rows cost a
//! million links and no search. When a chunk is rewritten its links are not looked for: they point
//! to a chunk that is gone, count as stale, are dropped when a walk meets them, and the whole index
//! is rebuilt by the owner once they are more than half, or once a quarter of the memory would do.

use hashbrown::HashTable;

/// Where a row lies: chunk and position in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) chunk: u32,
    pub(super) row: u32,
}

const END: u32 = u32::MAX;
/// So many links may be stale however few rows there are.
const STALE_LINKS: usize = 64 * 1024;
/// So many links may be free however few rows there are; tests have few rows.
const FREE_LINKS: usize = if cfg!(test) { 4 } else { 4 * 1024 };

#[derive(Clone, Copy, Debug)]
struct Link {
    place: Place,
    next: u32,
}

#[derive(Clone, Copy, Debug)]
struct Bucket {
    hash: u64,
    head: u32,
}

/// What a walk decides about one link.
pub(super) enum Verdict {
    /// The row that was looked for.
    Found,
    /// Another row.
    Other,
    /// The chunk of this link is gone.
    Stale,
}

/// Chains of places by hash.
#[derive(Debug, Default)]
pub(super) struct RowIndex {
    buckets: HashTable<Bucket>,
    links: Vec<Link>,
    free: Vec<u32>,
}

impl RowIndex {
    /// Makes room for `rows` more rows.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.buckets.reserve(rows, |bucket| bucket.hash);
        self.links.reserve(rows.saturating_sub(self.free.len()));
    }

    /// How many links there are, stale ones included.
    pub(super) fn links(&self) -> usize {
        self.links.len() - self.free.len()
    }

    /// Whether it is to be made anew for `rows` rows: most links are stale, or most of its memory holds none.
    pub(super) fn is_sparse(&self, rows: usize) -> bool {
        self.links() > 2 * rows + STALE_LINKS || self.links.len() > 4 * rows + FREE_LINKS
    }

    /// Forgets everything and gives the memory back.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    pub(super) fn insert(&mut self, hash: u64, place: Place) {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                self.links.push(Link { place, next: END });
                u32::try_from(self.links.len() - 1).expect("a collection has under 4 billion rows")
            }
        };
        let entry = self
            .buckets
            .entry(hash, |bucket| bucket.hash == hash, |bucket| bucket.hash);
        let next = match entry {
            hashbrown::hash_table::Entry::Occupied(mut entry) => {
                std::mem::replace(&mut entry.get_mut().head, slot)
            }
            hashbrown::hash_table::Entry::Vacant(entry) => {
                entry.insert(Bucket { hash, head: slot });
                END
            }
        };
        self.links[slot as usize] = Link { place, next };
    }

    /// The first place under `hash` that `judge` finds.
    pub(super) fn find(&self, hash: u64, mut judge: impl FnMut(Place) -> Verdict) -> Option<Place> {
        let mut at = self.buckets.find(hash, |bucket| bucket.hash == hash)?.head;
        while at != END {
            let link = self.links[at as usize];
            if matches!(judge(link.place), Verdict::Found) {
                return Some(link.place);
            }
            at = link.next;
        }
        None
    }

    /// Takes the first place under `hash` that `judge` finds out of the index, and the stale links
    /// before it.
    pub(super) fn take(
        &mut self,
        hash: u64,
        mut judge: impl FnMut(Place) -> Verdict,
    ) -> Option<Place> {
        let Ok(mut entry) = self.buckets.find_entry(hash, |bucket| bucket.hash == hash) else {
            return None;
        };
        let mut before = END;
        let mut at = entry.get().head;
        let mut found = None;
        while at != END && found.is_none() {
            let link = self.links[at as usize];
            let verdict = judge(link.place);
            if matches!(verdict, Verdict::Other) {
                before = at;
            } else {
                if before == END {
                    entry.get_mut().head = link.next;
                } else {
                    self.links[before as usize].next = link.next;
                }
                self.free.push(at);
                if matches!(verdict, Verdict::Found) {
                    found = Some(link.place);
                }
            }
            at = link.next;
        }
        if entry.get().head == END {
            entry.remove();
        }
        found
    }
}
