//! A length of time times or divided by a number: `INTERVAL '1 day' * n`.
//!
//! What is left of a month becomes days of which a month has thirty, and what is left of a day becomes time, as PostgreSQL's
//! documentation of intervals says.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Float64Array, IntervalMonthDayNanoArray};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float64Type, IntervalMonthDayNano, IntervalMonthDayNanoType, IntervalUnit,
};
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::{Error, Kind};

const LENGTH: DataType = DataType::Interval(IntervalUnit::MonthDayNano);
const DAYS_A_MONTH: f64 = 30.0;
const SECONDS_A_DAY: f64 = 86_400.0;

static TIMES: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| scaled(Scale::Times));
static PARTS: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| scaled(Scale::Parts));

/// `length` times `number`. Both are cast to what the function takes.
pub(in crate::planner) fn times(length: Expr, number: Expr) -> Expr {
    TIMES.call(vec![length, number])
}

/// `length` divided by `number`.
pub(in crate::planner) fn divided(length: Expr, number: Expr) -> Expr {
    PARTS.call(vec![length, number])
}

/// The two functions, which plans show under names that SQL text knows too.
pub(super) fn all() -> [Arc<ScalarUDF>; 2] {
    [Arc::clone(&TIMES), Arc::clone(&PARTS)]
}

fn scaled(scale: Scale) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Scaled {
        scale,
        signature: Signature::exact(vec![LENGTH, DataType::Float64], Volatility::Immutable),
    }))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scale {
    Times,
    Parts,
}

impl Scale {
    fn of(self, value: f64, number: f64) -> f64 {
        match self {
            Self::Times => value * number,
            Self::Parts => value / number,
        }
    }

    /// The scaled length; `None` where it is beyond what an interval holds.
    fn scale(self, length: IntervalMonthDayNano, number: f64) -> Option<IntervalMonthDayNano> {
        let months = self.of(f64::from(length.months), number);
        let days = self.of(f64::from(length.days), number);
        let days_left = to_micros(months.fract() * DAYS_A_MONTH);
        let seconds_left = to_micros((days.fract() + days_left.fract()) * SECONDS_A_DAY);
        let more_days = (seconds_left / SECONDS_A_DAY).trunc();
        let seconds_left = seconds_left - more_days * SECONDS_A_DAY;
        #[expect(
            clippy::cast_precision_loss,
            reason = "as exact as PostgreSQL, which counts in the same floats"
        )]
        let time = self.of((length.nanoseconds / 1_000) as f64, number);
        let micros = (time + seconds_left * 1e6).round_ties_even();
        Some(IntervalMonthDayNano::new(
            whole_i32(months.trunc())?,
            whole_i32(days.trunc() + days_left.trunc() + more_days)?,
            whole_i64(micros)?.checked_mul(1_000)?,
        ))
    }
}

/// A number of seconds or days, rounded to millionths.
fn to_micros(value: f64) -> f64 {
    (value * 1e6).round_ties_even() / 1e6
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole_i32(value: f64) -> Option<i32> {
    let fits = value >= f64::from(i32::MIN) && value <= f64::from(i32::MAX);
    fits.then_some(value as i32)
}

#[expect(clippy::cast_possible_truncation, reason = "the range is checked")]
fn whole_i64(value: f64) -> Option<i64> {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&value).then_some(value as i64)
}

fn scale_all(scale: Scale, lengths: &ArrayRef, numbers: &ArrayRef) -> Result<ArrayRef> {
    let lengths = cast(lengths, &LENGTH)?;
    let lengths: &IntervalMonthDayNanoArray = lengths.as_primitive::<IntervalMonthDayNanoType>();
    let numbers = cast(numbers, &DataType::Float64)?;
    let numbers: &Float64Array = numbers.as_primitive::<Float64Type>();
    let pairs = lengths.iter().zip(numbers);
    let scaled = pairs.map(|pair| {
        let (Some(length), Some(number)) = pair else {
            return Ok(None);
        };
        if scale == Scale::Parts && number == 0.0 {
            return Err(Error::new(Kind::Invalid, "22012", "division by zero"));
        }
        let scaled = scale.scale(length, number);
        let scaled =
            scaled.ok_or_else(|| Error::new(Kind::Invalid, "22008", "interval out of range"))?;
        Ok(Some(scaled))
    });
    let scaled: IntervalMonthDayNanoArray = scaled.collect::<std::result::Result<_, Error>>()?;
    Ok(Arc::new(scaled))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Scaled {
    scale: Scale,
    signature: Signature,
}

impl ScalarUDFImpl for Scaled {
    fn name(&self) -> &str {
        match self.scale {
            Scale::Times => "interval_mul",
            Scale::Parts => "interval_div",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(LENGTH)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        match &args.args[..] {
            [ColumnarValue::Scalar(length), ColumnarValue::Scalar(number)] => {
                let one = scale_all(self.scale, &length.to_array()?, &number.to_array()?)?;
                let value = datafusion::common::ScalarValue::try_from_array(&one, 0)?;
                Ok(ColumnarValue::Scalar(value))
            }
            [length, number] => {
                let (length, number) = (length.to_array(rows)?, number.to_array(rows)?);
                Ok(ColumnarValue::Array(scale_all(
                    self.scale, &length, &number,
                )?))
            }
            _ => Err(Error::internal("a length of time is scaled by a number").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_months_are_days_and_parts_of_days_are_time() {
        const HOUR: i64 = 3_600_000_000_000;
        let length = IntervalMonthDayNano::new;
        for (scale, given, number, wanted) in [
            (Scale::Times, length(0, 1, 0), 3.0, length(0, 3, 0)),
            (Scale::Times, length(1, 0, 0), 1.5, length(1, 15, 0)),
            (Scale::Parts, length(1, 0, 0), 2.0, length(0, 15, 0)),
            (Scale::Parts, length(0, 1, 0), 2.0, length(0, 0, 12 * HOUR)),
            (
                Scale::Times,
                length(0, 0, HOUR),
                -0.5,
                length(0, 0, -HOUR / 2),
            ),
            (
                Scale::Times,
                length(1, 1, HOUR),
                0.5,
                length(0, 15, 12 * HOUR + HOUR / 2),
            ),
        ] {
            assert_eq!(
                scale.scale(given, number),
                Some(wanted),
                "{scale:?} {number}"
            );
        }
        let most = length(i32::MAX, 0, 0);
        assert_eq!(Scale::Times.scale(most, 2.0), None);
        assert_eq!(Scale::Times.scale(most, f64::NAN), None);
    }
}
