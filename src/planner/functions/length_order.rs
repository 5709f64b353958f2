//! Lengths of time as numbers that compare as the lengths do: a day is 24 hours and a month 30 days, as PostgreSQL compares them.
//!
//! Arrow compares months first, then days, then the rest, for which 36 hours are shorter than a day.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Decimal128Array};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, DurationMicrosecondType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;

/// Nanoseconds: 2^31 months have 24 digits of them.
const NUMBER: DataType = DataType::Decimal128(38, 0);
const DAY: i128 = 86_400_000_000_000;

static ORDER: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::new_from_impl(LengthOrder {
        signature: Signature::any(1, Volatility::Immutable),
    })
});

/// The number of `length`. The call never appears in SQL text.
pub(in crate::planner) fn number_of(length: Expr) -> Expr {
    ORDER.call(vec![length])
}

/// Whether values of this type are lengths of time.
pub(in crate::planner) fn is_length(kind: &DataType) -> bool {
    matches!(kind, DataType::Interval(_) | DataType::Duration(_))
}

fn numbers(lengths: &ArrayRef) -> Result<Decimal128Array> {
    let numbers: Decimal128Array = if matches!(lengths.data_type(), DataType::Duration(_)) {
        let micros = cast(lengths, &DataType::Duration(TimeUnit::Microsecond))?;
        let micros = micros.as_primitive::<DurationMicrosecondType>();
        micros.unary(|micros| i128::from(micros) * 1_000)
    } else {
        let lengths = cast(lengths, &DataType::Interval(IntervalUnit::MonthDayNano))?;
        let lengths = lengths.as_primitive::<IntervalMonthDayNanoType>();
        lengths.unary(|length| {
            let days = i128::from(length.months) * 30 + i128::from(length.days);
            days * DAY + i128::from(length.nanoseconds)
        })
    };
    Ok(numbers.with_data_type(NUMBER))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct LengthOrder {
    signature: Signature,
}

impl ScalarUDFImpl for LengthOrder {
    fn name(&self) -> &str {
        "length_in_nanoseconds"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(NUMBER)
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(lengths)] => {
                Ok(ColumnarValue::Array(Arc::new(numbers(lengths)?)))
            }
            [ColumnarValue::Scalar(length)] => {
                let one = numbers(&length.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            _ => Err(Error::internal("one length has a number").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{DurationMicrosecondArray, IntervalMonthDayNanoArray};
    use arrow::datatypes::IntervalMonthDayNano;

    use super::*;

    #[test]
    fn months_have_thirty_days_and_days_24_hours() {
        let length = IntervalMonthDayNano::new;
        let lengths = IntervalMonthDayNanoArray::from(vec![
            length(1, 0, 0),
            length(0, 30, 0),
            length(0, 0, 86_400_000_000_000),
            length(i32::MIN, i32::MIN, i64::MIN),
        ]);
        let found = numbers(&(Arc::new(lengths) as ArrayRef)).unwrap();
        assert_eq!(found.value(0), found.value(1));
        assert_eq!(found.value(2), DAY);
        assert!(found.value(3) < -(1 << 80));
        let between = DurationMicrosecondArray::from(vec![Some(86_400_000_000), None]);
        let found = numbers(&(Arc::new(between) as ArrayRef)).unwrap();
        assert_eq!(found.iter().collect::<Vec<_>>(), [Some(DAY), None]);
    }
}
