//! The group top-k itself: takes rows in, and says whose ranks that changes.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array};

use super::arrivals::Arrivals;
use super::config::{GroupTopKConfig, Numbering, RankColumn};
use super::ranks::Ranks;
use crate::base::{ObjectId, Result};
use crate::engine::Parts;
use crate::engine::frontier::Closing;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::sweep::Sweep;
use crate::state::{Arrival, Peers, Run, Sorted};
use crate::zset::consolidate::add_weights;
use crate::zset::{Delta, batch_of, gather};

/// The most rows of a delta that goes out.
const PIECE_ROWS: usize = 1 << 16;

/// The first rows of every group.
#[derive(Debug)]
pub struct GroupTopK {
    config: GroupTopKConfig,
    rows: Sorted,
    /// Whether the input never takes a row back: what is out stays out, and is not kept.
    append_only: bool,
    sweep: Option<Sweep>,
}

/// Copies of a row, by its slot, that come or go with the rank to show.
#[derive(Clone, Copy, Debug)]
struct Moved {
    slot: u32,
    rank: u64,
    copies: i64,
}

/// Where a walk over a group begins to tell, and how much a copy counts.
#[derive(Clone, Copy)]
struct Walk {
    from: usize,
    sign: i64,
}

impl GroupTopK {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column of the group or the order is not there.
    pub fn new(config: GroupTopKConfig) -> Result<Self> {
        Ok(Self {
            rows: Sorted::new(&config.input, &config.group, &config.order)?,
            config,
            append_only: false,
            sweep: None,
        })
    }

    /// As it is, but groups that are closed are let go of. What they gave stays.
    #[must_use]
    pub fn with_closing(mut self, closing: Option<Closing>) -> Self {
        self.sweep = closing.map(|closing| Sweep::new(closing.key, closing.frontier));
        self
    }

    /// Applies the changes of one group, which are in order.
    fn change_group(
        &mut self,
        run: &Run,
        arrivals: &[Arrival],
        peers: &mut Peers,
        moved: &mut Vec<Moved>,
    ) -> Result<()> {
        let Some(first) = arrivals.first() else {
            return Ok(());
        };
        let start = moved.len();
        // The rows before the first change keep their ranks.
        let from = run
            .group
            .map_or(0, |group| self.rows.before(group, first.place));
        let mut unseen = false;
        if let Some(group) = run.group {
            let out = self.walk(group, Walk { from, sign: -1 }, peers, moved)?;
            // A new row right before the first one that is out may share the last rank that is in.
            let shares = self.config.rank != Numbering::RowNumber && first.found.is_none();
            unseen = out.is_some_and(|out| from > out || (from == out && !shares));
        }
        let group = self.rows.change(run, arrivals)?;
        if !unseen {
            let out = self.walk(group, Walk { from, sign: 1 }, peers, moved)?;
            if self.append_only
                && let Some(out) = out
            {
                self.rows.truncate(group, out);
            }
            net(moved, start)?;
        }
        self.rows.close(group);
        Ok(())
    }

    /// Tells the rows of a group that are in, with the rank to show. Comes back with the number of the first row behind
    /// them that is out.
    fn walk(
        &self,
        group: u32,
        walk: Walk,
        peers: &mut Peers,
        moved: &mut Vec<Moved>,
    ) -> Result<Option<usize>> {
        let GroupTopKConfig { first, last, .. } = self.config;
        let kept = self.config.column == RankColumn::Kept;
        let mut ranks = Ranks::new(self.config.rank);
        let mut before: Option<u32> = None;
        for (place, (slot, weight)) in self.rows.of_group(group).enumerate() {
            if weight <= 0 {
                continue;
            }
            let single = self.config.rank == Numbering::RowNumber;
            let is_peer = match before {
                Some(before) if !single => peers.are_peers(&self.rows, before, slot)?,
                _ => false,
            };
            before = Some(slot);
            let rank = ranks.next(weight.unsigned_abs(), is_peer);
            if rank > last {
                return Ok(Some(place));
            }
            if place < walk.from {
                continue;
            }
            let mut tell = |rank: u64, copies: i64| {
                let rank = if kept { rank } else { 0 };
                let copies = copies * walk.sign;
                moved.push(Moved { slot, rank, copies });
            };
            if !single {
                if rank >= first {
                    tell(rank, weight);
                }
                continue;
            }
            let (from, to) = (rank.max(first), ranks.seen().min(last));
            if kept {
                (from..=to).for_each(|number| tell(number, 1));
            } else if from <= to {
                // At most the row's copies, so it fits.
                tell(0, i64::try_from(to - from + 1).unwrap_or(weight));
            }
        }
        Ok(None)
    }

    fn output(&self, moved: &[Moved]) -> Result<Deltas> {
        let ranked = self.config.column != RankColumn::Absent;
        let width = self.config.schema.fields().len() - usize::from(ranked);
        let mut deltas = Deltas::new();
        for moved in moved.chunks(PIECE_ROWS) {
            let slots: Vec<u32> = moved.iter().map(|moved| moved.slot).collect();
            let mut columns = self.rows.gather(&slots, width)?;
            if ranked {
                let ranks = moved.iter().map(|moved| i64::try_from(moved.rank).ok());
                columns.push(Arc::new(ranks.collect::<Int64Array>()) as ArrayRef);
            }
            let batch = batch_of(&self.config.schema, columns, moved.len())?;
            if moved.iter().all(|moved| moved.copies == 1) {
                deltas.push(Delta::inserts(batch));
                continue;
            }
            let weights: Int64Array = moved.iter().map(|moved| Some(moved.copies)).collect();
            deltas.push(Delta::new(batch, weights)?);
        }
        Ok(deltas)
    }
}

impl Operator for GroupTopK {
    fn name(&self) -> &'static str {
        if self.config.group.is_empty() {
            "top_k"
        } else {
            "group_top_k"
        }
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        self.append_only = inputs.iter().all(|append_only| *append_only);
        false
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let columns = self.config.group.iter().copied();
        let part = || {
            let mut part = Self::new(self.config.clone())?;
            part.sweep.clone_from(&self.sweep);
            Ok(part)
        };
        Parts::by_columns(&self.config.input, columns, count, part)
    }

    fn clocks(&self) -> Vec<ObjectId> {
        self.sweep.as_ref().map_or_else(Vec::new, Sweep::sources)
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let pieces = gather(input(inputs, 0, "group_top_k")?)?;
        let mut moved = Vec::new();
        let mut peers = Peers::default();
        let mut rows = 0;
        for piece in &pieces {
            let (mut arrivals, runs) = Arrivals::of(
                &self.config,
                &self.rows,
                self.append_only,
                piece,
                &mut peers,
            )?;
            self.rows.admit(&piece.batch, &mut arrivals)?;
            for run in &runs {
                let arrivals = &arrivals[run.rows.clone()];
                self.change_group(run, arrivals, &mut peers, &mut moved)?;
            }
            rows += piece.rows();
        }
        if pieces.len() > 1 {
            net(&mut moved, 0)?;
        }
        let output = self.output(&moved)?;
        self.rows.settle(rows)?;
        if let Some(sweep) = &mut self.sweep
            && let Some(bound) = sweep.due(self.rows.len(), &cx.watermarks)
        {
            self.rows.forget_groups_below(sweep.column, bound)?;
            sweep.done(self.rows.len());
        }
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn state_rows(&self) -> usize {
        self.rows.len()
    }
}

/// Adds up what was told of the same row and rank, from `start` on.
fn net(moved: &mut Vec<Moved>, start: usize) -> Result<()> {
    let part = &mut moved[start..];
    part.sort_unstable_by_key(|moved| (moved.slot, moved.rank));
    let mut kept = start;
    let mut next = start;
    while next < moved.len() {
        let mut sum = moved[next];
        next += 1;
        while let Some(more) = moved.get(next)
            && (more.slot, more.rank) == (sum.slot, sum.rank)
        {
            sum.copies = add_weights(sum.copies, more.copies)?;
            next += 1;
        }
        if sum.copies != 0 {
            moved[kept] = sum;
            kept += 1;
        }
    }
    moved.truncate(kept);
    Ok(())
}
