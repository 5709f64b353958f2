//! Sums and averages of floats, exact until they are rounded.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BinaryArray, Decimal128Array, Float64Array, Int32Array, Int64Array,
};
use arrow::datatypes::DataType;

use super::block::add_all;
use super::float_sum::ExactFloatSum;
use super::integer::Outcome;
use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use crate::base::{Error, Result};

/// Exact float sums and the number of values, a group.
#[derive(Debug)]
pub struct FloatStates {
    sums: Vec<ExactFloatSum>,
    counts: Vec<i64>,
    outcome: Outcome,
}

impl FloatStates {
    /// No groups yet.
    pub fn new(outcome: Outcome) -> Self {
        Self {
            sums: Vec::new(),
            counts: Vec::new(),
            outcome,
        }
    }
}

impl GroupStates for FloatStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.sums.len() {
            make_room(&mut self.sums, groups);
            self.sums.resize_with(groups, ExactFloatSum::default);
            make_room(&mut self.counts, groups);
            self.counts.resize(groups, 0);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = argument::<Float64Array>(args, 0)?;
        let values = array.values();
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        match (rows.groups, rows.weights, rows.selected(array.nulls())) {
            (Groups::One, None, None) => {
                add_all(&mut sums[0], values);
                counts[0] = counts[0].wrapping_add_unsigned(values.len() as u64);
            }
            (_, None, _) => rows.visit(array.nulls(), |row, group, _| {
                sums[group].add(values[row]);
                counts[group] = counts[group].wrapping_add(1);
            }),
            (_, Some(_), _) => rows.visit(array.nulls(), |row, group, weight| {
                sums[group].add_weighted(values[row], weight);
                counts[group] = counts[group].wrapping_add(weight);
            }),
        }
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.counts[group] == 0 && self.sums[group].is_zero()
    }

    fn reset(&mut self, group: usize) {
        self.counts[group] = 0;
        self.sums[group] = ExactFloatSum::default();
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a count beyond 2^53 is rounded, as the average is"
    )]
    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| {
            let count = self.counts[*group];
            (count > 0).then(|| match self.outcome {
                Outcome::Sum => self.sums[*group].value(),
                Outcome::Average => self.sums[*group].value() / count as f64,
            })
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        partial_sums(&self.sums, &self.counts, groups)
    }

    fn partial_types(&self) -> Vec<DataType> {
        partial_sum_types()
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        merge_sums(&mut self.sums, &mut self.counts, partials, groups)
    }

    fn drop_first(&mut self, groups: usize) {
        self.sums.drain(..groups);
        self.counts.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.sums, groups);
        keep_at(&mut self.counts, groups);
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<ExactFloatSum>()
            + self.counts.capacity() * size_of::<i64>()
            + self.sums.iter().map(ExactFloatSum::bytes).sum::<usize>()
    }
}

/// Float sums as columns: count, mantissa (128 raw bits in a decimal's clothes), exponent, and the rest of the few wide ones.
pub(super) fn partial_sums(
    sums: &[ExactFloatSum],
    counts: &[i64],
    groups: &[usize],
) -> Result<Vec<ArrayRef>> {
    let fixed = groups.iter().map(|group| sums[*group].fixed());
    let (mantissas, exponents): (Vec<i128>, Vec<i32>) = fixed.unzip();
    let rest: BinaryArray = groups
        .iter()
        .map(|group| sums[*group].encode_rest())
        .collect();
    Ok(vec![
        Arc::new(
            groups
                .iter()
                .map(|group| Some(counts[*group]))
                .collect::<Int64Array>(),
        ),
        Arc::new(Decimal128Array::from(mantissas).with_precision_and_scale(38, 0)?),
        Arc::new(Int32Array::from(exponents)),
        Arc::new(rest),
    ])
}

/// The types of [`partial_sums`].
pub(super) fn partial_sum_types() -> Vec<DataType> {
    vec![
        DataType::Int64,
        DataType::Decimal128(38, 0),
        DataType::Int32,
        DataType::Binary,
    ]
}

/// Adds what [`partial_sums`] gave.
pub(super) fn merge_sums(
    sums: &mut [ExactFloatSum],
    counts: &mut [i64],
    partials: &[ArrayRef],
    groups: Groups<'_>,
) -> Result<()> {
    let more = argument::<Int64Array>(partials, 0)?;
    let mantissas = argument::<Decimal128Array>(partials, 1)?;
    let exponents = argument::<Int32Array>(partials, 2)?;
    let rests = argument::<BinaryArray>(partials, 3)?;
    let mut damaged = false;
    Rows::once(groups, more.len()).visit(more.nulls(), |row, group, _| {
        let rest = rests.is_valid(row).then(|| rests.value(row));
        let fixed = (mantissas.value(row), exponents.value(row));
        damaged |= sums[group].merge_encoded(fixed, rest).is_none();
        counts[group] = counts[group].wrapping_add(more.value(row));
    });
    if damaged {
        Err(Error::internal("a partial float sum is damaged"))
    } else {
        Ok(())
    }
}
