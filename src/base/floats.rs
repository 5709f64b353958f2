//! Floats as PostgreSQL writes them.

use bytes::{BufMut, BytesMut};

use super::moments::padded;

/// Appends a float8: the fewest digits that read back, with an exponent outside 1e-4..1e15.
pub(crate) fn float8(value: f64, out: &mut BytesMut) {
    if value.is_finite() {
        shortest(&format!("{value:e}"), 15, out);
    } else {
        not_finite(value.is_nan(), value > 0.0, out);
    }
}

/// Appends a float4: as [`float8`], but with an exponent from 1e6 on.
pub(crate) fn float4(value: f32, out: &mut BytesMut) {
    if value.is_finite() {
        shortest(&format!("{value:e}"), 6, out);
    } else {
        not_finite(value.is_nan(), value > 0.0, out);
    }
}

fn not_finite(nan: bool, positive: bool, out: &mut BytesMut) {
    let text = match (nan, positive) {
        (true, _) => "NaN",
        (false, true) => "Infinity",
        (false, false) => "-Infinity",
    };
    out.put_slice(text.as_bytes());
}

/// Rewrites Rust's `d.ddde-x` in the way of PostgreSQL.
fn shortest(scientific: &str, exponent_from: i32, out: &mut BytesMut) {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let unsigned = mantissa.strip_prefix('-').unwrap_or(mantissa);
    if unsigned.len() < mantissa.len() {
        out.put_u8(b'-');
    }
    if !(-4..exponent_from).contains(&exponent) {
        out.put_slice(unsigned.as_bytes());
        out.put_slice(if exponent < 0 { b"e-" } else { b"e+" });
        padded(u64::from(exponent.unsigned_abs()), 2, out);
        return;
    }
    let digits = unsigned.bytes().filter(|byte| *byte != b'.');
    let shift = usize::try_from(exponent.unsigned_abs()).unwrap_or_default();
    if exponent < 0 {
        out.put_slice(b"0.");
        out.put_bytes(b'0', shift - 1);
        out.extend(digits);
        return;
    }
    let count = digits.clone().count();
    for (place, digit) in digits.enumerate() {
        if place == shift + 1 {
            out.put_u8(b'.');
        }
        out.put_u8(digit);
    }
    out.put_bytes(b'0', (shift + 1).saturating_sub(count));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::moments::text;

    #[test]
    fn floats_are_written_as_postgres_writes_them() {
        for (value, wanted) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (1.5, "1.5"),
            (100.0, "100"),
            (123_456.789, "123456.789"),
            (1e14, "100000000000000"),
            (1e15, "1e+15"),
            (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
            (0.0001, "0.0001"),
            (0.000_012_5, "1.25e-05"),
            (1e300, "1e+300"),
            (5e-324, "5e-324"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(text(|out| float8(value, out)), wanted);
        }
        assert_eq!(text(|out| float4(0.1, out)), "0.1");
        assert_eq!(text(|out| float4(1e6, out)), "1e+06");
        assert_eq!(text(|out| float4(123_456.0, out)), "123456");
    }
}
