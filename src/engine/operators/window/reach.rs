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
        /// The rows whose value of the order's only key is at most this far away: an integer, or a date or a time in its
        /// own unit. Those without a value see their peers.
        distance: Option<i64>,
    },
}

impl Extent {
    /// Not at all.
    pub const NONE: Self = Self::rows(0);

    /// `rows` rows.
    pub const fn rows(rows: usize) -> Self {
        Self::Near {
            rows,
            groups: None,
            distance: None,
        }
    }

    /// The row's peers and `groups` groups of peers more.
    pub const fn groups(groups: usize) -> Self {
        Self::Near {
            rows: 0,
            groups: Some(groups),
            distance: None,
        }
    }

    /// The row's peers and the rows at most `distance` away.
    pub const fn distance_of(distance: i64) -> Self {
        Self::Near {
            rows: 0,
            groups: Some(0),
            distance: Some(distance),
        }
    }

    /// The distance in value, if there is one.
    pub(super) fn distance(self) -> Option<i64> {
        match self {
            Self::All => None,
            Self::Near { distance, .. } => distance,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (
                Self::Near {
                    rows,
                    groups,
                    distance,
                },
                Self::Near {
                    rows: other_rows,
                    groups: other_groups,
                    distance: other_distance,
                },
            ) => Self::Near {
                rows: rows.max(other_rows),
                groups: groups.max(other_groups),
                distance: distance.max(other_distance),
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

/// A direction in the order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// Towards the first row.
    Back,
    /// Towards the last one.
    Ahead,
}

/// How far the distance in value of an extent leads from one row.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit<'a> {
    /// No farther than to its peers.
    Peers,
    /// To the rows with these keys.
    UpTo(&'a [u8]),
    /// To the end of the partition.
    Open,
}

/// Where a walk begins, and how far it may go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Start<'a> {
    /// The part of the row's bytes that it shares with its peers.
    pub(super) peers: &'a [u8],
    pub(super) extent: Extent,
    pub(super) way: Way,
    pub(super) limit: Limit<'a>,
}

/// A walk from a row on.
#[derive(Debug)]
pub(super) struct Walk<'a> {
    start: Start<'a>,
    /// Copies passed.
    rows: usize,
    /// How often the order's keys changed on the way.
    groups: usize,
    peers: &'a [u8],
}

impl<'a> Walk<'a> {
    /// Not a step yet.
    pub(super) fn new(start: Start<'a>) -> Self {
        Self {
            start,
            rows: 0,
            groups: 0,
            peers: start.peers,
        }
    }

    /// Goes on to `row`: how many of its copies are within the extent. After a row with none come only such.
    pub(super) fn within(&mut self, row: Standing<'a>) -> usize {
        if row.peers != self.peers {
            self.peers = row.peers;
            self.groups = self.groups.saturating_add(1);
        }
        let copies = copies(row);
        let within = match self.start.extent {
            Extent::All => copies,
            Extent::Near { groups, .. } if groups.is_some_and(|most| self.groups <= most) => copies,
            Extent::Near { .. } if self.is_near(row) => copies,
            Extent::Near { rows, .. } => copies.min(rows.saturating_sub(self.rows)),
        };
        self.rows = self.rows.saturating_add(copies);
        within
    }

    fn is_near(&self, row: Standing<'_>) -> bool {
        match (self.start.limit, self.start.way) {
            (Limit::Peers, _) => false,
            (Limit::Open, _) => true,
            (Limit::UpTo(bound), Way::Back) => row.peers >= bound,
            (Limit::UpTo(bound), Way::Ahead) => row.peers <= bound,
        }
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
