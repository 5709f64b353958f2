//! How far functions look, and steps from row to row that count how far they have come.

use crate::state::Standing;

/// How far a function looks from a row in one direction. Copies of a row are counted one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// To the end of the partition.
    All,
    /// As far as one of the two goes.
    Near {
        /// This many rows.
        rows: usize,
        /// The rows that the order calls equal to this one, and those of this many such groups more.
        groups: Option<usize>,
    },
}

impl Extent {
    /// Not at all.
    pub const NONE: Self = Self::rows(0);

    /// `rows` rows.
    pub const fn rows(rows: usize) -> Self {
        Self::Near { rows, groups: None }
    }

    /// The row's peers and `groups` groups of peers more.
    pub const fn groups(groups: usize) -> Self {
        Self::Near {
            rows: 0,
            groups: Some(groups),
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Near { rows, groups },
                Self::Near {
                    rows: other_rows,
                    groups: other_groups,
                },
            ) => Self::Near {
                rows: rows.max(other_rows),
                groups: groups.max(other_groups),
            },
            _ => Self::All,
        }
    }
}

/// The rows of its partition that a row's values depend on, beside itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reach {
    /// Those before the row.
    pub back: Extent,
    /// Those after it.
    pub ahead: Extent,
}

impl Reach {
    /// The whole partition.
    pub const ALL: Self = Self {
        back: Extent::All,
        ahead: Extent::All,
    };
    /// The row alone.
    pub const ROW: Self = Self {
        back: Extent::NONE,
        ahead: Extent::NONE,
    };

    /// What two functions look at together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            back: self.back.and(other.back),
            ahead: self.ahead.and(other.ahead),
        }
    }
}

/// A walk from a row on, in either direction.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    extent: Extent,
    /// Copies passed.
    rows: usize,
    /// How often the order's keys changed on the way.
    groups: usize,
    peers: &'a [u8],
}

impl<'a> Walk<'a> {
    /// From a row that belongs to `peers`.
    pub(super) fn new(extent: Extent, peers: &'a [u8]) -> Self {
        Self {
            extent,
            rows: 0,
            groups: 0,
            peers,
        }
    }

    /// Goes on to `row`: how many of its copies are within the extent. After a row with none come only such.
    pub(super) fn within(&mut self, row: Standing<'a>) -> usize {
        if row.peers != self.peers {
            self.peers = row.peers;
            self.groups = self.groups.saturating_add(1);
        }
        let copies = copies(row);
        let within = match self.extent {
            Extent::Near { rows, groups } if groups.is_none_or(|most| self.groups > most) => {
                copies.min(rows.saturating_sub(self.rows))
            }
            Extent::Near { .. } | Extent::All => copies,
        };
        self.rows = self.rows.saturating_add(copies);
        within
    }

    /// How many copies were passed.
    pub(super) fn passed(&self) -> usize {
        self.rows
    }
}

/// The copies of `row`.
pub(super) fn copies(row: Standing<'_>) -> usize {
    usize::try_from(row.copies).unwrap_or(usize::MAX)
}
