//! Which rows of a piece can matter to a group top-k, in which group, and where in it they belong.
//!
//! Where no row is ever taken back, a row behind the last one of a group that is full can never be in. It is thrown away
//! before any other than the columns of the group and the order is read.

use crate::base::{Error, Result};
use crate::state::{Against, Arrival, Peers, Place, Run, Sorted};
use crate::zset::Merged;
use crate::zset::consolidate::add_weights;

use super::config::{GroupTopKConfig, Numbering};
use super::ranks::Ranks;

/// The rows of a piece that can matter, by group and in order, each with its place among those that are here.
pub(super) struct Arrivals<'a> {
    config: &'a GroupTopKConfig,
    rows: &'a Sorted,
    append_only: bool,
    piece: &'a Merged,
    against: Against<'a>,
    peers: &'a mut Peers,
    found: Vec<Arrival>,
}

impl<'a> Arrivals<'a> {
    /// Looks all rows of `piece` up. Each run names its part of the arrivals, which may be empty.
    ///
    /// # Errors
    /// When columns cannot be compared, a weight passes 64 bits, or a row is taken back that cannot be.
    pub(super) fn of(
        config: &'a GroupTopKConfig,
        rows: &'a Sorted,
        append_only: bool,
        piece: &'a Merged,
        peers: &'a mut Peers,
    ) -> Result<(Vec<Arrival>, Vec<Run>)> {
        let (order, mut runs) = rows.runs(&piece.batch)?;
        let mut arrivals = Self {
            config,
            rows,
            append_only,
            piece,
            against: rows.against(&piece.batch)?,
            peers,
            found: Vec::with_capacity(if append_only { runs.len() } else { order.len() }),
        };
        let mut numbers: Vec<u32> = Vec::new();
        for run in &mut runs {
            numbers.clear();
            numbers.extend_from_slice(&order[run.rows.clone()]);
            if append_only {
                arrivals.keep_near(run.group, &mut numbers)?;
            }
            if numbers.len() > 1 {
                let against = &arrivals.against;
                numbers.sort_unstable_by(|left, right| against.compare(*left, *right));
            }
            let start = arrivals.found.len();
            arrivals.arrive(run.group, &numbers)?;
            run.rows = start..arrivals.found.len();
        }
        Ok((arrivals.found, runs))
    }

    /// Throws away what is behind the last row of a full group, and of many rows those behind too many others.
    fn keep_near(&mut self, group: Option<u32>, numbers: &mut Vec<u32>) -> Result<()> {
        numbers.retain(|row| self.weight(*row) != 0);
        let single = self.config.rank == Numbering::RowNumber;
        if let Some(group) = group
            && let Some(last) = self.last_of_full(group)?
        {
            let mut kept = 0;
            for index in 0..numbers.len() {
                let row = numbers[index];
                // Rows that the order calls equal share a rank, unless each has its own.
                let ordering = self.against.compare_stored(row, last, !single)?;
                if ordering.is_lt() || (ordering.is_eq() && !single) {
                    numbers[kept] = row;
                    kept += 1;
                }
            }
            numbers.truncate(kept);
        }
        let most = usize::try_from(self.config.last).unwrap_or(usize::MAX);
        if single && most > 0 && numbers.len() > most {
            let against = &self.against;
            numbers.select_nth_unstable_by(most - 1, |left, right| against.compare(*left, *right));
            numbers.truncate(most);
        }
        Ok(())
    }

    /// The slot of a group's last row, if no row behind it can be in.
    fn last_of_full(&mut self, group: u32) -> Result<Option<u32>> {
        let Some((last, copies)) = self.rows.last_of_group(group) else {
            return Ok(None);
        };
        let rank = match self.config.rank {
            Numbering::RowNumber | Numbering::Rank => copies.unsigned_abs(),
            Numbering::DenseRank => {
                let mut ranks = Ranks::new(Numbering::DenseRank);
                let mut rank = 0;
                let mut before = None;
                for (slot, _) in self.rows.of_group(group) {
                    let is_peer = match before {
                        Some(before) => self.peers.are_peers(self.rows, before, slot)?,
                        None => false,
                    };
                    rank = ranks.next(1, is_peer);
                    before = Some(slot);
                }
                rank
            }
        };
        Ok((rank >= self.config.last).then_some(last))
    }

    /// Looks the rows of one group up, which are in order.
    fn arrive(&mut self, group: Option<u32>, numbers: &[u32]) -> Result<()> {
        let mut ranks = Ranks::new(self.config.rank);
        let mut before = None;
        let mut next = 0;
        while let Some(row) = numbers.get(next).copied() {
            let mut weight = self.weight(row);
            next += 1;
            while let Some(equal) = numbers.get(next)
                && self.against.compare(row, *equal).is_eq()
            {
                weight = add_weights(weight, self.weight(*equal))?;
                next += 1;
            }
            if weight == 0 {
                continue;
            }
            if self.append_only {
                let copies = u64::try_from(weight).map_err(|_| {
                    Error::internal("a row was taken back from an append-only group top-k")
                })?;
                let is_peer = before.is_some_and(|before| self.against.are_peers(before, row));
                if ranks.next(copies, is_peer) > self.config.last {
                    return Ok(());
                }
                before = Some(row);
            }
            let found = match group {
                Some(group) => self.against.find(group, row)?,
                None => (Place::default(), None),
            };
            self.found.push(Arrival::new(row, weight, found));
        }
        Ok(())
    }

    fn weight(&self, row: u32) -> i64 {
        usize::try_from(row)
            .ok()
            .and_then(|row| self.piece.weights.get(row))
            .copied()
            .unwrap_or(0)
    }
}
