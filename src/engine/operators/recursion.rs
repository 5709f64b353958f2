//! Recursion: rows that a term makes of its own output, round after round (WITH RECURSIVE).
//!
//! Law: `w(0) = start`, `w(i) = term(w(i-1), inputs)`, `out = w(0) + w(1) + ..` up to the first empty round. A distinct
//! recursion has every row once, in the first round that makes it. State: that of the term's operators over the
//! rows of all rounds; and of a distinct recursion all rows made, with their rounds.
//!
//! One graph computes the term for all rounds: its rows carry their round in the last column, and the lowering
//! has seen to it that no operator of the term mixes rounds. A step hands changes on round by round, the lowest
//! first; what enters a round is then final, since only rounds below could still change it. So a row goes with its
//! last cause even if it lies on a cycle that leads to itself, and a step costs what changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use super::group_top_k::{GroupTopK, GroupTopKConfig, Numbering, RankColumn};
use crate::base::{Error, Kind, ObjectId, Result};
use crate::engine::budget::Budget;
use crate::engine::dataflow::Dataflow;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::OrderKey;
use crate::zset::consolidate::take_rows;
use crate::zset::{Delta, Weights, batch_of, net, own_bytes};

/// The name of the column that holds a row's round.
pub const ROUND: &str = "__lotic_round";

/// A recursion that goes on for more rounds is taken for one that never ends.
pub const MAX_ROUNDS: u32 = 100_000;

/// What a [`Recursion`] computes.
#[derive(Debug)]
pub struct RecursionConfig {
    /// The columns of the start, the term and the output.
    pub schema: SchemaRef,
    /// Whether every row comes once.
    pub distinct: bool,
    /// Computes the next round of the rows of [`Recursion::ROWS`]: both carry the round of the *former* in the last
    /// column (see [`Recursion::with_round`]). It gives nothing for no rows.
    pub term: Dataflow,
    /// How many other inputs the term reads, as [`Recursion::input`] names them.
    pub inputs: usize,
    /// The last round that may have rows, as a rule [`MAX_ROUNDS`].
    pub max_rounds: u32,
}

/// A recursive query. Its first input is the start, then follow those that the term reads.
#[derive(Debug)]
pub struct Recursion {
    schema: SchemaRef,
    with_round: SchemaRef,
    term: Dataflow,
    inputs: usize,
    max_rounds: u32,
    /// Of a distinct recursion: every row in its first round.
    first: Option<GroupTopK>,
    started: bool,
}

impl Recursion {
    /// The object that stands in the term for the rows of the round before.
    pub const ROWS: ObjectId = ObjectId(0);

    /// A recursion without rows.
    ///
    /// # Errors
    /// When a distinct recursion has a column whose type has no order.
    pub fn new(config: RecursionConfig) -> Result<Self> {
        let first = if config.distinct {
            Some(first_rounds(&config.schema)?)
        } else {
            None
        };
        Ok(Self {
            with_round: Self::with_round(&config.schema),
            schema: config.schema,
            term: config.term,
            inputs: config.inputs,
            max_rounds: config.max_rounds,
            first,
            started: false,
        })
    }

    /// The object that stands in the term for its input `index`, counted from 0.
    pub fn input(index: usize) -> ObjectId {
        ObjectId(u64::try_from(index).map_or(u64::MAX, |index| index.saturating_add(1)))
    }

    /// `schema` and the round behind it.
    pub fn with_round(schema: &SchemaRef) -> SchemaRef {
        let round = Arc::new(Field::new(ROUND, DataType::Int64, false));
        let fields = schema.fields().iter().cloned().chain([round]);
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// Whether a recursion over rows of `schema` can be distinct.
    pub fn can_be_distinct(schema: &SchemaRef) -> bool {
        first_rounds(schema).is_ok()
    }

    /// One step; `cx` is the term's.
    fn rounds(
        &mut self,
        inputs: &[Deltas],
        outer: Option<&Budget>,
        cx: &mut StepContext,
    ) -> Result<Deltas> {
        let mut output = Deltas::new();
        let mut waiting = Waiting::default();
        for delta in input(inputs, 0, "recursion")? {
            waiting.made(0, self.in_round(delta, 0)?);
        }
        let fixed = self.fixed(inputs);
        if !self.started || fixed.values().any(|deltas| !deltas.is_empty()) {
            self.started = true;
            self.next_rounds(&fixed, &mut waiting, cx)?;
        }
        while let Some(round) = waiting.lowest() {
            if round > i64::from(self.max_rounds) {
                return Err(endless(self.max_rounds));
            }
            let entering = self.entering(round, &mut waiting, cx)?;
            for delta in &entering {
                let columns = delta.batch().columns();
                let columns = columns[..columns.len() - 1].to_vec();
                let batch = batch_of(&self.schema, columns, delta.rows())?;
                if let Some(budget) = outer {
                    budget.charge(own_bytes(&batch))?;
                }
                output.push(delta.with_batch(batch)?);
            }
            if !entering.is_empty() {
                let rows = BTreeMap::from([(Self::ROWS, entering)]);
                self.next_rounds(&rows, &mut waiting, cx)?;
            }
        }
        Ok(output)
    }

    /// How the rows of `round` change, everything made for it considered.
    fn entering(
        &mut self,
        round: i64,
        waiting: &mut Waiting,
        cx: &mut StepContext,
    ) -> Result<Deltas> {
        let made = net(&waiting.made.remove(&round).unwrap_or_default())?;
        let Some(first) = &mut self.first else {
            return Ok(made);
        };
        // A row that gains or loses its first round here is also taken from, or given to, a later one.
        for delta in first.step(&[made], cx)? {
            for (of, part) in by_round(delta)? {
                waiting.entering.entry(of).or_default().push(part);
            }
        }
        net(&waiting.entering.remove(&round).unwrap_or_default())
    }

    /// Steps the term, and keeps what it makes for the rounds behind those of its rows.
    fn next_rounds(
        &mut self,
        changed: &BTreeMap<ObjectId, Deltas>,
        waiting: &mut Waiting,
        cx: &mut StepContext,
    ) -> Result<()> {
        for delta in self.term.step(changed, cx)? {
            for (of, part) in by_round(delta)? {
                let bare = part.batch().columns();
                let bare = part.with_batch(batch_of(
                    &self.schema,
                    bare[..bare.len() - 1].to_vec(),
                    part.rows(),
                )?)?;
                waiting.made(of + 1, self.in_round(&bare, of + 1)?);
            }
        }
        Ok(())
    }

    fn fixed(&self, inputs: &[Deltas]) -> BTreeMap<ObjectId, Deltas> {
        let fixed = inputs.iter().skip(1).take(self.inputs).cloned();
        fixed
            .enumerate()
            .map(|(index, deltas)| (Self::input(index), deltas))
            .collect()
    }

    /// `delta` with the round `round`.
    fn in_round(&self, delta: &Delta, round: i64) -> Result<Delta> {
        let mut columns = delta.batch().columns().to_vec();
        columns.push(Arc::new(Int64Array::from_value(round, delta.rows())) as ArrayRef);
        delta.with_batch(batch_of(&self.with_round, columns, delta.rows())?)
    }

    /// What the state took when the operators of the term measured it last.
    fn measured_bytes(&self) -> usize {
        let figures = self.term.figures();
        let term: usize = figures.iter().map(|node| node.state_bytes).sum();
        term + self.first.as_ref().map_or(0, Operator::state_bytes)
    }
}

impl Operator for Recursion {
    fn name(&self) -> &'static str {
        "recursion"
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        // The graph around counts the state as it was before the step; the term counts it as it grows.
        let budget = cx.budget.clone();
        let within = budget
            .clone()
            .map(|budget| Arc::new(Budget::within(budget, self.measured_bytes())));
        let mut term = StepContext {
            errors: std::mem::take(&mut cx.errors),
            // The rounds of a first load come one after the other.
            bulk: false,
            bases: Vec::new(),
            unwanted: false,
            now_us: cx.now_us,
            watermarks: Arc::clone(&cx.watermarks),
            clock: cx.clock.clone(),
            budget: within,
            // The graph around counts this operator as one of its own.
            progress: None,
        };
        let output = self.rounds(inputs, budget.as_deref(), &mut term);
        cx.errors = term.errors;
        output
    }

    fn state_bytes(&self) -> usize {
        self.term.state_bytes() + self.first.as_ref().map_or(0, Operator::state_bytes)
    }

    fn state_rows(&self) -> usize {
        self.term.state_rows() + self.first.as_ref().map_or(0, Operator::state_rows)
    }
}

/// Changes that wait for the turn of their round.
#[derive(Default)]
struct Waiting {
    /// Made by the term, by the round they are for.
    made: BTreeMap<i64, Deltas>,
    /// Of a distinct recursion: what changes in a round because an earlier one gained or lost the row.
    entering: BTreeMap<i64, Deltas>,
}

impl Waiting {
    fn made(&mut self, round: i64, delta: Delta) {
        self.made.entry(round).or_default().push(delta);
    }

    fn lowest(&self) -> Option<i64> {
        let made = self.made.keys().next();
        let entering = self.entering.keys().next();
        made.into_iter().chain(entering).min().copied()
    }
}

/// Every row in the least round that has it, once.
fn first_rounds(schema: &SchemaRef) -> Result<GroupTopK> {
    let with_round = Recursion::with_round(schema);
    let width = schema.fields().len();
    GroupTopK::new(GroupTopKConfig {
        input: Arc::clone(&with_round),
        group: (0..width).collect(),
        order: vec![OrderKey {
            column: width,
            options: SortOptions::new(false, false),
        }],
        rank: Numbering::RowNumber,
        first: 1,
        last: 1,
        column: RankColumn::Absent,
        schema: with_round,
    })
}

/// The rows of `delta` by the round in their last column.
fn by_round(delta: Delta) -> Result<Vec<(i64, Delta)>> {
    let last = delta.batch().columns().last();
    let rounds = last
        .and_then(|column| column.as_primitive_opt::<Int64Type>())
        .filter(|rounds| rounds.null_count() == 0)
        .ok_or_else(|| Error::internal("a row of a recursion has no round"))?
        .values()
        .clone();
    let Some(first) = rounds.first() else {
        return Ok(Vec::new());
    };
    if rounds.iter().all(|round| round == first) {
        return Ok(vec![(*first, delta)]);
    }
    let mut rows: BTreeMap<i64, Vec<u32>> = BTreeMap::new();
    for (row, round) in (0u32..).zip(rounds.iter()) {
        rows.entry(*round).or_default().push(row);
    }
    rows.into_iter()
        .map(|(round, rows)| Ok((round, only(&delta, rows)?)))
        .collect()
}

fn only(delta: &Delta, rows: Vec<u32>) -> Result<Delta> {
    let Weights::Each(weights) = delta.weights() else {
        return Ok(Delta::inserts(take_rows(delta.batch(), rows)?));
    };
    let places = rows
        .iter()
        .map(|row| usize::try_from(*row).unwrap_or(usize::MAX));
    let weights = Int64Array::from_iter_values(places.map(|row| weights.value(row)));
    Delta::new(take_rows(delta.batch(), rows)?, weights)
}

/// What a recursion without an end is answered with, in both modes (54001).
pub fn endless(rounds: u32) -> Error {
    let message = format!("the recursion did not end within {rounds} rounds");
    Error::new(Kind::Limit, "54001", message).with_hint(
        "bound it by a counter in WHERE, or write UNION, which leaves out rows that were there before, instead of UNION ALL",
    )
}
