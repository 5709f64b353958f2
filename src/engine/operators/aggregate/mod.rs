//! Aggregate: a row a group with the results of aggregate functions.
//!
//! Law: `out = { (key, results of the group) : 1 | the group has rows }`, and without keys always exactly one row. State: the
//! keys, a row count and the functions' states a group: exact ones, or the group's rows where a function has to be run over them
//! anew. A step gives the old row of a group with -1 and the new one with
//! +1, for the groups whose row changed. A group whose result is out of range has no row; it is reported, and taken back once mended.

mod call;
mod closing;
mod keys;
mod output;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

pub use self::call::{AggregateCall, CallForm};
use self::call::{read_inside, sharing};
use self::closing::OpenGroups;
use self::keys::GroupTable;
use self::output::{Snapshot, Touched, changes};
use crate::base::{Error, Kind, ObjectId, Result};
use crate::engine::accumulate::{GroupStates, Groups, Rows, keep_at, make_room};
use crate::engine::evaluate::evaluate_rows;
use crate::engine::frontier::{Closing, as_numbers};
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::{Parts, ShardKey};
use crate::zset::canonical::canonical;
use crate::zset::{Delta, Weights};

/// What an [`Aggregate`] computes.
#[derive(Clone, Debug)]
pub struct AggregateConfig {
    /// The keys, over the input's columns. None: one row over everything.
    pub group: Vec<Arc<dyn PhysicalExpr>>,
    /// The function calls.
    pub calls: Vec<AggregateCall>,
    /// The output: the keys, then the calls' results.
    pub schema: SchemaRef,
}

/// A row a group.
#[derive(Debug)]
pub struct Aggregate {
    config: AggregateConfig,
    /// Everything that a batch is evaluated for: keys, then each call's arguments and filter.
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    /// Whether the input never takes a row back.
    append_only: bool,
    /// None until the first rows tell the types of the arguments, and for calls that share the states of another.
    states: Vec<Option<Box<dyn GroupStates>>>,
    /// For each call the one whose states it reads: as a rule itself.
    shared: Vec<usize>,
    /// For each call whether its states are asked for more than an end of the ordered values.
    inside: Vec<bool>,
    table: GroupTable,
    /// The total weight of each slot's rows.
    rows: Vec<i64>,
    /// The step that last touched a slot.
    touched: Vec<u64>,
    step: u64,
    /// Where a watermark closes groups.
    open: Option<OpenGroups>,
    /// Whether a group's row comes once the group is closed, and not before.
    holds: bool,
}

/// Rows that came in, evaluated, with the slot of each.
struct Piece {
    columns: Vec<ArrayRef>,
    delta: Delta,
    /// None without keys: everything is slot 0.
    slots: Option<Vec<usize>>,
}

impl Aggregate {
    /// # Errors
    /// When the schema does not have a column for every key and call, or a key cannot be grouped by.
    pub fn new(config: AggregateConfig) -> Result<Self> {
        let keys = config.group.len();
        if config.schema.fields().len() != keys + config.calls.len() {
            return Err(Error::internal(
                "an aggregate's schema does not have its columns",
            ));
        }
        let types: Vec<DataType> = config.schema.fields()[..keys]
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let mut expressions = config.group.clone();
        for call in &config.calls {
            expressions.extend(call.args.iter().chain(&call.filter).cloned());
        }
        let global = usize::from(keys == 0);
        let shared = sharing(&config.calls, false);
        Ok(Self {
            inside: read_inside(&config.calls, &shared),
            states: config.calls.iter().map(|_| None).collect(),
            append_only: false,
            shared,
            table: GroupTable::new(&types)?,
            rows: vec![0; global],
            touched: vec![0; global],
            step: 0,
            open: None,
            holds: false,
            expressions,
            config,
        })
    }

    /// As it is, but groups that are closed by `closing` leave no state behind. Their rows stay.
    #[must_use]
    pub fn with_closing(mut self, closing: Option<Closing>) -> Self {
        self.open = closing.map(OpenGroups::new);
        self
    }

    /// As it is, but a group's row comes once the group is closed: until then nothing is given, nor computed.
    #[must_use]
    pub fn holding(mut self) -> Self {
        self.holds = self.open.is_some();
        self
    }

    fn is_global(&self) -> bool {
        self.config.group.is_empty()
    }

    /// Finds or makes the slots of a delta's rows; notes which slots are touched.
    fn admit(
        &mut self,
        delta: &Delta,
        cx: &mut StepContext,
        dirty: &mut Vec<usize>,
    ) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        for evaluated in evaluate_rows(&self.expressions, delta, "aggregate", cx)? {
            let mut columns = evaluated.columns;
            let keys = self.config.group.len();
            for column in &mut columns[..keys] {
                *column = canonical(column)?;
            }
            let slots = if self.is_global() {
                None
            } else {
                let slots = self.table.admit(&columns[..keys], evaluated.delta.rows())?;
                make_room(&mut self.rows, self.table.slots());
                make_room(&mut self.touched, self.table.slots());
                self.rows.resize(self.table.slots(), 0);
                self.touched.resize(self.table.slots(), 0);
                let times = self.open.as_ref().map(|open| &columns[open.closing.key]);
                let times = times.map(as_numbers).transpose()?;
                for (row, slot) in slots.iter().enumerate() {
                    if self.touched[*slot] == self.step {
                        continue;
                    }
                    self.touched[*slot] = self.step;
                    dirty.push(*slot);
                    if let (Some(open), Some(times)) = (&mut self.open, &times) {
                        let times = times.as_primitive::<Int64Type>();
                        open.open(*slot, times.is_valid(row).then(|| times.value(row)));
                    }
                }
                Some(slots)
            };
            pieces.push(Piece {
                columns,
                delta: evaluated.delta,
                slots,
            });
        }
        Ok(pieces)
    }

    /// Adds a piece to the states.
    fn absorb(&mut self, piece: &Piece) -> Result<()> {
        let weights = match piece.delta.weights() {
            Weights::Ones => None,
            Weights::Each(weights) => Some(&weights.values()[..]),
        };
        let groups = piece.slots.as_deref().map_or(Groups::One, Groups::Each);
        let mut overflow = false;
        let rows = Rows {
            length: piece.delta.rows(),
            groups,
            weights,
            filter: None,
        };
        rows.visit(None, |_, slot, weight| {
            match self.rows[slot].checked_add(weight) {
                Some(total) => self.rows[slot] = total,
                None => overflow = true,
            }
        });
        if overflow {
            return Err(Error::new(
                Kind::Invalid,
                "22003",
                "a group has more rows than can be counted",
            ));
        }
        let mut at = self.config.group.len();
        for (place, (call, states)) in self.config.calls.iter().zip(&mut self.states).enumerate() {
            let args = &piece.columns[at..at + call.args.len()];
            at += call.args.len();
            let filter = call.filter.as_ref().map(|_| piece.columns[at].as_boolean());
            at += usize::from(filter.is_some());
            if self.shared[place] != place {
                continue;
            }
            let states = match states {
                Some(states) => states,
                None => states.insert(first_states(
                    call,
                    args,
                    self.inside[place],
                    self.append_only,
                )?),
            };
            states.grow(self.rows.len());
            states.update(args, &Rows { filter, ..rows })?;
        }
        Ok(())
    }

    /// Gives back the slots of groups that nothing is left of.
    fn release(&mut self, dirty: &[usize]) {
        if self.is_global() {
            return;
        }
        for slot in dirty {
            // a group can have no rows and a state that is not empty while deltas of one row arrive out of order
            let empty = self.rows[*slot] == 0
                && self
                    .states
                    .iter()
                    .flatten()
                    .all(|states| states.is_zero(*slot));
            if empty {
                self.forget(*slot);
                if let Some(open) = &mut self.open {
                    open.forget(*slot);
                }
            }
        }
        self.shrink();
    }

    /// Lets go of memory that more groups needed than there are.
    fn shrink(&mut self) {
        let Some(kept) = self.table.shrink() else {
            return;
        };
        keep_at(&mut self.rows, &kept);
        keep_at(&mut self.touched, &kept);
        for states in self.states.iter_mut().flatten() {
            // they grow when rows come
            states.grow(kept.last().map_or(0, |slot| slot + 1));
            states.keep(&kept);
        }
        if let Some(open) = &mut self.open {
            open.keep(&kept);
        }
    }

    /// Lets go of the groups that are closed now; where they were held back, gives their rows.
    fn close(&mut self, cx: &mut StepContext) -> Result<Deltas> {
        let Some(open) = &mut self.open else {
            return Ok(Deltas::new());
        };
        let closed = open.take_closed(&cx.watermarks);
        let mut output = Deltas::new();
        if self.holds && !closed.is_empty() {
            let rows = &self.rows;
            let old = self.snapshot(&closed, |_| false)?;
            let new = self.snapshot(&closed, |slot| rows[slot] > 0)?;
            output = changes(&self.touched(&closed), &old, &new, cx)?;
        }
        for slot in closed {
            self.rows[slot] = 0;
            self.forget(slot);
        }
        self.shrink();
        Ok(output)
    }

    fn forget(&mut self, slot: usize) {
        self.states
            .iter_mut()
            .flatten()
            .for_each(|states| states.reset(slot));
        self.table.release(slot);
    }

    fn touched<'a>(&'a self, slots: &'a [usize]) -> Touched<'a> {
        Touched {
            config: &self.config,
            table: &self.table,
            slots,
        }
    }

    fn snapshot(&self, slots: &[usize], present: impl Fn(usize) -> bool) -> Result<Snapshot> {
        let states = self
            .shared
            .iter()
            .map(|place| self.states[*place].as_deref());
        let states: Vec<_> = states.collect();
        Snapshot::take(&self.config, &states, slots, present)
    }
}

/// The states of a call for arguments of these types.
fn first_states(
    call: &AggregateCall,
    args: &[ArrayRef],
    inside: bool,
    append_only: bool,
) -> Result<Box<dyn GroupStates>> {
    let types: Vec<DataType> = args.iter().map(|array| array.data_type().clone()).collect();
    let mut states = call.states(&types, append_only)?;
    if inside {
        states.keep_sorted();
    }
    Ok(states)
}

impl Operator for Aggregate {
    fn name(&self) -> &'static str {
        "aggregate"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        self.append_only = inputs.iter().all(|append_only| *append_only);
        self.shared = sharing(&self.config.calls, self.append_only);
        self.inside = read_inside(&self.config.calls, &self.shared);
        // what is closed stays as it is
        self.holds
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        if self.is_global() {
            return None;
        }
        let key = |value: &Arc<dyn PhysicalExpr>| ShardKey {
            value: Arc::clone(value),
            data_type: None,
        };
        let keys = self.config.group.iter().map(key).collect();
        let closing = || self.open.as_ref().map(|open| open.closing.clone());
        let part = || {
            let mut part = Self::new(self.config.clone())?.with_closing(closing());
            part.holds = self.holds;
            Ok(part)
        };
        Parts::new(vec![keys], count, part).ok()
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let mut output = self.change(inputs, cx)?;
        output.extend(self.close(cx)?);
        Ok(output)
    }

    fn runs_without_input(&self) -> bool {
        self.open.is_some()
    }

    fn clocks(&self) -> Vec<ObjectId> {
        let open = self.open.as_ref();
        open.map_or_else(Vec::new, |open| open.closing.frontier.sources())
    }

    fn state_bytes(&self) -> usize {
        self.table.bytes()
            + (self.rows.capacity() + self.touched.capacity()) * 8
            + self.open.as_ref().map_or(0, OpenGroups::bytes)
            + self
                .states
                .iter()
                .flatten()
                .map(|states| states.bytes())
                .sum::<usize>()
    }

    fn state_rows(&self) -> usize {
        if self.is_global() {
            1
        } else {
            self.table.len()
        }
    }
}

impl Aggregate {
    /// Takes the input in, and gives what it changes.
    fn change(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let first = self.step == 0;
        self.step += 1;
        let mut dirty = if self.is_global() {
            vec![0]
        } else {
            Vec::new()
        };
        let mut pieces = Vec::new();
        for delta in input(inputs, 0, self.name())? {
            pieces.extend(self.admit(delta, cx, &mut dirty)?);
        }
        if dirty.is_empty() || (pieces.is_empty() && !first) {
            return Ok(Deltas::new());
        }
        if self.holds {
            for piece in &pieces {
                self.absorb(piece)?;
            }
            self.release(&dirty);
            return Ok(Deltas::new());
        }
        let global = self.is_global();
        let rows = &self.rows;
        let old = self.snapshot(&dirty, |slot| if global { !first } else { rows[slot] > 0 })?;
        for piece in &pieces {
            self.absorb(piece)?;
        }
        let rows = &self.rows;
        let new = self.snapshot(&dirty, |slot| global || rows[slot] > 0)?;
        let output = changes(&self.touched(&dirty), &old, &new, cx)?;
        self.release(&dirty);
        Ok(output)
    }
}
