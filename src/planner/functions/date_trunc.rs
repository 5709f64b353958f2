//! `date_trunc` of timestamps in microseconds and UTC over their whole range, and with PostgreSQL's long units.
//!
//! DataFusion's goes by way of nanoseconds, which end in 1677 and 2262, and overflows beyond. Other times are left to it.

use std::sync::Arc;

use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit, TimestampMicrosecondType};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result, ScalarValue};
use datafusion::functions;
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use crate::base::{Error, Kind};

const SECOND_US: i64 = 1_000_000;
pub(super) const DAY_US: i64 = 86_400 * SECOND_US;

/// The function, to be registered over DataFusion's.
pub(super) fn date_trunc() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(DateTrunc {
        inner: functions::datetime::date_trunc(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

/// The types that `inner`, a function of a unit or a stride and a time, is called with. A date or a text becomes a time in
/// microseconds, and not in nanoseconds as in DataFusion: when a query is bound already, so that what stands above knows the type.
pub(super) fn coerced(inner: &ScalarUDF, arg_types: &[DataType]) -> Result<Vec<DataType>> {
    let mut arg_types = arg_types.to_vec();
    if let Some(time) = arg_types.get_mut(1)
        && (time.is_string() || matches!(time, DataType::Date32 | DataType::Date64))
    {
        *time = DataType::Timestamp(TimeUnit::Microsecond, None);
    }
    let field = |of| Arc::new(Field::new("argument", of, true));
    let fields: Vec<FieldRef> = arg_types.into_iter().map(field).collect();
    let fields = fields_with_udf(&fields, inner)?;
    Ok(fields.iter().map(|of| of.data_type().clone()).collect())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateTrunc {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

/// What a timestamp is cut to.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// So many microseconds from the epoch on.
    Fixed(i64),
    /// From Monday on.
    Week,
    Months(i64),
    /// Decades begin with a year that they divide.
    Decade,
    /// Centuries and millennia begin with a year one; the one before year 1 ends with 1 BC.
    Years(i64),
}

impl Unit {
    fn named(name: &str) -> Option<Self> {
        Some(match name.to_ascii_lowercase().as_str() {
            "microsecond" | "microseconds" => Self::Fixed(1),
            "millisecond" | "milliseconds" => Self::Fixed(1_000),
            "second" => Self::Fixed(SECOND_US),
            "minute" => Self::Fixed(60 * SECOND_US),
            "hour" => Self::Fixed(3_600 * SECOND_US),
            "day" => Self::Fixed(DAY_US),
            "week" => Self::Week,
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Months(12),
            "decade" => Self::Decade,
            "century" => Self::Years(100),
            "millennium" => Self::Years(1_000),
            _ => return None,
        })
    }

    /// The start of the unit that `us` lies in; `None` where the type cannot hold it.
    fn start(self, us: i64) -> Option<i64> {
        let day = us.div_euclid(DAY_US);
        let (year, month) = year_and_month(day);
        match self {
            Self::Fixed(size) => us.div_euclid(size).checked_mul(size),
            // 1970-01-01 was a Thursday.
            Self::Week => (day - (day + 3).rem_euclid(7)).checked_mul(DAY_US),
            Self::Months(months) => midnight(year, (month - 1) / months * months + 1),
            Self::Decade => midnight(year.div_euclid(10) * 10, 1),
            Self::Years(years) => midnight((year - 1).div_euclid(years) * years + 1, 1),
        }
    }
}

/// The year and the month of a day since 1970 (Howard Hinnant's `civil_from_days`).
fn year_and_month(day: i64) -> (i64, i64) {
    let from_march = day + 719_468;
    let era = from_march.div_euclid(146_097);
    let of_era = from_march.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    if month < 10 {
        (era * 400 + year, month + 3)
    } else {
        (era * 400 + year + 1, month - 9)
    }
}

/// The first moment of a month.
fn midnight(year: i64, month: i64) -> Option<i64> {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let of_era = year.rem_euclid(400);
    let days = of_era * 365 + of_era / 4 - of_era / 100 + (153 * month + 2) / 5;
    (year.div_euclid(400) * 146_097 + days - 719_468).checked_mul(DAY_US)
}

pub(super) fn out_of_range() -> Error {
    Error::new(Kind::Invalid, "22008", "timestamp out of range")
}

/// The unit of a call over microseconds; `None` where DataFusion's function answers.
fn unit_of(args: &ScalarFunctionArgs) -> Option<Unit> {
    let [ColumnarValue::Scalar(name), value] = &args.args[..] else {
        return None;
    };
    let name = name.try_as_str().flatten()?;
    match is_plain(&value.data_type()) {
        true => Unit::named(name),
        false => None,
    }
}

/// Whether `data_type` is that of timestamps in microseconds and UTC, or without a zone.
pub(super) fn is_plain(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => zone
            .as_deref()
            .is_none_or(|zone| matches!(zone, "UTC" | "+00:00" | "Z")),
        _ => false,
    }
}

impl ScalarUDFImpl for DateTrunc {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerced(&self.inner, arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(unit) = unit_of(&args) else {
            return self.inner.inner().invoke_with_args(args);
        };
        of_each(args, |us| unit.start(us).ok_or_else(out_of_range))
    }
}

/// What `start` makes of each time in the second argument, which [`is_plain`].
///
/// # Errors
/// Those of `start`.
pub(super) fn of_each(
    args: ScalarFunctionArgs,
    start: impl Fn(i64) -> Result<i64, Error>,
) -> Result<ColumnarValue> {
    match args.args.into_iter().nth(1) {
        Some(ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(us, zone))) => {
            let us = us.map(start).transpose()?;
            let value = ScalarValue::TimestampMicrosecond(us, zone);
            Ok(ColumnarValue::Scalar(value))
        }
        Some(ColumnarValue::Array(array)) => {
            let times = array.as_primitive::<TimestampMicrosecondType>();
            let starts: PrimitiveArray<TimestampMicrosecondType> = times.try_unary(|us| {
                start(us).map_err(|error| ArrowError::from_external_error(Box::new(error)))
            })?;
            let starts = starts.with_data_type(array.data_type().clone());
            Ok(ColumnarValue::Array(Arc::new(starts)))
        }
        _ => Err(DataFusionError::from(Error::internal(
            "the second argument is not a time",
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{DAY_US, Unit};

    fn cut(name: &str, us: i64) -> Option<i64> {
        Unit::named(name).unwrap().start(us)
    }

    #[test]
    fn a_time_is_cut_to_the_start_of_its_unit_over_the_whole_range() {
        let leap_day = 951_782_400_000_001;
        assert_eq!(cut("day", leap_day), Some(951_782_400_000_000));
        assert_eq!(cut("month", leap_day), Some(949_363_200_000_000));
        assert_eq!(cut("quarter", leap_day), Some(946_684_800_000_000));
        assert_eq!(cut("century", leap_day), Some(-2_177_452_800_000_000));
        assert_eq!(cut("week", 0), Some(-3 * DAY_US));
        assert_eq!(cut("year", -1), Some(-365 * DAY_US));
        assert_eq!(cut("decade", -1), Some(-3_653 * DAY_US));
        assert!(cut("minute", i64::MAX).is_some());
        assert!(cut("millennium", i64::MAX).is_some());
        assert_eq!(cut("second", i64::MIN), None);
    }
}
