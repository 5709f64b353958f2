//! The aggregate functions, and the states that each needs for the types it is given.

use std::sync::Arc;

use arrow::datatypes::DataType;

use super::count::{BooleanStates, CountStates};
use super::distinct::DistinctStates;
use super::float::FloatStates;
use super::integer::{IntegerStates, Outcome};
use super::key::{DecimalCodec, RowCodec, ShortCodec, is_short};
use super::ordered::OrderedStates;
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
        let plain = self.plain_states(inputs, output)?;
        // repeated values change neither the least nor the greatest nor "all" nor "any"
        let idle = matches!(self, Self::Min | Self::Max | Self::BoolAnd | Self::BoolOr);
        if distinct && !idle && self != Self::CountRows {
            return Ok(Box::new(DistinctStates::new(inputs, plain)?));
        }
        Ok(plain)
    }

    fn plain_states(self, inputs: &[DataType], output: &DataType) -> Result<Box<dyn GroupStates>> {
        match self {
            Self::CountRows | Self::Count => return Ok(Box::new(CountStates::default())),
            Self::BoolAnd => return Ok(Box::new(BooleanStates::new(true))),
            Self::BoolOr => return Ok(Box::new(BooleanStates::new(false))),
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
            Self::Min | Self::Max => ordered_states(input, output, self == Self::Max),
            _ => Err(Error::unsupported(format!(
                "{self:?} of {input} has no incremental form"
            ))),
        }
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

fn ordered_states(
    input: &DataType,
    output: &DataType,
    greatest: bool,
) -> Result<Box<dyn GroupStates>> {
    if input != output {
        return Err(Error::unsupported(format!(
            "min and max of {input} as {output} have no incremental form"
        )));
    }
    Ok(if is_short(input) {
        Box::new(OrderedStates::new(
            Arc::new(ShortCodec(input.clone())),
            greatest,
        ))
    } else if matches!(input, DataType::Decimal128(..)) {
        Box::new(OrderedStates::new(
            Arc::new(DecimalCodec(input.clone())),
            greatest,
        ))
    } else {
        Box::new(OrderedStates::new(
            Arc::new(RowCodec::new(input)?),
            greatest,
        ))
    })
}
