//! An inner join one side of which waits: beside a table that is much smaller, rows are kept as they came and are found
//! by no key until that table changes.
//!
//! Law: that of the inner join. An index of a side serves the changes of the other one alone. Small tables change rarely,
//! and the rows of a first load are mostly those of a table, whose columns they share: to keep them as they are costs
//! next to nothing, where to index them costs more than all else about a load. What comes later goes into the index, also
//! what takes waiting rows back; the waiting rows follow with the first change of the other side, or once so many came
//! that they had better meet.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayData};

use super::config::{JoinConfig, JoinKind};
use super::kernel::Join;
use crate::base::{ObjectId, Result};
use crate::engine::operator::{Deltas, Operator, StepContext};
use crate::engine::parallel::rows_of;
use crate::engine::shards::in_parts;
use crate::zset::{Delta, Merged, gather};

/// A side waits when it has this many times the rows of the largest table below the other one.
const MUCH: usize = if cfg!(test) { 1 } else { 16 };
/// It is not worth while for fewer rows than that.
const FEW: usize = if cfg!(test) { 0 } else { 1 << 12 };
/// Once this part of the rows that wait, as 1/n, has come anew, they wait no longer.
const CHANGED: usize = 4;
/// Deltas with fewer rows than that are put together to wait.
const SMALL: usize = 1 << 12;
/// How many rows go into the index at a time.
const INDEXED: usize = 1 << 20;

/// An inner join, of which one side may wait.
pub struct WaitingJoin {
    config: JoinConfig,
    /// The join of everything that does not wait, whole or in parts.
    join: Box<dyn Operator>,
    /// Whether a side may wait at all.
    may_wait: bool,
    started: bool,
    waiting: Option<Waiting>,
    /// Whether the last step put the waiting rows into the index.
    indexed: bool,
}

/// Rows that are in no index.
#[derive(Debug)]
struct Waiting {
    /// Whose rows: 0 is left.
    side: usize,
    deltas: Deltas,
    rows: usize,
    /// How many rows came since.
    since: usize,
}

impl WaitingJoin {
    /// Whether a join may be one of these.
    pub fn fits(config: &JoinConfig) -> bool {
        config.kind == JoinKind::Inner && !config.on.is_empty()
    }

    /// A join with empty state, of a config that [`WaitingJoin::fits`].
    pub fn new(config: JoinConfig) -> Self {
        Self {
            join: Box::new(Join::new(config.clone())),
            may_wait: Self::fits(&config),
            config,
            started: false,
            waiting: None,
            indexed: false,
        }
    }

    /// The side that is to wait, in a first load.
    fn choose(&self, inputs: &[Deltas], cx: &StepContext) -> Option<usize> {
        if !self.may_wait || !cx.bulk {
            return None;
        }
        let ([left, right], [left_base, right_base]) = (inputs, cx.bases.as_slice()) else {
            return None;
        };
        // an empty table is going to be filled
        let waits = |deltas: &Deltas, base: usize| {
            let rows = rows_of(deltas);
            rows > FEW && base > 0 && base <= rows / MUCH
        };
        if waits(left, *right_base) {
            return Some(0);
        }
        waits(right, *left_base).then_some(1)
    }

    /// The first load: `side` meets the other one and is kept as it is.
    fn begin(&mut self, side: usize, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let mut meeting = Join::new(self.config.clone());
        meeting.learn_fixed(&[side == 1, side == 0]);
        let output = meeting.step(inputs, cx)?;
        drop(meeting);
        let mut others = inputs.to_vec();
        let deltas = std::mem::take(&mut others[side]);
        // what fails was told already
        self.join.step(&others, &mut cx.fork())?;
        let rows = rows_of(&deltas);
        let deltas = if rows / deltas.len().max(1) < SMALL {
            let pieces = gather(&deltas)?;
            pieces.iter().map(Merged::to_delta).collect::<Result<_>>()?
        } else {
            deltas
        };
        self.waiting = Some(Waiting {
            side,
            deltas,
            rows,
            since: 0,
        });
        Ok(output)
    }

    /// Indexes the rows that wait. They met the other side before.
    fn index(&mut self, waiting: Waiting, cx: &StepContext) -> Result<()> {
        let mut quiet = cx.fork();
        quiet.unwanted = true;
        let mut deltas = Deltas::new();
        let mut waiting_deltas = waiting.deltas.into_iter().peekable();
        while let Some(delta) = waiting_deltas.next() {
            deltas.push(delta);
            if rows_of(&deltas) >= INDEXED || waiting_deltas.peek().is_none() {
                let mut inputs = vec![Deltas::new(), Deltas::new()];
                inputs[waiting.side] = std::mem::take(&mut deltas);
                self.join.step(&inputs, &mut quiet)?;
                // what fails was told when the rows came
                quiet.errors.clear();
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for WaitingJoin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WaitingJoin")
            .field("config", &self.config)
            .field("waiting", &self.waiting)
            .finish_non_exhaustive()
    }
}

impl Operator for WaitingJoin {
    fn name(&self) -> &'static str {
        self.join.name()
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        self.join.learn_append_only(inputs)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        // beside a fixed side nothing is kept
        self.may_wait &= !inputs.contains(&true);
        self.join.learn_fixed(inputs)
    }

    fn split_within(&mut self, count: usize) {
        let whole: Box<dyn Operator> = Box::new(Join::new(self.config.clone()));
        self.join = in_parts(whole, count);
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let first = !std::mem::replace(&mut self.started, true);
        self.indexed = false;
        if first && let Some(side) = self.choose(inputs, cx) {
            return self.begin(side, inputs, cx);
        }
        if let Some(waiting) = &mut self.waiting {
            let other_moves = inputs
                .get(1 - waiting.side)
                .is_some_and(|deltas| rows_of(deltas) > 0);
            waiting.since += inputs.get(waiting.side).map_or(0, |deltas| rows_of(deltas));
            if (other_moves || waiting.since > waiting.rows / CHANGED)
                && let Some(waiting) = self.waiting.take()
            {
                self.index(waiting, cx)?;
                self.indexed = true;
            }
        }
        self.join.step(inputs, cx)
    }

    fn clocks(&self) -> Vec<ObjectId> {
        self.join.clocks()
    }

    fn moved_state(&self) -> bool {
        self.indexed
    }

    fn state_bytes(&self) -> usize {
        let waiting = self.waiting.as_ref();
        self.join.state_bytes() + waiting.map_or(0, |waiting| own_bytes(&waiting.deltas))
    }

    /// Of the indexes.
    fn state_rows(&self) -> usize {
        self.join.state_rows()
    }
}

/// A buffer, as all columns see it.
#[derive(Default)]
struct Seen {
    bytes: usize,
    /// Columns here that hold it.
    here: usize,
    /// All that hold it.
    holders: usize,
}

/// The memory that would be free if `deltas` went: that of buffers which nobody else holds.
fn own_bytes(deltas: &[Delta]) -> usize {
    let mut buffers: HashMap<*const u8, Seen> = HashMap::new();
    let columns = deltas.iter().flat_map(|delta| delta.batch().columns());
    // a column that is held as it is elsewhere shares all its buffers
    for column in columns.filter(|column| Arc::strong_count(column) == 1) {
        look_at(&column.to_data(), &mut buffers);
    }
    let own = buffers.values().filter(|seen| seen.holders <= seen.here);
    own.map(|seen| seen.bytes).sum()
}

fn look_at(data: &ArrayData, buffers: &mut HashMap<*const u8, Seen>) {
    for buffer in data.buffers() {
        let seen = buffers
            .entry(buffer.data_ptr().as_ptr().cast_const())
            .or_default();
        seen.bytes = buffer.capacity();
        seen.here += 1;
        // `data` holds it too
        seen.holders = buffer.strong_count().saturating_sub(1);
    }
    for child in data.child_data() {
        look_at(child, buffers);
    }
}
