//! Covariance, correlation and regression of pairs, and the spread of integers, from exact sums.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BinaryArray, Float64Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::round::parts;
use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use super::superaccumulator::Superaccumulator;
use super::variance::Spread;
use crate::base::{Error, Kind, Result};

/// What is measured of pairs `(y, x)`, in PostgreSQL's order of arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PairMeasure {
    /// `covar_pop`.
    CovarPop,
    /// `covar_samp`.
    CovarSamp,
    /// `corr`.
    Corr,
    /// `regr_slope`.
    Slope,
    /// `regr_intercept`.
    Intercept,
    /// `regr_count`.
    Count,
    /// `regr_r2`.
    R2,
    /// `regr_avgx`.
    AvgX,
    /// `regr_avgy`.
    AvgY,
    /// `regr_sxx`.
    Sxx,
    /// `regr_syy`.
    Syy,
    /// `regr_sxy`.
    Sxy,
}

/// What the moments are used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Measure {
    Pair(PairMeasure),
    Spread(Spread),
}

/// The sums of one group. Those of integers leave `y`, `yy` and `xy` empty.
#[derive(Clone, Debug, Default)]
struct Moments {
    count: i64,
    /// How many values of x and of y are NaN, infinite and minus infinite; those are in no sum.
    special: [[i64; 3]; 2],
    /// Sums of x, y, xx, yy, xy.
    sums: [Superaccumulator; 5],
}

const X: usize = 0;
const Y: usize = 1;
const XX: usize = 2;
const YY: usize = 3;
const XY: usize = 4;

/// A result out of range.
struct Overflow;

type Measured = std::result::Result<Option<f64>, Overflow>;

impl Moments {
    fn add_float(&mut self, side: usize, value: f64, weight: i64) -> Option<(i64, i32)> {
        if value.is_finite() {
            let (mantissa, exponent) = parts(value);
            self.sums[side].add_product((mantissa, exponent), (1, 0), weight);
            self.sums[XX + side].add_square(mantissa, exponent, weight);
            return Some((mantissa, exponent));
        }
        let kind = if value.is_nan() {
            0
        } else if value > 0.0 {
            1
        } else {
            2
        };
        let count = &mut self.special[side][kind];
        *count = count.wrapping_add(weight);
        None
    }

    fn add_pair(&mut self, y: f64, x: f64, weight: i64) {
        self.count = self.count.wrapping_add(weight);
        let y = self.add_float(Y, y, weight);
        let x = self.add_float(X, x, weight);
        if let (Some(x), Some(y)) = (x, y) {
            self.sums[XY].add_product(x, y, weight);
        }
    }

    fn add_integer(&mut self, x: i64, weight: i64) {
        self.count = self.count.wrapping_add(weight);
        self.sums[X].add_product((x, 0), (1, 0), weight);
        self.sums[XX].add_square(x, 0, weight);
    }

    fn is_zero(&self) -> bool {
        self.count == 0
            && self.special == [[0; 3]; 2]
            && self.sums.iter().all(|sum| sum.clone().is_zero())
    }

    fn is_special(&self, side: usize) -> bool {
        self.special[side] != [0; 3]
    }

    /// The sum of one side; what SQL says where values are not finite.
    fn sum(&self, side: usize) -> f64 {
        match self.special[side] {
            [0, 0, 0] => self.sums[side].value(),
            [0, _, 0] => f64::INFINITY,
            [0, 0, _] => f64::NEG_INFINITY,
            _ => f64::NAN,
        }
    }

    /// `count * sum(ab) - sum(a) * sum(b)`, exact and rounded once: the sum of products of distances to the means,
    /// times the count.
    fn deviation(&self, a: usize, b: usize, ab: usize) -> Result<f64, Overflow> {
        if self.is_special(a) || self.is_special(b) {
            return Ok(f64::NAN);
        }
        let mut exact = Superaccumulator::default();
        for (word, exponent) in self.sums[ab].words() {
            exact.add(i128::from(word) * i128::from(self.count), exponent);
        }
        for (left, low) in self.sums[a].words() {
            for (right, high) in self.sums[b].words() {
                exact.add(-(i128::from(left) * i128::from(right)), low + high);
            }
        }
        let value = exact.value();
        if value.is_infinite() {
            return Err(Overflow);
        }
        Ok(value)
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a count beyond 2^53 is rounded, as the result is"
    )]
    fn result(&self, measure: Measure) -> Measured {
        let least = match measure {
            Measure::Pair(PairMeasure::CovarSamp)
            | Measure::Spread(Spread { sample: true, .. }) => 2,
            _ => 1,
        };
        if self.count < least {
            return Ok(None);
        }
        let count = self.count as f64;
        match measure {
            Measure::Pair(measure) => self.pair(measure, count),
            Measure::Spread(spread) => {
                let divisor = if spread.sample { count - 1.0 } else { count };
                let variance = self.deviation(X, X, XX)?.max(0.0) / count / divisor;
                Ok(Some(if spread.deviation {
                    variance.sqrt()
                } else {
                    variance
                }))
            }
        }
    }

    fn pair(&self, measure: PairMeasure, count: f64) -> Measured {
        let xx = || Ok(self.deviation(X, X, XX)? / count);
        let yy = || Ok(self.deviation(Y, Y, YY)? / count);
        let xy = || Ok(self.deviation(X, Y, XY)? / count);
        Ok(match measure {
            PairMeasure::Count => Some(count),
            PairMeasure::AvgX => Some(self.sum(X) / count),
            PairMeasure::AvgY => Some(self.sum(Y) / count),
            PairMeasure::Sxx => Some(xx()?),
            PairMeasure::Syy => Some(yy()?),
            PairMeasure::Sxy => Some(xy()?),
            PairMeasure::CovarPop => Some(xy()? / count),
            PairMeasure::CovarSamp => Some(xy()? / (count - 1.0)),
            PairMeasure::Corr => {
                let (xx, yy) = (xx()?, yy()?);
                if xx == 0.0 || yy == 0.0 {
                    return Ok(None);
                }
                let product = xx * yy;
                let root = if product.is_normal() {
                    product.sqrt()
                } else {
                    xx.sqrt() * yy.sqrt()
                };
                // clamp keeps NaN
                Some((xy()? / root).clamp(-1.0, 1.0))
            }
            PairMeasure::Slope | PairMeasure::Intercept => {
                let xx = xx()?;
                if xx == 0.0 {
                    return Ok(None);
                }
                let xy = xy()?;
                Some(if measure == PairMeasure::Slope {
                    xy / xx
                } else {
                    (self.sum(Y) - self.sum(X) * xy / xx) / count
                })
            }
            PairMeasure::R2 => {
                let (xx, yy) = (xx()?, yy()?);
                if xx == 0.0 {
                    return Ok(None);
                }
                if yy == 0.0 {
                    return Ok(Some(1.0));
                }
                let xy = xy()?;
                let (above, below) = (xy * xy, xx * yy);
                Some(if above.is_normal() && below.is_normal() {
                    above / below
                } else {
                    (xy / xx) * (xy / yy)
                })
            }
        })
    }
}

/// The sums of every group.
#[derive(Debug)]
pub struct MomentStates {
    groups: Vec<Moments>,
    measure: Measure,
}

impl MomentStates {
    /// No groups yet; of pairs of floats.
    pub fn of_pairs(measure: PairMeasure) -> Self {
        Self {
            groups: Vec::new(),
            measure: Measure::Pair(measure),
        }
    }

    /// No groups yet; the spread of integers of 64 bits.
    pub fn of_integers(spread: Spread) -> Self {
        Self {
            groups: Vec::new(),
            measure: Measure::Spread(spread),
        }
    }
}

impl GroupStates for MomentStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.groups.len() {
            make_room(&mut self.groups, groups);
            self.groups.resize_with(groups, Moments::default);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let groups = &mut self.groups;
        match self.measure {
            Measure::Pair(_) => {
                let y: &Float64Array = argument(args, 0)?;
                let x: &Float64Array = argument(args, 1)?;
                let nulls = NullBuffer::union(y.nulls(), x.nulls());
                rows.visit(nulls.as_ref(), |row, group, weight| {
                    groups[group].add_pair(y.value(row), x.value(row), weight);
                });
            }
            Measure::Spread(_) => {
                let x: &Int64Array = argument(args, 0)?;
                rows.visit(x.nulls(), |row, group, weight| {
                    groups[group].add_integer(x.value(row), weight);
                });
            }
        }
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.groups[group].is_zero()
    }

    fn reset(&mut self, group: usize) {
        self.groups[group] = Moments::default();
    }

    fn results(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        if self.measure == Measure::Pair(PairMeasure::Count) {
            let counts = groups.iter().map(|group| Some(self.groups[*group].count));
            return Ok(Arc::new(counts.collect::<Int64Array>()));
        }
        let values = groups.iter().enumerate().map(|(at, group)| {
            let result = self.groups[*group].result(self.measure);
            result.unwrap_or_else(|Overflow| {
                let message = "value out of range: overflow";
                errors.push((at, Error::new(Kind::Invalid, "22003", message)));
                None
            })
        });
        // -0.0 is 0.0
        let values = values.map(|value| value.map(|value| value + 0.0));
        Ok(Arc::new(values.collect::<Float64Array>()))
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let integers = |of: &dyn Fn(&Moments) -> i64| -> ArrayRef {
            let values = groups.iter().map(|group| Some(of(&self.groups[*group])));
            Arc::new(values.collect::<Int64Array>())
        };
        let mut columns = vec![integers(&|moments| moments.count)];
        for side in [X, Y] {
            for kind in 0..3 {
                columns.push(integers(&|moments| moments.special[side][kind]));
            }
        }
        for sum in 0..5 {
            let encoded = groups.iter().map(|group| {
                let mut bytes = Vec::new();
                self.groups[*group].sums[sum].encode(&mut bytes);
                Some(bytes)
            });
            columns.push(Arc::new(encoded.collect::<BinaryArray>()));
        }
        Ok(columns)
    }

    fn partial_types(&self) -> Vec<DataType> {
        let mut types = vec![DataType::Int64; 7];
        types.extend(vec![DataType::Binary; 5]);
        types
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let mut damaged = false;
        let mine = &mut self.groups;
        for at in 0..7 {
            let values: &Int64Array = argument(partials, at)?;
            Rows::once(groups, values.len()).visit(values.nulls(), |row, group, _| {
                let slot = match at.checked_sub(1) {
                    None => &mut mine[group].count,
                    Some(kind) => &mut mine[group].special[kind / 3][kind % 3],
                };
                *slot = slot.wrapping_add(values.value(row));
            });
        }
        for at in 0..5 {
            let values: &BinaryArray = argument(partials, 7 + at)?;
            Rows::once(groups, values.len()).visit(values.nulls(), |row, group, _| {
                let sum = &mut mine[group].sums[at];
                damaged |= sum.merge_encoded(values.value(row)).is_none();
            });
        }
        if damaged {
            Err(Error::internal("a partial state of moments is damaged"))
        } else {
            Ok(())
        }
    }

    fn drop_first(&mut self, groups: usize) {
        self.groups.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.groups, groups);
    }

    fn bytes(&self) -> usize {
        let sums = self.groups.iter().flat_map(|moments| &moments.sums);
        self.groups.capacity() * size_of::<Moments>()
            + sums.map(Superaccumulator::bytes).sum::<usize>()
    }
}
