//! The one rounding: an exact binary number to the nearest `f64`, ties to even.

/// Rounds `magnitude * 2^exponent` to the nearest `f64`, ties to even, subnormals included.
/// `sticky` says that the exact number lies a little (less than `2^exponent`) further from zero. Infinite beyond the range.
///
/// The magnitude must have over 54 bits, or `sticky` be false.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "every cast is of a number that the lines before bound"
)]
pub fn round_to_f64(negative: bool, magnitude: u128, exponent: i32, sticky: bool) -> f64 {
    if magnitude == 0 {
        return 0.0;
    }
    let top = exponent + (127 - magnitude.leading_zeros() as i32);
    let sign = u64::from(negative) << 63;
    let infinite = f64::from_bits(sign | (0x7ff << 52));
    if top > 1023 {
        return infinite;
    }
    let mut least = (top - 52).max(-1074);
    let shift = least - exponent;
    let mut mantissa = if shift <= 0 {
        (magnitude << -shift) as u64
    } else if shift > 128 {
        0
    } else {
        let kept = if shift == 128 {
            0
        } else {
            (magnitude >> shift) as u64
        };
        let half = 1_u128 << (shift - 1);
        let rest = if shift == 128 {
            magnitude
        } else {
            magnitude & ((1_u128 << shift) - 1)
        };
        let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
        kept + u64::from(up)
    };
    if mantissa == 1 << 53 {
        mantissa = 1 << 52;
        least += 1;
    }
    if mantissa < 1 << 52 {
        // a subnormal number: its least bit is that of the type
        return f64::from_bits(sign | mantissa);
    }
    let biased = least + 1075;
    if biased >= 2047 {
        return infinite;
    }
    f64::from_bits(sign | ((biased as u64) << 52) | (mantissa & ((1 << 52) - 1)))
}

/// A finite `f64` as `mantissa * 2^exponent`, the mantissa within 53 bits and signed.
#[expect(
    clippy::cast_possible_wrap,
    reason = "a mantissa has 53 bits, an exponent 11"
)]
#[inline]
pub fn parts(value: f64) -> (i64, i32) {
    let bits = value.to_bits();
    let biased = ((bits >> 52) & 0x7ff) as i32;
    let fraction = (bits & ((1 << 52) - 1)) as i64;
    let (mantissa, exponent) = if biased == 0 {
        (fraction, -1074)
    } else {
        (fraction | (1 << 52), biased - 1075)
    };
    (if bits >> 63 == 1 { -mantissa } else { mantissa }, exponent)
}
