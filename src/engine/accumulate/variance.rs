//! Variance and standard deviation from exact sums of the values and of their squares.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Float64Array};
use arrow::datatypes::DataType;

use super::float::{merge_sums, partial_sum_types, partial_sums};
use super::float_sum::ExactFloatSum;
use super::round::parts;
use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use super::superaccumulator::Superaccumulator;
use crate::base::{Error, Result};

/// Which measure of spread.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Spread {
    /// Divided by `n - 1` instead of `n`: of a sample, not of a population.
    pub sample: bool,
    /// The square root of the variance.
    pub deviation: bool,
}

/// Exact sums and sums of squares, a group.
#[derive(Debug)]
pub struct VarianceStates {
    sums: Vec<ExactFloatSum>,
    counts: Vec<i64>,
    squares: Vec<Superaccumulator>,
    spread: Spread,
}

impl VarianceStates {
    /// No groups yet.
    pub fn new(spread: Spread) -> Self {
        Self {
            sums: Vec::new(),
            counts: Vec::new(),
            squares: Vec::new(),
            spread,
        }
    }

    /// `sum((x - mean)^2) / (n or n - 1)` with the mean rounded to `f64` and the sum exact, rounded once.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a count beyond 2^53 is rounded, as the variance is"
    )]
    fn result(&self, group: usize) -> Option<f64> {
        let count = self.counts[group];
        let divisor = if self.spread.sample { count - 1 } else { count };
        if divisor <= 0 {
            return None;
        }
        let sum = &self.sums[group];
        let mean = sum.value() / count as f64;
        if sum.is_special() || !mean.is_finite() {
            return Some(f64::NAN);
        }
        let distances = sum
            .squared_distances(&self.squares[group], mean, count)
            .max(0.0);
        let variance = distances / divisor as f64;
        Some(if self.spread.deviation {
            variance.sqrt()
        } else {
            variance
        })
    }
}

impl GroupStates for VarianceStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.sums.len() {
            make_room(&mut self.sums, groups);
            self.sums.resize_with(groups, ExactFloatSum::default);
            make_room(&mut self.squares, groups);
            self.squares.resize_with(groups, Superaccumulator::default);
            make_room(&mut self.counts, groups);
            self.counts.resize(groups, 0);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = argument::<Float64Array>(args, 0)?;
        let values = array.values();
        let (sums, counts, squares) = (&mut self.sums, &mut self.counts, &mut self.squares);
        rows.visit(array.nulls(), |row, group, weight| {
            let value = values[row];
            sums[group].add_weighted(value, weight);
            counts[group] = counts[group].wrapping_add(weight);
            if value.is_finite() {
                let (mantissa, exponent) = parts(value);
                squares[group].add_square(mantissa, exponent, weight);
            }
        });
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.counts[group] == 0
            && self.sums[group].is_zero()
            && self.squares[group].clone().is_zero()
    }

    fn reset(&mut self, group: usize) {
        self.counts[group] = 0;
        self.sums[group] = ExactFloatSum::default();
        self.squares[group] = Superaccumulator::default();
    }

    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        Ok(Arc::new(
            groups
                .iter()
                .map(|group| self.result(*group))
                .collect::<Float64Array>(),
        ))
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let mut columns = partial_sums(&self.sums, &self.counts, groups)?;
        let squares: BinaryArray = groups
            .iter()
            .map(|group| {
                let mut bytes = Vec::new();
                self.squares[*group].encode(&mut bytes);
                Some(bytes)
            })
            .collect();
        columns.push(Arc::new(squares));
        Ok(columns)
    }

    fn partial_types(&self) -> Vec<DataType> {
        let mut types = partial_sum_types();
        types.push(DataType::Binary);
        types
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        merge_sums(&mut self.sums, &mut self.counts, partials, groups)?;
        let squares = argument::<BinaryArray>(partials, 4)?;
        let mut damaged = false;
        Rows::once(groups, squares.len()).visit(squares.nulls(), |row, group, _| {
            damaged |= self.squares[group]
                .merge_encoded(squares.value(row))
                .is_none();
        });
        if damaged {
            Err(Error::internal("a partial variance is damaged"))
        } else {
            Ok(())
        }
    }

    fn drop_first(&mut self, groups: usize) {
        self.sums.drain(..groups);
        self.counts.drain(..groups);
        self.squares.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.sums, groups);
        keep_at(&mut self.counts, groups);
        keep_at(&mut self.squares, groups);
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * (size_of::<ExactFloatSum>() + size_of::<Superaccumulator>() + 8)
            + self.sums.iter().map(ExactFloatSum::bytes).sum::<usize>()
            + self
                .squares
                .iter()
                .map(Superaccumulator::bytes)
                .sum::<usize>()
    }
}
