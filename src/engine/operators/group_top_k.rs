//! Group top-k: in every group, the rows whose rank by an order lies between two bounds.
//!
//! Law: `out = { (r, rank(r)) | first <= rank(r) <= last }`, with row_number, rank or dense_rank within the group; a
//! row of weight w stands w times. Beyond the keys all other columns order the rows, so that
//! row_number leaves nothing open. State: every row, by group and order; of an input that never takes a row back those that are in,
//! and the first behind them.
//!
//! A step looks at the first rows of the groups it touches, before and after; a group all of whose changes lie behind its
//! last rank is only looked at once, and the rest of the state not at all.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, UInt64Array};
use arrow::datatypes::SchemaRef;

use crate::base::{Error, ObjectId, Result};
use crate::engine::frontier::Closing;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::{Parts, ShardKey};
use crate::engine::sweep::Sweep;
use crate::state::{OrderKey, Ordered, OrderedRows};
use crate::zset::consolidate::add_weights;
use crate::zset::{Delta, batch_of, merge};

/// How the copies of rows with a rank change.
type Moved = BTreeMap<(Box<[u8]>, u64), i64>;

/// Takes a row, the rank to show and a number of copies.
type Emit<'a> = &'a mut dyn FnMut(&[u8], u64, i64) -> Result<()>;

/// What counts the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Every copy has a number of its own.
    RowNumber,
    /// Equal rows of the order share the number of the first of them.
    Rank,
    /// As `Rank`, without gaps.
    DenseRank,
}

/// Whether the output has the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankColumn {
    /// There is no such column.
    Absent,
    /// There is one, but nobody reads it: it holds 0, so that a row that only changes its rank does not move.
    Unread,
    /// It is the last column.
    Kept,
}

/// What a [`GroupTopK`] computes.
#[derive(Clone, Debug)]
pub struct GroupTopKConfig {
    /// The columns of the input, all of which have an order.
    pub input: SchemaRef,
    /// The columns of the group.
    pub group: Vec<usize>,
    /// The order within it.
    pub order: Vec<OrderKey>,
    /// What counts.
    pub rank: Numbering,
    /// The least rank that is in, from 1.
    pub first: u64,
    /// The largest rank that is in.
    pub last: u64,
    /// The output's rank.
    pub column: RankColumn,
    /// The output: the first columns of the input and, unless absent, the rank as 64-bit unsigned.
    pub schema: SchemaRef,
}

/// The first rows of every group.
#[derive(Debug)]
pub struct GroupTopK {
    config: GroupTopKConfig,
    rows: Ordered,
    /// Whether the input never takes a row back: what is out stays out, and of it the first row of each group is kept.
    append_only: bool,
    /// Where a watermark closes groups.
    sweep: Option<Sweep>,
}

impl GroupTopK {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(config: GroupTopKConfig) -> Result<Self> {
        Ok(Self {
            rows: Ordered::new(&config.input, &config.group, &config.order)?,
            config,
            append_only: false,
            sweep: None,
        })
    }

    /// As it is, but the rows of groups that are closed are let go of. The key is a column of the group.
    #[must_use]
    pub fn with_closing(mut self, closing: Option<Closing>) -> Self {
        self.sweep = closing.map(|closing| Sweep::new(closing.key, closing.frontier));
        self
    }

    /// Applies the changes of one group. `run` names its rows, in order, with the weights to add.
    fn change_group(
        &mut self,
        keys: &OrderedRows,
        run: &[(usize, i64)],
        moved: &mut Moved,
    ) -> Result<()> {
        let Some((first, _)) = run.first() else {
            return Ok(());
        };
        let group = keys.group(*first);
        let out = self.walk(group, &mut |_, _, _| Ok(()))?;
        // A change behind the first row that is out leaves every rank before it as it is.
        let unseen = out.is_some_and(|out| keys.key(*first) >= out);
        if unseen && self.append_only {
            return Ok(());
        }
        let run = if self.append_only {
            let behind = |(row, _): &(usize, i64)| out.is_some_and(|out| keys.key(*row) > out);
            let near = run.iter().take_while(|row| !behind(row)).count();
            &run[..near.min(self.enough(run)?)]
        } else {
            run
        };
        if !unseen {
            self.walk(group, &mut |key, rank, copies| {
                count(moved, key, rank, -copies)
            })?;
        }
        for (row, weight) in run {
            self.rows.add(keys, *row, *weight)?;
        }
        if unseen {
            return Ok(());
        }
        let out = self.walk(group, &mut |key, rank, copies| {
            count(moved, key, rank, copies)
        })?;
        if self.append_only
            && let Some(out) = out.map(Box::<[u8]>::from)
        {
            self.rows.forget_behind(&out, group);
        }
        Ok(())
    }

    /// How many of the rows of a run can matter where none is ever taken back: those that can be in, and one that is out.
    fn enough(&self, run: &[(usize, i64)]) -> Result<usize> {
        let mut copies: u64 = 0;
        for (place, (_, weight)) in run.iter().enumerate() {
            let weight = u64::try_from(*weight).map_err(|_| {
                Error::internal("a row was taken back from an append-only group top-k")
            })?;
            // Equal rows of the order share a rank, so that how many can be in is open.
            if self.config.rank == Numbering::RowNumber && copies >= self.config.last {
                return Ok(place + 1);
            }
            copies = copies.saturating_add(weight);
        }
        Ok(run.len())
    }

    /// Gives the rows of a group that are in, with the rank to show and a number of copies. Comes back with the first
    /// row behind them that is out.
    fn walk<'a>(&'a self, group: &'a [u8], emit: Emit<'_>) -> Result<Option<&'a [u8]>> {
        let GroupTopKConfig { first, last, .. } = self.config;
        let shown = |rank| match self.config.column {
            RankColumn::Kept => rank,
            RankColumn::Unread | RankColumn::Absent => 0,
        };
        let mut seen: u64 = 0;
        let mut rank: u64 = 0;
        let mut peers: Option<&[u8]> = None;
        for row in self.rows.of_group(group) {
            let copies = row.copies.unsigned_abs();
            let new = peers != Some(row.peers);
            peers = Some(row.peers);
            rank = match self.config.rank {
                Numbering::RowNumber => seen.saturating_add(1),
                Numbering::Rank if new => seen.saturating_add(1),
                Numbering::DenseRank if new => rank.saturating_add(1),
                Numbering::Rank | Numbering::DenseRank => rank,
            };
            seen = seen.saturating_add(copies);
            if rank > last {
                return Ok(Some(row.key));
            }
            if self.config.rank != Numbering::RowNumber {
                if rank >= first {
                    emit(row.key, shown(rank), row.copies)?;
                }
                continue;
            }
            let (from, to) = (rank.max(first), seen.min(last));
            if self.config.column == RankColumn::Kept {
                for number in from..=to {
                    emit(row.key, number, 1)?;
                }
            } else if from <= to {
                // At most the row's copies, so it fits.
                let within = i64::try_from(to - from + 1).unwrap_or(row.copies);
                emit(row.key, 0, within)?;
            }
        }
        Ok(None)
    }

    fn output(&self, moved: &Moved) -> Result<Deltas> {
        if moved.is_empty() {
            return Ok(Deltas::new());
        }
        let ranked = self.config.column != RankColumn::Absent;
        let width = self.config.schema.fields().len() - usize::from(ranked);
        let mut columns = self.rows.decode(moved.keys().map(|(key, _)| &**key))?;
        columns.truncate(width);
        if ranked {
            let ranks: UInt64Array = moved.keys().map(|(_, rank)| *rank).collect();
            columns.push(Arc::new(ranks) as ArrayRef);
        }
        let batch = batch_of(&self.config.schema, columns, moved.len())?;
        let weights: Int64Array = moved.values().copied().collect();
        Ok(vec![Delta::new(batch, weights)?])
    }
}

impl Operator for GroupTopK {
    fn name(&self) -> &'static str {
        "group_top_k"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        self.append_only = inputs.iter().all(|append_only| *append_only);
        false
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let keys = ShardKey::columns(&self.config.input, self.config.group.iter().copied());
        if keys.is_empty() {
            return None;
        }
        let part = || {
            let mut part = Self::new(self.config.clone())?;
            part.sweep.clone_from(&self.sweep);
            Ok(part)
        };
        Parts::new(vec![keys], count, part).ok()
    }

    fn clocks(&self) -> Vec<ObjectId> {
        self.sweep.as_ref().map_or_else(Vec::new, Sweep::sources)
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let mut moved = Moved::new();
        for piece in merge(input(inputs, 0, "group_top_k")?)? {
            let keys = self.rows.encode(&piece.batch)?;
            let mut rows: Vec<(usize, i64)> = piece.weights.iter().copied().enumerate().collect();
            rows.sort_unstable_by(|(left, _), (right, _)| keys.key(*left).cmp(keys.key(*right)));
            for run in
                rows.chunk_by(|(left, _), (right, _)| keys.group(*left) == keys.group(*right))
            {
                self.change_group(&keys, run, &mut moved)?;
            }
        }
        let output = self.output(&moved)?;
        if let Some(sweep) = &mut self.sweep
            && let Some(bound) = sweep.due(self.rows.len(), &cx.watermarks)
        {
            self.rows.forget_below(sweep.column, bound)?;
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

fn count(moved: &mut Moved, key: &[u8], rank: u64, copies: i64) -> Result<()> {
    let key = (Box::from(key), rank);
    let sum = add_weights(moved.get(&key).copied().unwrap_or(0), copies)?;
    if sum == 0 {
        moved.remove(&key);
    } else {
        moved.insert(key, sum);
    }
    Ok(())
}
