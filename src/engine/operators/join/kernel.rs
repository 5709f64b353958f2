//! The join operator: one half step a side, and the rows that gain or lose their partners.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, new_null_array};
use arrow::datatypes::{DataType, Schema, SchemaRef};

use super::config::{JoinConfig, JoinKind};
use super::pairs::Pairing;
use super::ranges::{Bound, Comparisons};
use super::side::{Piece, Side};
use crate::base::{Error, ObjectId, Result};
use crate::engine::frontier::Closing;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::parallel::map_deltas;
use crate::engine::{Parts, ShardKey};
use crate::zset::consolidate::{add_weights, take_rows};
use crate::zset::{Delta, Merged, batch_of};

/// Joins two inputs.
#[derive(Debug)]
pub struct Join {
    config: JoinConfig,
    left: Side,
    right: Side,
    /// The columns of a pair: left then right.
    pair_schema: SchemaRef,
    /// Whether all rows of the left, the right side come in the first step: the other side's rows meet them there and then,
    /// and are not kept.
    fixed: [bool; 2],
    /// What every pair's values must be to each other, where there is no key.
    comparisons: Option<Comparisons>,
    /// Why the keys or comparisons make no sense, told by every step.
    defect: Option<Error>,
}

impl Join {
    /// A join with empty state. Keys of different types are compared as the left one's.
    pub fn new(config: JoinConfig) -> Self {
        let JoinConfig {
            kind, left, right, ..
        } = &config;
        let types = config
            .on
            .iter()
            .map(|(key, _)| key.data_type(left))
            .collect::<Result<Vec<_>, _>>();
        let (types, defect) = match types {
            Ok(types) => (types, None),
            Err(error) => (
                vec![DataType::Null; config.on.len()],
                Some(Error::from(error)),
            ),
        };
        let (left_keys, right_keys) = config.on.iter().cloned().unzip();
        // Without a residual condition, a right row that never comes out is nothing but its key.
        let keys_only = !kind.gives_pairs() && config.residual.is_none();
        let right_pair = if keys_only {
            Schema::empty()
        } else {
            right.as_ref().clone()
        };
        let pair_fields: Vec<_> = left
            .fields()
            .iter()
            .chain(right_pair.fields().iter())
            .cloned()
            .collect();
        let nulls = config.null_equals_null;
        Self {
            left: Side::new(left, left_keys, types.clone(), false).with(nulls, kind.counts_left()),
            right: Side::new(right, right_keys, types, keys_only).with(nulls, kind.counts_right()),
            pair_schema: Arc::new(Schema::new(pair_fields)),
            fixed: [false; 2],
            comparisons: None,
            defect,
            config,
        }
    }

    /// As it is, but rows that no row of the other side can meet any more, and that do not go themselves, are let go of.
    /// The keys are columns of the left and the right input.
    #[must_use]
    pub fn with_closing(mut self, [left, right]: [Option<Closing>; 2]) -> Self {
        self.left.close_by(left);
        self.right.close_by(right);
        self
    }

    /// As it is, but candidates of a join without a key are found by comparisons that its residual condition asks for.
    #[must_use]
    pub fn with_bounds(mut self, bounds: &[Bound]) -> Self {
        let JoinConfig { residual, left, .. } = &self.config;
        match Comparisons::new(bounds, residual.as_ref(), left) {
            Ok(None) => {}
            Ok(Some((comparisons, [left, right]))) => {
                self.comparisons = Some(comparisons);
                self.left.compared = Some(left);
                self.right.compared = Some(right);
            }
            Err(error) => self.defect = Some(error),
        }
        self
    }

    /// Takes the delta of one side against the state of the other, and into its own.
    fn half(&mut self, is_left: bool, deltas: &[Delta], cx: &mut StepContext) -> Result<Deltas> {
        let mut output = Deltas::new();
        if !deltas.is_empty() {
            self.side_mut(!is_left).follow()?;
        }
        let (own, other) = self.sides(is_left);
        let counts = own.counts || other.counts;
        if self.fixed[usize::from(is_left)] && !counts {
            return self.pass(is_left, deltas, cx);
        }
        let pieces = own.prepare(deltas, cx)?;
        let keeps = !self.fixed[usize::from(is_left)];
        let mut coming: usize = pieces.iter().map(|piece| piece.rows.rows()).sum();
        for (number, piece) in pieces.into_iter().enumerate() {
            // after the first piece more is known of the keys
            if keeps && number < 2 && coming > piece.rows.rows() {
                self.side_mut(is_left).state.reserve(coming);
            }
            coming -= piece.rows.rows();
            if cx.unwanted && !counts {
                self.side_mut(is_left).store(&piece, &[])?;
                continue;
            }
            let found = self.pairing(is_left, cx).find(&piece)?;
            let (own, other) = self.sides(is_left);
            output.extend(found.pairs);
            cx.errors.extend(found.errors);
            if own.counts {
                output.extend(self.give_own(is_left, &piece, &found.own_matches)?);
            }
            if other.counts {
                output.extend(self.give_crossed(!is_left, found.touched)?);
            }
            if keeps {
                self.side_mut(is_left).store(&piece, &found.own_matches)?;
            }
        }
        Ok(output)
    }

    /// The pairs of a side that is not kept, each delta for itself: equal rows need not meet.
    fn pass(&self, is_left: bool, deltas: &[Delta], cx: &mut StepContext) -> Result<Deltas> {
        let (own, _) = self.sides(is_left);
        map_deltas(deltas, cx, |delta, cx| {
            let mut output = Deltas::new();
            for piece in own.prepare_one(delta, cx)? {
                let found = self.pairing(is_left, cx).find_all(&piece)?;
                output.extend(found.pairs);
                cx.errors.extend(found.errors);
            }
            Ok(output)
        })
    }

    /// How the rows of one side find those of the other.
    fn pairing<'a>(&'a self, own_is_left: bool, cx: &'a StepContext) -> Pairing<'a> {
        let (own, other) = self.sides(own_is_left);
        let JoinConfig {
            kind,
            schema,
            residual,
            ..
        } = &self.config;
        Pairing {
            own,
            other,
            own_is_left,
            residual: residual.as_ref(),
            comparisons: self.comparisons.as_ref(),
            pair_schema: &self.pair_schema,
            output: kind.gives_pairs().then_some(schema),
            budget: cx.budget.as_deref(),
        }
    }

    fn sides(&self, is_left: bool) -> (&Side, &Side) {
        if is_left {
            (&self.left, &self.right)
        } else {
            (&self.right, &self.left)
        }
    }

    fn side_mut(&mut self, is_left: bool) -> &mut Side {
        if is_left {
            &mut self.left
        } else {
            &mut self.right
        }
    }

    /// The delta's rows that come out by themselves, for what they matched.
    fn give_own(&self, is_left: bool, piece: &Piece, matches: &[i64]) -> Result<Deltas> {
        let mut output = Deltas::new();
        let mut rows = Vec::new();
        let mut weights = Vec::new();
        for ((row, matches), weight) in (0u32..).zip(matches).zip(&piece.rows.weights) {
            if self.alone(*matches) {
                rows.push(row);
                weights.push(*weight);
            }
        }
        if !rows.is_empty() {
            let batch = take_rows(&piece.rows.batch, rows)?;
            output.push(self.extend(is_left, batch.columns(), weights)?);
        }
        if let Some(Merged { batch, weights, .. }) = &piece.unmatchable
            && self.alone(0)
            && !weights.is_empty()
        {
            output.push(self.extend(is_left, batch.columns(), weights.clone())?);
        }
        Ok(output)
    }

    /// Adds to the matches of stored rows, and gives the rows for which that makes a difference.
    fn give_crossed(&mut self, is_left: bool, mut touched: Vec<(u32, i64)>) -> Result<Deltas> {
        touched.sort_unstable_by_key(|(slot, _)| *slot);
        let side = self.side_mut(is_left);
        let mut slots = Vec::new();
        let mut signs = Vec::new();
        for group in touched.chunk_by(|left, right| left.0 == right.0) {
            let slot = group[0].0;
            let change = group
                .iter()
                .try_fold(0, |sum, (_, weight)| add_weights(sum, *weight))?;
            let was = side.state.matches(slot) > 0;
            side.state.add_matches(slot, change)?;
            let is = side.state.matches(slot) > 0;
            if was != is {
                slots.push(slot);
                signs.push(is);
            }
        }
        let mut output = Deltas::new();
        let side = if is_left { &self.left } else { &self.right };
        for (slots, signs) in slots.chunks(1 << 14).zip(signs.chunks(1 << 14)) {
            let columns = side.state.gather(slots, &side.all)?;
            let mut weights = Vec::with_capacity(slots.len());
            for (slot, matched) in slots.iter().zip(signs) {
                let weight = side.state.weight(*slot);
                // A semi join gives what became matched; the others give what stopped to be.
                let gained = *matched == (self.config.kind == JoinKind::LeftSemi);
                weights.push(if gained {
                    weight
                } else {
                    weight
                        .checked_neg()
                        .ok_or_else(|| Error::limit("a row has 2^63 copies"))?
                });
            }
            output.push(self.extend(is_left, &columns, weights)?);
        }
        Ok(output)
    }

    /// Whether a row with this count of matches comes out by itself.
    fn alone(&self, matches: i64) -> bool {
        (matches > 0) == (self.config.kind == JoinKind::LeftSemi)
    }

    /// Rows of one side as output rows: beside NULLs, or alone for the semi and anti kinds.
    fn extend(&self, is_left: bool, columns: &[ArrayRef], weights: Vec<i64>) -> Result<Delta> {
        let (own, other) = self.sides(is_left);
        let mut output = columns[..own.width].to_vec();
        if self.config.kind.gives_pairs() {
            let fields = self.pair_schema.fields();
            let other_fields = if is_left {
                &fields[own.width..]
            } else {
                &fields[..other.width]
            };
            let nulls = other_fields
                .iter()
                .map(|field| new_null_array(field.data_type(), weights.len()));
            if is_left {
                output.extend(nulls);
            } else {
                output = nulls.chain(output).collect();
            }
        }
        let batch = batch_of(&self.config.schema, output, weights.len())?;
        if weights.iter().all(|weight| *weight == 1) {
            return Ok(Delta::inserts(batch));
        }
        Delta::new(batch, Int64Array::from(weights))
    }
}

impl Operator for Join {
    fn name(&self) -> &'static str {
        match self.config.kind {
            JoinKind::Inner => "join",
            JoinKind::Left => "left join",
            JoinKind::Right => "right join",
            JoinKind::Full => "full join",
            JoinKind::LeftSemi => "semi join",
            JoinKind::LeftAnti => "anti join",
        }
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        let gains_only = matches!(self.config.kind, JoinKind::Inner | JoinKind::LeftSemi);
        gains_only && inputs.iter().all(|append_only| *append_only)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        match inputs {
            // one of the two is kept for the other to find
            [true, true] => self.fixed = [true, false],
            [left, right] => self.fixed = [*left, *right],
            _ => {}
        }
        inputs.iter().all(|fixed| *fixed)
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let JoinConfig { left, on, .. } = &self.config;
        if on.is_empty() || self.defect.is_some() {
            return None;
        }
        let mut keys = vec![Vec::new(), Vec::new()];
        for (left_key, right_key) in on {
            let data_type = left_key.data_type(left).ok()?;
            for (keys, value) in keys.iter_mut().zip([left_key, right_key]) {
                keys.push(ShardKey {
                    value: Arc::clone(value),
                    data_type: Some(data_type.clone()),
                });
            }
        }
        let part = || {
            let mut part = Self::new(self.config.clone());
            part.left.close_like(&self.left);
            part.right.close_like(&self.right);
            Ok(part)
        };
        Parts::new(keys, count, part).ok()
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        if let Some(error) = &self.defect {
            return Err(error.clone());
        }
        let left = input(inputs, 0, self.name())?;
        let right = input(inputs, 1, self.name())?;
        // The side whose matches are counted comes last and finds its partners there: in a first
        // load, nothing is given that the same step takes back.
        let left_first = match self.fixed {
            [true, false] => true,
            [false, true] => false,
            _ => !self.config.kind.counts_left(),
        };
        let mut output = self.half(left_first, if left_first { left } else { right }, cx)?;
        output.extend(self.half(!left_first, if left_first { right } else { left }, cx)?);
        self.left.close(cx)?;
        self.right.close(cx)?;
        Ok(output)
    }

    fn clocks(&self) -> Vec<ObjectId> {
        let mut clocks = self.left.clocks();
        clocks.extend(self.right.clocks());
        clocks
    }

    fn state_bytes(&self) -> usize {
        self.left.bytes() + self.right.bytes()
    }

    fn state_rows(&self) -> usize {
        self.left.state.len() + self.right.state.len()
    }
}
