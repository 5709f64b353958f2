//! `hour_of_week(moment)`: 0 for Monday 0:00 to 167 for Sunday 23:00.

use std::sync::Arc;

use arrow::array::{ArrayRef, ArrowPrimitiveType, AsArray, Int32Array};
use arrow::datatypes::{
    DataType, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampNanosecondType, TimestampSecondType,
};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::kernel::over_arrays;

const HOURS_A_WEEK: i64 = 168;
/// 1 January 1970 was a Thursday: the third day after Monday.
const HOURS_AT_EPOCH: i64 = 3 * 24;

/// `hour_of_week(moment timestamp) -> int`: the hour within the week, from 0 (Monday 0:00 to 0:59) to 167.
/// A timestamp without zone is taken as it stands, one with a zone (and a date) in UTC.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct HourOfWeek {
    signature: Signature,
}

impl Default for HourOfWeek {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for HourOfWeek {
    fn name(&self) -> &str {
        "hour_of_week"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            // Every unit has its kernel: a cast to a coarser one would round moments before 1970 up.
            [DataType::Timestamp(unit, zone)] => Ok(vec![DataType::Timestamp(*unit, zone.clone())]),
            [DataType::Date32 | DataType::Date64 | DataType::Null] => {
                Ok(vec![DataType::Timestamp(TimeUnit::Microsecond, None)])
            }
            _ => plan_err!("hour_of_week takes one timestamp"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int32)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| hours(&arrays[0]))
    }
}

fn hours(moments: &ArrayRef) -> Result<ArrayRef> {
    let answer = match moments.data_type() {
        DataType::Timestamp(TimeUnit::Second, _) => by_unit::<TimestampSecondType>(moments, 1),
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            by_unit::<TimestampMillisecondType>(moments, 1_000)
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            by_unit::<TimestampMicrosecondType>(moments, 1_000_000)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            by_unit::<TimestampNanosecondType>(moments, 1_000_000_000)
        }
        other => return exec_err!("hour_of_week takes one timestamp, not {other}"),
    };
    Ok(Arc::new(answer))
}

fn by_unit<T: ArrowPrimitiveType<Native = i64>>(moments: &ArrayRef, a_second: i64) -> Int32Array {
    let an_hour = 3_600 * a_second;
    moments.as_primitive::<T>().unary(|moment| {
        // Each part is below a week's hours before they are added: nothing can overflow.
        let hours = moment.div_euclid(an_hour).rem_euclid(HOURS_A_WEEK) + HOURS_AT_EPOCH;
        i32::try_from(hours % HOURS_A_WEEK).expect("an hour of the week is below 168")
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{TimestampMicrosecondArray, TimestampNanosecondArray};
    use datafusion_expr::ScalarUDF;

    use super::*;
    use crate::kernel::call;

    fn micros(seconds: i64) -> i64 {
        seconds * 1_000_000
    }

    #[test]
    fn week_begins_on_monday_and_goes_around() {
        // Thursday 0:00; Sunday 4 January 1970 23:59:59; Monday 5 January 0:00; and 1 January 2013,
        // a Tuesday, 5:15.
        let moments = [0, 4 * 86_400 - 1, 4 * 86_400, 1_357_017_300]
            .map(micros)
            .to_vec();
        let function = ScalarUDF::new_from_impl(HourOfWeek::default());
        let answer = call(
            &function,
            &[Arc::new(TimestampMicrosecondArray::from(moments))],
        );
        let answer = answer.as_primitive::<arrow::datatypes::Int32Type>();
        assert_eq!(answer.values(), &[72, 167, 0, 29]);
    }

    #[test]
    fn moments_before_1970_are_not_rounded_up() {
        let function = ScalarUDF::new_from_impl(HourOfWeek::default());
        let moments = TimestampNanosecondArray::from(vec![Some(-1), Some(i64::MIN), None]);
        let answer = call(&function, &[Arc::new(moments)]);
        assert_eq!(answer.null_count(), 1);
        let answer = answer.as_primitive::<arrow::datatypes::Int32Type>();
        assert_eq!(answer.value(0), 71);
        assert!((0..168).contains(&answer.value(1)));
    }
}
