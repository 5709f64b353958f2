//! Ranks of rows that are counted in order.

use super::config::Numbering;

/// Gives the rows of a group their ranks, in order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ranks {
    numbering: Numbering,
    /// Copies so far.
    seen: u64,
    rank: u64,
}

impl Ranks {
    pub(super) fn new(numbering: Numbering) -> Self {
        Self {
            numbering,
            seen: 0,
            rank: 0,
        }
    }

    /// The rank of the next row, or of its first copy where each has its own. `is_peer`: the order calls it equal to the
    /// one before.
    pub(super) fn next(&mut self, copies: u64, is_peer: bool) -> u64 {
        self.rank = match self.numbering {
            Numbering::RowNumber => self.seen.saturating_add(1),
            Numbering::Rank if !is_peer => self.seen.saturating_add(1),
            Numbering::DenseRank if !is_peer => self.rank.saturating_add(1),
            Numbering::Rank | Numbering::DenseRank => self.rank,
        };
        self.seen = self.seen.saturating_add(copies);
        self.rank
    }

    /// The number of copies so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }
}
