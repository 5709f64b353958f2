//! The one trait of the engine: an operator takes deltas, keeps state, and gives deltas.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::budget::Budget;
use super::progress::Progress;
use super::shards::Parts;
use crate::base::clock::ClockRef;
use crate::base::{Error, ObjectId, Result};
use crate::zset::Delta;

/// What flows along an edge of the graph in one step. Order and repetition of rows mean nothing:
/// the sum of the weights counts.
pub type Deltas = Vec<Delta>;

/// How far the time of sources has come, in microseconds since 1970.
pub type Watermarks = BTreeMap<ObjectId, i64>;

/// What a step is told, and what it tells.
#[derive(Debug, Default)]
pub struct StepContext {
    /// Rows that failed in an expression and were left out.
    pub errors: Vec<RowError>,
    /// The first load: everything that is there comes in one step, so that operators may take
    /// the side that spares intermediate retractions.
    pub bulk: bool,
    /// In a first load, for each input of the operator the rows of the largest source below it.
    pub bases: Vec<usize>,
    /// Nobody wants what comes out: an operator may spare itself to make it.
    pub unwanted: bool,
    /// The present moment, in microseconds since 1970. The same for every operator of an epoch, and never less than in
    /// the step before.
    pub now_us: i64,
    /// How far the time of each source has come once the step's input is in: no later step brings a row before it.
    pub watermarks: Arc<Watermarks>,
    /// For the times in the counters; without it they stay 0.
    pub clock: Option<ClockRef>,
    /// What the step may use; without it there is no limit.
    pub budget: Option<Arc<Budget>>,
    /// Told how far the step is.
    pub progress: Option<Arc<Progress>>,
}

impl StepContext {
    /// The same for work of this step on another thread, without what was told so far.
    pub(super) fn fork(&self) -> Self {
        Self {
            errors: Vec::new(),
            bulk: self.bulk,
            bases: self.bases.clone(),
            unwanted: self.unwanted,
            now_us: self.now_us,
            watermarks: Arc::clone(&self.watermarks),
            clock: self.clock.clone(),
            budget: self.budget.clone(),
            progress: self.progress.clone(),
        }
    }

    /// Takes over what the work of `part`, a fork of this, told.
    pub(super) fn join(&mut self, part: Self) {
        self.errors.extend(part.errors);
    }
}

/// A row that an expression failed on. The same row taken back gives the same error with the
/// opposite weight, so the sum of the errors is right at all times.
#[derive(Clone, Debug)]
pub struct RowError {
    /// Why it failed.
    pub error: Error,
    /// One row: the operator's input (for a join's residual condition, both sides' columns).
    pub row: RecordBatch,
    /// The weight with which the row was left out.
    pub weight: i64,
    /// The operator's name.
    pub operator: String,
}

/// A node of the graph.
pub trait Operator: Send {
    /// A word for EXPLAIN and for messages.
    fn name(&self) -> &'static str;

    /// Told once, before the first step, which of the inputs never take a row back; says whether the output never does
    /// either. A hint: an operator may keep less for such an input.
    fn learn_append_only(&mut self, _inputs: &[bool]) -> bool {
        false
    }

    /// Told once, before the first step, which of the inputs are fixed: all they ever give comes in the first step. Says
    /// whether the output is fixed too. An operator may keep less beside such an input.
    fn learn_fixed(&mut self, _inputs: &[bool]) -> bool {
        false
    }

    /// `count` operators like this one that together do its work, when rows of different keys never meet in it. Asked
    /// once, before anything else, of an operator with empty state.
    fn parts(&self, _count: usize) -> Option<Parts> {
        None
    }

    /// Told once, before anything else, into how many parts an operator that stays whole may split what it is made of.
    fn split_within(&mut self, _count: usize) {}

    /// Takes what came in on each input since the last step and says how the output changes.
    ///
    /// # Errors
    /// When the operator cannot go on; its state is then undefined and the model must be rebuilt.
    /// A row that fails in an expression is no such error: it goes to `cx.errors`.
    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas>;

    /// Whether [`Operator::step`] must run in a step that brings no input. Every operator runs in
    /// the first step, input or not.
    fn runs_without_input(&self) -> bool {
        false
    }

    /// The sources whose watermark the operator acts on.
    fn clocks(&self) -> Vec<ObjectId> {
        Vec::new()
    }

    /// The next moment at which the output changes though no input does, in microseconds since 1970.
    fn due_us(&self) -> Option<i64> {
        None
    }

    /// Whether the last step changed the state by much more than came in.
    fn moved_state(&self) -> bool {
        false
    }

    /// About how many bytes the state takes.
    fn state_bytes(&self) -> usize {
        0
    }

    /// How many different rows the state holds.
    fn state_rows(&self) -> usize {
        0
    }
}

/// The deltas of input `index`.
///
/// # Errors
/// When the graph gave fewer inputs: a defect.
pub fn input<'a>(inputs: &'a [Deltas], index: usize, name: &str) -> Result<&'a [Delta]> {
    inputs
        .get(index)
        .map(Vec::as_slice)
        .ok_or_else(|| Error::internal(format!("operator {name} lacks its input {index}")))
}
