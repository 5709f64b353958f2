//! Numbers with an exponent: `1.5e3` is the numeric 1500, as in PostgreSQL.
//!
//! DataFusion makes of `1e15` a decimal with a scale of -15, which later arithmetic does not expect, and none at all
//! of `1e300`. So the digits are written out; a number that no decimal of 38 digits holds is a double.

use sqlparser::ast::{DataType, ExactNumberInfo, Expr, Value};

use super::build::{cast, number};

/// The most digits of a decimal.
const MAX_DIGITS: usize = 38;

/// Rewrites `expr` where it is a number with an exponent.
pub(super) fn rewrite(expr: &mut Expr) {
    let Expr::Value(value) = &*expr else { return };
    let Value::Number(text, _) = &value.value else {
        return;
    };
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return;
    };
    let written = exponent
        .parse::<i32>()
        .ok()
        .and_then(|exponent| written_out(&mantissa.replace('_', ""), exponent));
    *expr = match written {
        Some(Written::Whole(digits)) => {
            let precision = u64::try_from(digits.len()).unwrap_or(u64::MAX);
            let numeric = DataType::Numeric(ExactNumberInfo::PrecisionAndScale(precision, 0));
            cast(number(digits), numeric)
        }
        Some(Written::Fraction(digits)) => number(digits),
        None => {
            let text = Value::SingleQuotedString(text.clone());
            cast(Expr::Value(text.into()), DataType::DoublePrecision)
        }
    };
}

enum Written {
    Whole(String),
    Fraction(String),
}

/// `mantissa` times ten to the `exponent`, without exponent.
fn written_out(mantissa: &str, exponent: i32) -> Option<Written> {
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let most = i64::try_from(MAX_DIGITS).ok()?;
    let point = i64::try_from(whole.len()).ok()? + i64::from(exponent);
    let length = i64::try_from(digits.len()).ok()?;
    if point.abs() > most || length > most {
        return None;
    }
    if point >= length {
        let zeros = usize::try_from(point - length).ok()?;
        let all = format!("{digits}{}", "0".repeat(zeros));
        let significant = all.trim_start_matches('0');
        let text = if significant.is_empty() {
            "0"
        } else {
            significant
        };
        return (text.len() <= MAX_DIGITS).then(|| Written::Whole(text.to_owned()));
    }
    if length - point.min(0) > most {
        return None;
    }
    Some(Written::Fraction(match usize::try_from(point) {
        Ok(0) | Err(_) => {
            let zeros = usize::try_from(point.saturating_neg()).unwrap_or(0);
            format!("0.{}{digits}", "0".repeat(zeros))
        }
        Ok(point) => format!("{}.{}", digits.get(..point)?, digits.get(point..)?),
    }))
}
