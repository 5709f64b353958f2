//! A length of time without months and days, added to a timestamp as the number that it is.
//!
//! An interval is added by the calendar, a row at a time; windows of a model add one to every row. Where the
//! interval has a whole number of the timestamp's units, the sum of the numbers is the same.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::Expr;

/// `right` as a number of the units of `left`, where `left` is a timestamp and `right` a constant interval that has
/// such a number.
pub(super) fn as_duration(left: &DataType, right: &Expr) -> Option<Expr> {
    let DataType::Timestamp(unit, _) = left else {
        return None;
    };
    let Expr::Literal(ScalarValue::IntervalMonthDayNano(Some(interval)), metadata) = right else {
        return None;
    };
    let nanoseconds = match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    };
    if interval.months != 0 || interval.days != 0 || interval.nanoseconds % nanoseconds != 0 {
        return None;
    }
    let number = Some(interval.nanoseconds / nanoseconds);
    let duration = match unit {
        TimeUnit::Second => ScalarValue::DurationSecond(number),
        TimeUnit::Millisecond => ScalarValue::DurationMillisecond(number),
        TimeUnit::Microsecond => ScalarValue::DurationMicrosecond(number),
        TimeUnit::Nanosecond => ScalarValue::DurationNanosecond(number),
    };
    Some(Expr::Literal(duration, metadata.clone()))
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::IntervalMonthDayNano;
    use datafusion::logical_expr::lit;

    use super::*;

    #[test]
    fn only_whole_units_without_months_and_days_become_numbers() {
        let interval = |months, days, nanoseconds| {
            lit(ScalarValue::IntervalMonthDayNano(Some(
                IntervalMonthDayNano::new(months, days, nanoseconds),
            )))
        };
        let of = |unit, interval: &Expr| as_duration(&DataType::Timestamp(unit, None), interval);
        let micros = |number| Some(lit(ScalarValue::DurationMicrosecond(Some(number))));
        let ten = interval(0, 0, 10_000_000_000);
        assert_eq!(of(TimeUnit::Microsecond, &ten), micros(10_000_000));
        let back = interval(0, 0, -2_000);
        assert_eq!(of(TimeUnit::Microsecond, &back), micros(-2));
        for other in [interval(1, 0, 0), interval(0, 1, 0), interval(0, 0, 1_500)] {
            assert_eq!(of(TimeUnit::Microsecond, &other), None, "{other}");
        }
        assert_eq!(of(TimeUnit::Second, &back), None);
        assert_eq!(as_duration(&DataType::Date32, &ten), None);
    }
}
