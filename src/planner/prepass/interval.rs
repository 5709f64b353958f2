//! Interval literals: their clocks in words, and their length for window tables.

use arrow::compute::kernels::cast_utils::parse_interval_month_day_nano;
use sqlparser::ast::{Expr, Value};

use crate::base::moments::clock_in_words;
use crate::base::{Error, Result};

/// Tells the clock of an interval literal in words: DataFusion does not read `INTERVAL '1 day 04:05:06'`.
pub(super) fn spell_out(expr: &mut Expr) {
    if let Expr::Interval(interval) = expr
        && let Expr::Value(value) = interval.value.as_mut()
        && let Value::SingleQuotedString(text) = &mut value.value
        && interval.leading_field.is_none()
    {
        *text = clock_in_words(text).into_owned();
    }
}

/// Microseconds of an interval literal; a day is 24 hours.
///
/// # Errors
/// 22023 when it is no literal, has months or years, or is not positive.
pub(super) fn microseconds(expr: &Expr, what: &str) -> Result<i64> {
    let Expr::Interval(interval) = expr else {
        return Err(Error::invalid(format!(
            "{what} must be a literal such as INTERVAL '10 minutes'"
        )));
    };
    let text = match interval.value.as_ref() {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::Number(text, _) => text.clone(),
            _ => String::new(),
        },
        _ => String::new(),
    };
    let text = match &interval.leading_field {
        Some(unit) => format!("{text} {unit}"),
        None => text,
    };
    let parsed = parse_interval_month_day_nano(&text)
        .map_err(|_| Error::bad_value(format!("invalid interval \"{text}\" for {what}")))?;
    if parsed.months != 0 {
        return Err(Error::invalid(format!(
            "{what} must have a fixed length, without months or years"
        )));
    }
    if parsed.nanoseconds % 1_000 != 0 {
        return Err(Error::invalid(format!("{what} must be whole microseconds")));
    }
    i64::from(parsed.days)
        .checked_mul(86_400_000_000)
        .and_then(|days| days.checked_add(parsed.nanoseconds / 1_000))
        .filter(|length| *length > 0)
        .ok_or_else(|| Error::invalid(format!("{what} must be positive")))
}
