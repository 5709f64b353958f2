//! The microseconds since the minute began: what the seconds, milliseconds and microseconds of EXTRACT are made of.
//!
//! DataFusion counts a length's nanoseconds in 32 bits, which hold two seconds of them.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, Int32Array};
use arrow::compute::{DatePart, binary, cast, date_part};
use arrow::datatypes::{
    DataType, Date32Type, DurationMicrosecondType, Int32Type, IntervalMonthDayNanoType,
    IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;

const MINUTE: i64 = 60_000_000;

static MICROS: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::new_from_impl(MicrosOfMinute {
        signature: Signature::any(1, Volatility::Immutable),
    })
});

/// The number of `moment`, which may be a length of time too. The call never appears in SQL text.
pub(in crate::planner) fn micros_of_minute(moment: Expr) -> Expr {
    MICROS.call(vec![moment])
}

fn micros(moments: &ArrayRef) -> Result<Int32Array> {
    let of_minute = |micros: i64| i32::try_from(micros % MINUTE).unwrap_or_default();
    Ok(match moments.data_type() {
        DataType::Interval(_) => {
            let lengths = cast(moments, &DataType::Interval(IntervalUnit::MonthDayNano))?;
            let lengths = lengths.as_primitive::<IntervalMonthDayNanoType>();
            lengths.unary(|length| of_minute(length.nanoseconds / 1_000))
        }
        DataType::Duration(_) => {
            let lengths = cast(moments, &DataType::Duration(TimeUnit::Microsecond))?;
            let lengths = lengths.as_primitive::<DurationMicrosecondType>();
            lengths.unary(of_minute)
        }
        DataType::Date32 | DataType::Date64 => {
            let dates = cast(moments, &DataType::Date32)?;
            let dates = dates.as_primitive::<Date32Type>();
            dates.unary(|_| 0)
        }
        _ => {
            let seconds = date_part(moments, DatePart::Second)?;
            let nanos = date_part(moments, DatePart::Nanosecond)?;
            let (seconds, nanos) = (
                seconds.as_primitive::<Int32Type>(),
                nanos.as_primitive::<Int32Type>(),
            );
            binary(seconds, nanos, |second, nano| {
                second * 1_000_000 + nano % 1_000_000_000 / 1_000
            })?
        }
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct MicrosOfMinute {
    signature: Signature,
}

impl ScalarUDFImpl for MicrosOfMinute {
    fn name(&self) -> &str {
        "micros_of_minute"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [kind] if kind.is_temporal() || kind.is_null() => Ok(DataType::Int32),
            [kind] => plan_err!("{kind} has no seconds"),
            _ => Err(Error::internal("the seconds are of one moment").into()),
        }
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [value] if value.data_type().is_null() => {
                Ok(ColumnarValue::Scalar(ScalarValue::Int32(None)))
            }
            [ColumnarValue::Array(moments)] => Ok(ColumnarValue::Array(Arc::new(micros(moments)?))),
            [ColumnarValue::Scalar(moment)] => {
                let one = micros(&moment.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            _ => Err(Error::internal("the seconds are of one moment").into()),
        }
    }
}
