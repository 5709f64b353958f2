//! The functions of which GAP_FILL is made: the steps from a row to the next, their times, and values between two.
//!
//! A row and the next one of its key, `next`, are `steps` apart where `steps` times of the row's time and one interval after
//! the other lie before `next`. Step 0 is the row itself.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, Int64Builder, ListBuilder,
};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{
    DataType, Decimal128Type, Field, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::kernel::over_arrays;

/// The most rows that one gap is filled with.
const MAX_STEPS: i64 = 1_000_000;

/// `lotic_gap_steps(time, next, length)`: the numbers from 0 on of the steps before `next`.
pub const GAP_STEPS: &str = "lotic_gap_steps";
/// `lotic_gap_time(time, step, length)`: the time of a step.
pub const GAP_TIME: &str = "lotic_gap_time";
/// `lotic_gap_value(value, next, step, steps)`: the value of a step on the straight line between two.
pub const GAP_VALUE: &str = "lotic_gap_value";

/// The three functions.
pub(crate) fn all() -> Vec<ScalarUDF> {
    [Which::Steps, Which::Time, Which::Value]
        .map(|which| {
            ScalarUDF::new_from_impl(Gap {
                which,
                signature: Signature::user_defined(Volatility::Immutable),
            })
        })
        .into()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    Steps,
    Time,
    Value,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Gap {
    which: Which,
    signature: Signature,
}

/// The one form of times in which steps are counted.
fn micros(data_type: &DataType) -> Result<DataType> {
    match data_type {
        DataType::Timestamp(_, zone) => {
            Ok(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        other => plan_err!("the time column of GAP_FILL must be a timestamp, not {other}"),
    }
}

impl ScalarUDFImpl for Gap {
    fn name(&self) -> &str {
        match self.which {
            Which::Steps => GAP_STEPS,
            Which::Time => GAP_TIME,
            Which::Value => GAP_VALUE,
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, given: &[DataType]) -> Result<Vec<DataType>> {
        let number = DataType::Int64;
        match (self.which, given) {
            (Which::Steps, [time, _, _]) => Ok(vec![micros(time)?, micros(time)?, number]),
            (Which::Time, [time, _, _]) => Ok(vec![micros(time)?, number.clone(), number]),
            (Which::Value, [value, _, _, _])
                if value.is_integer()
                    || value.is_floating()
                    || matches!(value, DataType::Decimal128(..)) =>
            {
                Ok(vec![value.clone(), value.clone(), number.clone(), number])
            }
            (Which::Value, [value, ..]) => {
                plan_err!("INTERPOLATE takes a column of numbers, not of {value}")
            }
            _ => plan_err!("{} is a part of GAP_FILL", self.name()),
        }
    }

    fn return_type(&self, given: &[DataType]) -> Result<DataType> {
        Ok(match (self.which, given) {
            (Which::Steps, _) => {
                DataType::List(Arc::new(Field::new_list_field(DataType::Int64, true)))
            }
            (_, [first, ..]) => first.clone(),
            _ => DataType::Null,
        })
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| match self.which {
            Which::Steps => steps(arrays),
            Which::Time => times(arrays),
            Which::Value => values(arrays),
        })
    }
}

fn steps(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let times = arrays[0].as_primitive::<TimestampMicrosecondType>();
    let nexts = arrays[1].as_primitive::<TimestampMicrosecondType>();
    let lengths = arrays[2].as_primitive::<Int64Type>();
    let mut builder = ListBuilder::new(Int64Builder::new());
    for row in 0..times.len() {
        let known = times.is_valid(row) && nexts.is_valid(row) && lengths.is_valid(row);
        let count = if known {
            // The step that reaches the next row is that row.
            let distance = i128::from(nexts.value(row)) - i128::from(times.value(row)) - 1;
            let steps = distance.max(0) / i128::from(lengths.value(row).max(1));
            i64::try_from(steps).unwrap_or(i64::MAX)
        } else {
            0
        };
        if count > MAX_STEPS {
            return exec_err!("GAP_FILL would exceed the limit of {MAX_STEPS} rows in one gap");
        }
        for step in 0..=count {
            builder.values().append_value(step);
        }
        builder.append(true);
    }
    Ok(Arc::new(builder.finish()))
}

fn times(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let times = arrays[0].as_primitive::<TimestampMicrosecondType>();
    let steps = arrays[1].as_primitive::<Int64Type>();
    let lengths = arrays[2].as_primitive::<Int64Type>();
    let at = |row| {
        let valid = times.is_valid(row) && steps.is_valid(row) && lengths.is_valid(row);
        // All of them lie between two times.
        let moved = || {
            let way = steps.value(row).checked_mul(lengths.value(row))?;
            times.value(row).checked_add(way)
        };
        valid.then(moved).flatten()
    };
    let filled: Int64Array = (0..times.len()).map(at).collect();
    Ok(cast(&filled, arrays[0].data_type())?)
}

fn values(arrays: &[ArrayRef]) -> Result<ArrayRef> {
    let steps = arrays[2].as_primitive::<Int64Type>();
    let counts = arrays[3].as_primitive::<Int64Type>();
    let rows = steps.len();
    // The row itself needs no next value.
    let part = |row: usize| match (steps.is_valid(row), counts.is_valid(row)) {
        (true, true) => Some((steps.value(row), counts.value(row).max(1))),
        _ => None,
    };
    let data_type = arrays[0].data_type();
    match data_type {
        DataType::Decimal128(precision, scale) => {
            let from = arrays[0].as_primitive::<Decimal128Type>();
            let to = arrays[1].as_primitive::<Decimal128Type>();
            let value = |row| between(valid(from, row), valid(to, row), part(row), true);
            let filled = (0..rows).map(value).collect::<Result<Decimal128Array>>()?;
            Ok(Arc::new(
                filled.with_precision_and_scale(*precision, *scale)?,
            ))
        }
        whole if whole.is_integer() => {
            let exact = CastOptions {
                safe: false,
                ..CastOptions::default()
            };
            let from = cast_with_options(&arrays[0], &DataType::Int64, &exact)?;
            let to = cast_with_options(&arrays[1], &DataType::Int64, &exact)?;
            let (from, to) = (
                from.as_primitive::<Int64Type>(),
                to.as_primitive::<Int64Type>(),
            );
            let value = |row| {
                let (from, to) = (valid(from, row), valid(to, row));
                let value = between(from.map(i128::from), to.map(i128::from), part(row), false)?;
                Ok(value.and_then(|value| i64::try_from(value).ok()))
            };
            let filled = (0..rows).map(value).collect::<Result<Int64Array>>()?;
            Ok(cast_with_options(&filled, data_type, &exact)?)
        }
        _ => {
            let from = cast(&arrays[0], &DataType::Float64)?;
            let to = cast(&arrays[1], &DataType::Float64)?;
            let (from, to) = (
                from.as_primitive::<Float64Type>(),
                to.as_primitive::<Float64Type>(),
            );
            let value = |row: usize| match (valid(from, row), valid(to, row), part(row)?) {
                (from, _, (0, _)) => from,
                #[expect(clippy::cast_precision_loss, reason = "at most a million steps")]
                (Some(from), Some(to), (step, steps)) => {
                    Some(from + (to - from) * (step as f64) / (steps as f64))
                }
                _ => None,
            };
            let filled: Float64Array = (0..rows).map(value).collect();
            Ok(cast(&filled, data_type)?)
        }
    }
}

fn valid<T: arrow::datatypes::ArrowPrimitiveType>(
    array: &arrow::array::PrimitiveArray<T>,
    row: usize,
) -> Option<T::Native> {
    array.is_valid(row).then(|| array.value(row))
}

/// The value of a step between two; whole numbers are cut, others rounded half away from zero.
fn between(
    from: Option<i128>,
    to: Option<i128>,
    part: Option<(i64, i64)>,
    rounded: bool,
) -> Result<Option<i128>> {
    let (Some(from), Some((step, steps))) = (from, part) else {
        return Ok(None);
    };
    if step == 0 {
        return Ok(Some(from));
    }
    let Some(to) = to else { return Ok(None) };
    let (step, steps) = (i128::from(step), i128::from(steps));
    let way = to.checked_sub(from).and_then(|way| way.checked_mul(step));
    let Some(way) = way else {
        return exec_err!("a value between two is out of range");
    };
    let half = if rounded {
        way.signum() * (steps / 2)
    } else {
        0
    };
    Ok(from.checked_add((way.saturating_add(half)) / steps))
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;

    use super::*;
    use crate::kernel::call;

    fn function(which: Which) -> ScalarUDF {
        ScalarUDF::new_from_impl(Gap {
            which,
            signature: Signature::user_defined(Volatility::Immutable),
        })
    }

    fn numbers(values: &[i64]) -> ArrayRef {
        Arc::new(Int64Array::from(values.to_vec()))
    }

    #[test]
    fn steps_lie_before_the_next_row() {
        let times: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
            Some(0),
            Some(0),
            Some(0),
            Some(5),
            None,
            Some(7),
        ]));
        let nexts: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![
            Some(30),
            Some(31),
            Some(10),
            Some(5),
            Some(9),
            None,
        ]));
        let lists = call(&function(Which::Steps), &[times, nexts, numbers(&[10; 6])]);
        let lengths: Vec<usize> = lists
            .as_list::<i32>()
            .iter()
            .flatten()
            .map(|l| l.len())
            .collect();
        assert_eq!(lengths, [3, 4, 1, 1, 1, 1]);
    }

    #[test]
    fn values_lie_on_the_line_between_two() {
        let steps = numbers(&[0, 1, 2, 1, 1]);
        let from: ArrayRef = Arc::new(Int64Array::from(vec![
            Some(0),
            Some(0),
            Some(0),
            Some(-3),
            None,
        ]));
        let to: ArrayRef = Arc::new(Int64Array::from(vec![
            None,
            Some(11),
            Some(11),
            Some(-5),
            Some(1),
        ]));
        let counts = numbers(&[3; 5]);
        let whole = call(&function(Which::Value), &[from, to, steps, counts]);
        let whole: Vec<Option<i64>> = whole.as_primitive::<Int64Type>().iter().collect();
        assert_eq!(whole, [Some(0), Some(3), Some(7), Some(-3), None]);
        assert_eq!(
            between(Some(100), Some(205), Some((1, 2)), true).unwrap(),
            Some(153)
        );
        assert_eq!(
            between(Some(0), Some(-5), Some((1, 2)), true).unwrap(),
            Some(-3)
        );
    }
}
