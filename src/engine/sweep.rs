//! When a state is looked through for rows that are closed: once it has doubled, so that a row is looked at about twice in
//! its life and the state is at most twice what it has to be.

use super::frontier::Frontier;
use super::operator::Watermarks;
use crate::base::ObjectId;

/// Below this many rows a state is not worth a look.
const FEW: usize = 16;

/// The column of a state by which rows are closed, and when it was looked through last.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    pub(super) column: usize,
    frontier: Frontier,
    /// Up to where the last look went.
    closed: Option<i64>,
    /// Rows that it left.
    left: usize,
}

impl Sweep {
    pub(super) fn new(column: usize, frontier: Frontier) -> Self {
        Self {
            column,
            frontier,
            closed: None,
            left: 0,
        }
    }

    /// Below which value a state of `rows` rows is to be freed of rows now, if at all.
    pub(super) fn due(&mut self, rows: usize, watermarks: &Watermarks) -> Option<i64> {
        if rows < FEW || rows / 2 < self.left {
            return None;
        }
        let closed = self.frontier.value(watermarks)?;
        if self.closed.is_some_and(|before| before >= closed) {
            return None;
        }
        self.closed = Some(closed);
        Some(closed)
    }

    /// The look is over, and `rows` are left.
    pub(super) fn done(&mut self, rows: usize) {
        self.left = rows;
    }

    pub(super) fn sources(&self) -> Vec<ObjectId> {
        self.frontier.sources()
    }
}
