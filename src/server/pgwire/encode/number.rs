//! Numbers as PostgreSQL writes them: integers, and numeric of any size.

use arrow::datatypes::i256;
use bytes::{BufMut, BytesMut};

use crate::base::{Error, Kind, Result};

/// Longest run of digits of an unscaled value: 78 for 256 bits.
const MOST_DIGITS: usize = 80;

/// Appends an integer.
pub(super) fn integer(value: i64, out: &mut BytesMut) {
    if value < 0 {
        out.put_u8(b'-');
    }
    unsigned(value.unsigned_abs(), out);
}

/// Appends an unsigned integer.
pub(super) fn unsigned(value: u64, out: &mut BytesMut) {
    out.put_slice(Digits::of(false, u128::from(value)).as_slice());
}

/// The decimal digits of an unscaled value, without leading zeros; zero is `0`.
pub(super) struct Digits {
    negative: bool,
    buffer: [u8; MOST_DIGITS],
    start: usize,
}

impl Digits {
    /// Of a 128 bit value.
    pub(super) fn of_i128(value: i128) -> Self {
        Self::of(value < 0, value.unsigned_abs())
    }

    /// Of a 256 bit value.
    pub(super) fn of_i256(value: i256) -> Self {
        match value.to_i128() {
            Some(small) => Self::of_i128(small),
            None => {
                let text = value.to_string();
                let digits = text.trim_start_matches('-').as_bytes();
                let mut buffer = [b'0'; MOST_DIGITS];
                let start = MOST_DIGITS.saturating_sub(digits.len());
                for (place, digit) in buffer.iter_mut().rev().zip(digits.iter().rev()) {
                    *place = *digit;
                }
                Self {
                    negative: text.starts_with('-'),
                    buffer,
                    start,
                }
            }
        }
    }

    fn of(negative: bool, mut value: u128) -> Self {
        let mut buffer = [b'0'; MOST_DIGITS];
        let mut start = MOST_DIGITS;
        // 128 bit division is slow: most values leave it after one step.
        while value > u128::from(u64::MAX) {
            let digit = u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
            start -= 1;
            buffer[start] = b'0' + digit;
        }
        let mut value = u64::try_from(value).unwrap_or_default();
        loop {
            let digit = u8::try_from(value % 10).unwrap_or_default();
            value /= 10;
            start -= 1;
            buffer[start] = b'0' + digit;
            if value == 0 {
                return Self {
                    negative,
                    buffer,
                    start,
                };
            }
        }
    }

    fn as_slice(&self) -> &[u8] {
        self.buffer.get(self.start..).unwrap_or_default()
    }

    fn is_zero(&self) -> bool {
        self.as_slice() == b"0"
    }

    /// Appends the text of the value times ten to the power of minus `scale`.
    pub(super) fn write_text(&self, scale: i8, out: &mut BytesMut) {
        let digits = self.as_slice();
        if self.negative {
            out.put_u8(b'-');
        }
        let Ok(fraction) = usize::try_from(scale) else {
            out.put_slice(digits);
            if !self.is_zero() {
                out.put_bytes(b'0', usize::from(scale.unsigned_abs()));
            }
            return;
        };
        let (whole, rest) = digits.split_at(digits.len().saturating_sub(fraction));
        out.put_slice(if whole.is_empty() { b"0" } else { whole });
        if fraction > 0 {
            out.put_u8(b'.');
            out.put_bytes(b'0', fraction - rest.len());
            out.put_slice(rest);
        }
    }

    /// Appends the binary numeric: counts, weight, sign, scale, then digits of base 10,000, most
    /// significant first, without zeros at either end.
    pub(super) fn write_binary(&self, scale: i8, out: &mut BytesMut) -> Result<()> {
        let digits = self.as_slice();
        let shift = i16::from(scale);
        let count = i16::try_from(digits.len()).map_err(|_| too_large())?;
        // The digit that stands for ten to the power of `power`.
        let digit = |power: i16| {
            let place = usize::try_from(count - 1 - shift - power).ok();
            place
                .and_then(|place| digits.get(place))
                .map_or(0, |digit| i16::from(digit - b'0'))
        };
        let group = |place: i16| {
            (0..4)
                .rev()
                .fold(0, |sum, power| sum * 10 + digit(4 * place + power))
        };
        let (mut top, mut bottom) = ((count - 1 - shift).div_euclid(4), (-shift).div_euclid(4));
        while top >= bottom && group(top) == 0 {
            top -= 1;
        }
        while bottom <= top && group(bottom) == 0 {
            bottom += 1;
        }
        let groups = top - bottom + 1;
        out.put_i16(groups);
        out.put_i16(if groups == 0 { 0 } else { top });
        out.put_u16(if self.negative && groups > 0 {
            NEGATIVE
        } else {
            POSITIVE
        });
        out.put_i16(shift.max(0));
        for place in (bottom..=top).rev() {
            out.put_i16(group(place));
        }
        Ok(())
    }
}

const POSITIVE: u16 = 0;
const NEGATIVE: u16 = 0x4000;

/// The text of a binary numeric that a client sent.
///
/// # Errors
/// When it is malformed, not a number, or larger than any decimal here.
pub(crate) fn numeric_from_binary(bytes: &[u8]) -> Result<String> {
    /// Groups of four digits before or after the point: 100 digits are more than fit anyway.
    const MOST_GROUPS: i32 = 25;
    let malformed = || Error::new(Kind::Invalid, "22P03", "malformed binary numeric");
    let (words, rest) = bytes.as_chunks::<2>();
    let mut words = words.iter().map(|word| u16::from_be_bytes(*word));
    let mut word = || words.next().ok_or_else(malformed);
    let (count, weight, sign, scale) = (word()?, word()?, word()?, word()?);
    let weight = i32::from(weight.cast_signed());
    let groups: Vec<u16> = words.collect();
    if groups.len() != usize::from(count)
        || !rest.is_empty()
        || groups.iter().any(|group| *group > 9_999)
    {
        return Err(malformed());
    }
    match sign {
        POSITIVE | NEGATIVE => {}
        0xC000 | 0xD000 | 0xF000 => {
            return Err(Error::unsupported("a numeric must be a finite number"));
        }
        _ => return Err(malformed()),
    }
    if weight >= MOST_GROUPS {
        return Err(too_large());
    }
    let group = |place: i32| {
        let index = usize::try_from(weight - place).ok();
        index
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or_default()
    };
    let mut text = String::from(if sign == NEGATIVE { "-" } else { "" });
    for place in (0..=weight.max(0)).rev() {
        text.push_str(&format!("{:04}", group(place)));
    }
    let scale = usize::from(scale).min(100);
    if scale > 0 {
        text.push('.');
        let whole = text.len();
        for place in 1..=MOST_GROUPS {
            text.push_str(&format!("{:04}", group(-place)));
        }
        text.truncate(whole + scale);
    }
    Ok(text)
}

fn too_large() -> Error {
    Error::new(Kind::Invalid, "22003", "numeric value out of range")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;
    use crate::base::moments::text;

    #[test]
    fn decimals_keep_every_digit_at_every_scale() {
        for (value, scale, wanted) in [
            (0, 0, "0"),
            (0, 2, "0.00"),
            (0, -2, "0"),
            (-5, 2, "-0.05"),
            (12_345, 2, "123.45"),
            (12_345, 5, "0.12345"),
            (12, -3, "12000"),
            (i128::MIN, 0, "-170141183460469231731687303715884105728"),
            (i128::MAX, 38, "1.70141183460469231731687303715884105727"),
        ] {
            assert_eq!(
                text(|out| Digits::of_i128(value).write_text(scale, out)),
                wanted
            );
        }
        let large = i256::from_string(&"9".repeat(76)).unwrap();
        let wanted = format!("-{}.{}", "9".repeat(66), "9".repeat(10));
        assert_eq!(
            text(|out| Digits::of_i256(-large).write_text(10, out)),
            wanted
        );
    }

    #[test]
    fn binary_numerics_have_the_groups_of_postgres() {
        let binary = |value: i128, scale: i8| {
            let mut out = BytesMut::new();
            Digits::of_i128(value)
                .write_binary(scale, &mut out)
                .unwrap();
            out.to_vec()
                .chunks(2)
                .map(|b| i16::from_be_bytes([b[0], b[1]]))
                .collect::<Vec<_>>()
        };
        assert_eq!(binary(0, 2), [0, 0, 0, 2]);
        assert_eq!(binary(1_234_567_891, 4), [3, 1, 0, 4, 12, 3456, 7891]);
        assert_eq!(binary(-5, 2), [1, -1, 0x4000, 2, 500]);
        assert_eq!(binary(10_000, 0), [1, 1, 0, 0, 1]);
        assert_eq!(binary(12, -3), [2, 1, 0, 0, 1, 2000]);
        assert_eq!(binary(1, 6), [1, -2, 0, 6, 100]);
    }

    proptest! {
        #[test]
        fn binary_numerics_read_back(value: i128, scale in 0_i8..=38) {
            let mut out = BytesMut::new();
            let digits = Digits::of_i128(value);
            digits.write_binary(scale, &mut out).unwrap();
            let back = numeric_from_binary(&out).unwrap();
            let sign = if back.starts_with('-') { "-" } else { "" };
            let body = back.trim_start_matches('-').trim_start_matches('0');
            let zero = if body.is_empty() || body.starts_with('.') { "0" } else { "" };
            let back = format!("{sign}{zero}{body}");
            assert_eq!(back, text(|out| digits.write_text(scale, out)));
        }

        #[test]
        fn hostile_binary_numerics_never_panic(bytes in any::<Vec<u8>>()) {
            let _either = numeric_from_binary(&bytes);
        }
    }
}
