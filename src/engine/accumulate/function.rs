//! The aggregate functions, and the states that each needs for the types it is given.

use std::sync::Arc;

use arrow::datatypes::DataType;
use arrow::row::OwnedRow;

use super::bits::{BitOperation, BitStates};
use super::count::{BooleanStates, CountStates};
use super::distinct::{DistinctStates, RowKeys};
use super::extremum::ExtremumStates;
use super::float::FloatStates;
use super::integer::{IntegerStates, Outcome};
use super::key::{DecimalCodec, RowCodec, ShortCodec, is_short};
use super::moments::{MomentStates, PairMeasure};
use super::ordered::OrderedStates;
use super::pick::Pick;
use super::states::GroupStates;
use super::variance::{Spread, VarianceStates};
use crate::base::{Error, Result};

/// An aggregate function that is kept up to date row by row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AggregateFunction {
    /// `count(*)`.
    CountRows,
    /// `count(x, ...)`: rows without a NULL argument.
    Count,
    /// `sum(x)`.
    Sum,
    /// `avg(x)`.
    Avg,
    /// `min(x)`.
    Min,
    /// `max(x)`.
    Max,
    /// `bool_and(x)`.
    BoolAnd,
    /// `bool_or(x)`.
    BoolOr,
    /// `var_samp(x)`, `var_pop(x)`, `stddev_samp(x)` and `stddev_pop(x)`.
    Variance(Spread),
    /// `covar_pop(y, x)`, `corr(y, x)`, `regr_slope(y, x)` and the others of pairs.
    Pair(PairMeasure),
    /// `bit_and(x)`, `bit_or(x)` and `bit_xor(x)`.
    Bits(BitOperation),
    /// `percentile_cont`, `percentile_disc`, `mode` and `median`.
    Pick(Pick),
}

impl AggregateFunction {
    /// Empty states for arguments of the types `inputs` and results of type `output`.
    ///
    /// # Errors
    /// When the function has no states for such arguments.
    pub fn states(
        self,
        inputs: &[DataType],
        output: &DataType,
        distinct: bool,
    ) -> Result<Box<dyn GroupStates>> {
        if let Self::Pick(pick) = self {
            let [input, ..] = inputs else {
                return Err(Error::unsupported(format!("{self:?} takes an argument")));
            };
            return ordered_states(input, output, pick, distinct);
        }
        let plain = self.plain_states(inputs, output)?;
        if distinct && !self.is_idle_on_repeats() && self != Self::CountRows {
            return distinct_states(inputs, plain);
        }
        Ok(plain)
    }

    /// As [`Self::states`], for rows that are never taken back; `None` where that spares nothing.
    ///
    /// # Errors
    /// When the function has no states for such arguments.
    pub fn append_only_states(
        self,
        inputs: &[DataType],
        output: &DataType,
    ) -> Result<Option<Box<dyn GroupStates>>> {
        match (self, inputs) {
            (Self::Min | Self::Max, [input]) if input == output => {
                extremum_states(input, self == Self::Max).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// Whether the result is 0 and not NULL where no row counts.
    pub fn counts(self) -> bool {
        matches!(
            self,
            Self::CountRows | Self::Count | Self::Pair(PairMeasure::Count)
        )
    }

    /// Which value of an ordered group it is, if it is one.
    pub fn pick(self) -> Option<Pick> {
        match self {
            Self::Min => Some(Pick::Least),
            Self::Max => Some(Pick::Greatest),
            Self::Pick(pick) => Some(pick),
            _ => None,
        }
    }

    /// Repeated values change neither the least nor the greatest nor "all" nor "any".
    fn is_idle_on_repeats(self) -> bool {
        matches!(
            self,
            Self::Min
                | Self::Max
                | Self::BoolAnd
                | Self::BoolOr
                | Self::Bits(BitOperation::And | BitOperation::Or)
        )
    }

    fn plain_states(self, inputs: &[DataType], output: &DataType) -> Result<Box<dyn GroupStates>> {
        match self {
            Self::CountRows | Self::Count => return Ok(Box::new(CountStates::default())),
            Self::BoolAnd => return Ok(Box::new(BooleanStates::new(true))),
            Self::BoolOr => return Ok(Box::new(BooleanStates::new(false))),
            Self::Pair(measure) => return pair_states(inputs, measure),
            _ => {}
        }
        let [input] = inputs else {
            return Err(Error::unsupported(format!(
                "{self:?} takes one argument, not {}",
                inputs.len()
            )));
        };
        match self {
            Self::Sum => number_states(input, output, Outcome::Sum),
            Self::Avg => number_states(input, output, Outcome::Average),
            Self::Variance(spread) if *input == DataType::Float64 => {
                Ok(Box::new(VarianceStates::new(spread)))
            }
            Self::Variance(spread) if *input == DataType::Int64 => {
                Ok(Box::new(MomentStates::of_integers(spread)))
            }
            Self::Bits(operation) if input == output => {
                Ok(Box::new(BitStates::new(input, operation)?))
            }
            Self::Min => ordered_states(input, output, Pick::Least, false),
            Self::Max => ordered_states(input, output, Pick::Greatest, false),
            _ => Err(Error::unsupported(format!(
                "{self:?} of {input} has no incremental form"
            ))),
        }
    }
}

fn distinct_states(
    inputs: &[DataType],
    plain: Box<dyn GroupStates>,
) -> Result<Box<dyn GroupStates>> {
    if let [input] = inputs
        && is_short(input)
    {
        let keys = Box::new(ShortCodec(input.clone()));
        return Ok(Box::new(DistinctStates::<i64>::new(inputs, keys, plain)?));
    }
    let keys = Box::new(RowKeys::new(inputs)?);
    Ok(Box::new(DistinctStates::<OwnedRow>::new(
        inputs, keys, plain,
    )?))
}

fn pair_states(inputs: &[DataType], measure: PairMeasure) -> Result<Box<dyn GroupStates>> {
    if *inputs == [DataType::Float64, DataType::Float64] {
        Ok(Box::new(MomentStates::of_pairs(measure)))
    } else {
        Err(Error::unsupported(format!(
            "{measure:?} of {inputs:?} has no incremental form"
        )))
    }
}

fn number_states(
    input: &DataType,
    output: &DataType,
    outcome: Outcome,
) -> Result<Box<dyn GroupStates>> {
    Ok(match input {
        DataType::Float64 => Box::new(FloatStates::new(outcome)),
        DataType::Int64
        | DataType::UInt64
        | DataType::Duration(_)
        | DataType::Decimal32(..)
        | DataType::Decimal64(..) => Box::new(IntegerStates::<2>::new(input, output, outcome)),
        DataType::Decimal128(..) => Box::new(IntegerStates::<3>::new(input, output, outcome)),
        DataType::Decimal256(..) => Box::new(IntegerStates::<6>::new(input, output, outcome)),
        other => {
            return Err(Error::unsupported(format!(
                "a sum or average of {other} has no incremental form"
            )));
        }
    })
}

fn extremum_states(input: &DataType, greatest: bool) -> Result<Box<dyn GroupStates>> {
    Ok(if is_short(input) {
        let codec = Arc::new(ShortCodec(input.clone()));
        Box::new(ExtremumStates::new(codec, input, greatest))
    } else if matches!(input, DataType::Decimal128(..)) {
        let codec = Arc::new(DecimalCodec(input.clone()));
        Box::new(ExtremumStates::new(codec, input, greatest))
    } else {
        let codec = Arc::new(RowCodec::new(input)?);
        Box::new(ExtremumStates::new(codec, input, greatest))
    })
}

fn ordered_states(
    input: &DataType,
    output: &DataType,
    pick: Pick,
    distinct: bool,
) -> Result<Box<dyn GroupStates>> {
    let interpolates = matches!(pick, Pick::Continuous(_)) && *input != DataType::Float64;
    if input != output || interpolates {
        return Err(Error::unsupported(format!(
            "{pick:?} of {input} as {output} has no incremental form"
        )));
    }
    Ok(if is_short(input) {
        let codec = Arc::new(ShortCodec(input.clone()));
        Box::new(OrderedStates::new(codec, input, pick, distinct))
    } else if matches!(input, DataType::Decimal128(..)) {
        let codec = Arc::new(DecimalCodec(input.clone()));
        Box::new(OrderedStates::new(codec, input, pick, distinct))
    } else {
        let codec = Arc::new(RowCodec::new(input)?);
        Box::new(OrderedStates::new(codec, input, pick, distinct))
    })
}
