//! Text to values: the one reading of numbers, booleans, dates and times for every text format.
//!
//! Nothing is coerced in silence: a value that its type cannot hold exactly (a fraction in an integer, a
//! number out of range, 30 February) is refused, and the caller sets the record apart.

use arrow::array::timezone::Tz;
use arrow::compute::kernels::cast_utils::string_to_datetime;
use chrono::{DateTime, Datelike, NaiveDate, Timelike, Utc};

/// A signed integer. `1.0` and `1e3` are integers too: files written by tools whose integers turned to
/// floats at the first missing value are common. With `exact`, digits alone are.
pub(crate) fn integer(bytes: &[u8], exact: bool) -> Option<i128> {
    let (negative, digits) = match bytes.first()? {
        b'-' => (true, &bytes[1..]),
        b'+' => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    if digits.is_empty() {
        return None;
    }
    if digits.len() <= 18 {
        let mut value: i64 = 0;
        for &byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return if exact { None } else { integral(bytes) };
            }
            value = value * 10 + i64::from(digit);
        }
        return Some(i128::from(if negative { -value } else { value }));
    }
    if digits.iter().all(u8::is_ascii_digit) {
        return std::str::from_utf8(bytes).ok()?.parse().ok();
    }
    if exact { None } else { integral(bytes) }
}

/// An integer written with a fraction of zeros or an exponent, when a double holds it exactly.
fn integral(bytes: &[u8]) -> Option<i128> {
    let value = float(bytes)?;
    // 2^53: beyond it the text may have named a neighbour.
    if value.fract() != 0.0 || value.abs() > 9_007_199_254_740_992.0 {
        return None;
    }
    format!("{value:.0}").parse().ok()
}

/// A double. `NaN`, `inf` and `infinity` are read in any case; a number too large for a double is refused.
pub(crate) fn float(bytes: &[u8]) -> Option<f64> {
    let value: f64 = std::str::from_utf8(bytes).ok()?.parse().ok()?;
    if value.is_infinite() && bytes.iter().any(u8::is_ascii_digit) {
        None
    } else {
        Some(value)
    }
}

/// PostgreSQL's boolean texts.
pub(crate) fn boolean(bytes: &[u8]) -> Option<bool> {
    const TRUE: [&[u8]; 6] = [b"true", b"t", b"1", b"yes", b"y", b"on"];
    const FALSE: [&[u8]; 6] = [b"false", b"f", b"0", b"no", b"n", b"off"];
    if TRUE.iter().any(|text| bytes.eq_ignore_ascii_case(text)) {
        Some(true)
    } else if FALSE.iter().any(|text| bytes.eq_ignore_ascii_case(text)) {
        Some(false)
    } else {
        None
    }
}

/// Days since 1970-01-01 of `YYYY-MM-DD`, or of a timestamp at midnight.
pub(crate) fn date(bytes: &[u8]) -> Option<i32> {
    let text = bytes.get(..10)?;
    let day = ymd(text)?;
    if bytes.len() > 10 {
        let rest = timestamp_us(bytes, None)?;
        if rest != i64::from(day) * 86_400_000_000 {
            return None;
        }
    }
    Some(day)
}

/// Days since 1970-01-01 of exactly `YYYY-MM-DD`.
fn ymd(text: &[u8]) -> Option<i32> {
    let &[a, b, c, d, b'-', e, f, b'-', g, h] = text else {
        return None;
    };
    let year = two(a, b)? * 100 + two(c, d)?;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, two(e, f)?, two(g, h)?)?;
    // Days from the common era; 1970-01-01 is day 719,163.
    Some(date.num_days_from_ce() - 719_163)
}

fn two(tens: u8, ones: u8) -> Option<u32> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| u32::from(tens) * 10 + u32::from(ones))
}

/// Nanoseconds since midnight of `HH:MM[:SS[.fraction]]`.
pub(crate) fn time_ns(bytes: &[u8]) -> Option<i64> {
    let (&[a, b, b':', c, d], rest) = bytes.split_first_chunk::<5>()? else {
        return None;
    };
    let (hour, minute) = (two(a, b)?, two(c, d)?);
    let (second, nanos) = match rest {
        [] => (0, 0),
        [b':', e, f] => (two(*e, *f)?, 0),
        [b':', e, f, b'.', fraction @ ..] => (two(*e, *f)?, nanos(fraction)?),
        _ => return None,
    };
    (hour < 24 && minute < 60 && second < 60).then(|| {
        (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000_000
            + nanos
    })
}

fn nanos(fraction: &[u8]) -> Option<i64> {
    if fraction.is_empty() || fraction.len() > 9 || !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let digits = fraction
        .iter()
        .fold(0_i64, |value, byte| value * 10 + i64::from(byte - b'0'));
    (fraction.len()..9).try_fold(digits, |value, _| value.checked_mul(10))
}

/// Microseconds since 1970-01-01 UTC. See [`timestamp`].
pub(crate) fn timestamp_us(bytes: &[u8], zone: Option<&Tz>) -> Option<i64> {
    timestamp(bytes, zone).and_then(|(seconds, nanos)| {
        seconds
            .checked_mul(1_000_000)?
            .checked_add(i64::from(nanos) / 1000)
    })
}

/// Seconds and nanoseconds since 1970-01-01 UTC of `YYYY-MM-DD[T ]HH:MM[:SS[.fraction]][offset]`.
///
/// A text with an offset names an instant, which a column without zone keeps in UTC (as DataFusion's CAST
/// does). A text without one is in `zone`, or in UTC.
pub(crate) fn timestamp(bytes: &[u8], zone: Option<&Tz>) -> Option<(i64, u32)> {
    if let Some(found) = plain_timestamp(bytes, zone.is_none()) {
        return Some(found);
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let parsed: DateTime<Utc> = match zone {
        Some(zone) => string_to_datetime(zone, text).ok()?.with_timezone(&Utc),
        None => string_to_datetime(&Utc, text).ok()?,
    };
    Some((parsed.timestamp(), parsed.nanosecond()))
}

/// The usual form, in UTC, without chrono's parser: `2013-01-01T10:00:00Z`.
fn plain_timestamp(bytes: &[u8], utc: bool) -> Option<(i64, u32)> {
    let day = ymd(bytes.get(..10)?)?;
    if !matches!(bytes.get(10), Some(b'T' | b' ')) {
        return None;
    }
    let rest = &bytes[11..];
    let clock = match rest.strip_suffix(b"Z") {
        Some(clock) => clock,
        None if utc => rest,
        None => return None,
    };
    let of_day = time_ns(clock)?;
    let seconds = i64::from(day) * 86_400 + of_day / 1_000_000_000;
    Some((seconds, u32::try_from(of_day % 1_000_000_000).ok()?))
}

/// A decimal as its digits at `scale`, rounded half away from zero as PostgreSQL does; more than
/// `precision` digits are refused.
pub(crate) fn decimal(bytes: &[u8], precision: u8, scale: i8) -> Option<i128> {
    let (mantissa, exponent) = match bytes.iter().position(|&byte| byte == b'e' || byte == b'E') {
        Some(at) => {
            let exponent = std::str::from_utf8(&bytes[at + 1..])
                .ok()?
                .parse::<i32>()
                .ok()?;
            (&bytes[..at], exponent)
        }
        None => (bytes, 0),
    };
    let (negative, mantissa) = match mantissa.first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let mut value: i128 = 0;
    let (mut digits, mut fraction, mut point) = (0_u32, 0_i32, false);
    for &byte in mantissa {
        match byte {
            b'.' if !point => point = true,
            b'0'..=b'9' => {
                digits += 1;
                fraction += i32::from(point);
                value = value
                    .checked_mul(10)?
                    .checked_add(i128::from(byte - b'0'))?;
            }
            _ => return None,
        }
    }
    if digits == 0 {
        return None;
    }
    let shift = i32::from(scale)
        .checked_sub(fraction)?
        .checked_add(exponent)?;
    let value = rescale(value, shift)?;
    let limit = 10_i128.checked_pow(u32::from(precision))?;
    (value < limit).then_some(if negative { -value } else { value })
}

fn rescale(value: i128, shift: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    let power = 10_i128.checked_pow(shift.unsigned_abs());
    if shift >= 0 {
        return value.checked_mul(power?);
    }
    let Some(power) = power else { return Some(0) };
    let (whole, rest) = (value / power, value % power);
    Some(if rest >= power - rest {
        whole + 1
    } else {
        whole
    })
}

/// Bytes of `\x0a0b`, PostgreSQL's hex form.
pub(crate) fn hex(bytes: &[u8]) -> Option<Vec<u8>> {
    let digits = bytes.strip_prefix(b"\\x")?;
    if digits.len() % 2 != 0 {
        return None;
    }
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|digit| u8::try_from(digit).ok())
    };
    digits
        .chunks_exact(2)
        .map(|pair| Some(digit(pair[0])? * 16 + digit(pair[1])?))
        .collect()
}
