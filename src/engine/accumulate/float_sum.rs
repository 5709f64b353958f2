//! The exact sum of `f64` values with weights: 128 bits of fixed point that follow the data, and a
//! [`Superaccumulator`] for the few groups whose values lie too far apart.
//!
//! A sum is exact until it is rounded, once, to the nearest `f64` (ties to even). So it does not depend
//! on order or on how rows were split, and a retraction restores the very bits. NaN and the infinities
//! are counted, -0.0 counts as 0.0.

use super::round::{parts, round_to_f64};
use super::superaccumulator::Superaccumulator;

/// No base yet: the first value chooses it.
const UNSET: i32 = i32::MAX;
/// Room kept below the first value's least bit. The window follows the data later.
const ROOM_BELOW: i32 = 24;
/// A 53-bit mantissa shifted by at most this keeps one addition within an `i128`.
const SHIFT_LIMIT: i64 = 72;
/// The bits of a double's mantissa that are stored.
const MANTISSA: i64 = (1 << 52) - 1;

/// What does not fit the fixed-point form.
#[derive(Clone, Debug, Default)]
struct Extension {
    nans: i64,
    positive_infinities: i64,
    negative_infinities: i64,
    wide: Superaccumulator,
}

/// One exact sum.
#[derive(Clone, Debug)]
pub struct ExactFloatSum {
    mantissa: i128,
    extension: Option<Box<Extension>>,
    /// The exponent of the least bit of `mantissa`.
    exponent: i32,
}

impl Default for ExactFloatSum {
    fn default() -> Self {
        Self {
            mantissa: 0,
            extension: None,
            exponent: UNSET,
        }
    }
}

impl ExactFloatSum {
    /// Adds `value` once.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits().cast_signed();
        let biased = (bits >> 52) & 0x7ff;
        // the two's complement of the mantissa where the sign is set, without a branch
        let sign = bits >> 63;
        let mantissa = (((bits & MANTISSA) | (1 << 52)) ^ sign) - sign;
        let shift = biased - 1075 - i64::from(self.exponent);
        // zero, subnormal numbers, NaN and infinities take the slow way, and so does the first value:
        // under `UNSET` every shift is below 0
        if (1..0x7ff).contains(&biased) && (0..=SHIFT_LIMIT).contains(&shift) {
            let (sum, overflow) = self.mantissa.overflowing_add(i128::from(mantissa) << shift);
            if !overflow {
                self.mantissa = sum;
                return;
            }
        }
        self.add_slowly(value, 1);
    }

    /// Adds `value` `weight` times; a negative weight takes it back.
    #[inline]
    pub fn add_weighted(&mut self, value: f64, weight: i64) {
        match weight {
            1 => self.add(value),
            // the negation of NaN is NaN, of an infinity the other one: those are counted instead
            -1 if value.is_finite() => self.add(-value),
            _ => self.add_slowly(value, weight),
        }
    }

    /// Adds everything that `other` holds.
    pub fn merge(&mut self, other: &Self) {
        if other.mantissa != 0 {
            self.add_scaled(other.mantissa, other.exponent);
        }
        if let Some(theirs) = &other.extension {
            let ours = self.extension.get_or_insert_default();
            ours.nans = ours.nans.wrapping_add(theirs.nans);
            ours.positive_infinities = ours
                .positive_infinities
                .wrapping_add(theirs.positive_infinities);
            ours.negative_infinities = ours
                .negative_infinities
                .wrapping_add(theirs.negative_infinities);
            ours.wide.merge(&theirs.wide, 1);
        }
    }

    /// The sum rounded to the nearest `f64`, ties to even; 0.0, never -0.0, when it is zero.
    pub fn value(&self) -> f64 {
        let Some(extension) = &self.extension else {
            return self.narrow_value();
        };
        let (positive, negative) = (
            extension.positive_infinities != 0,
            extension.negative_infinities != 0,
        );
        if extension.nans != 0 || (positive && negative) {
            return f64::NAN;
        }
        if positive {
            return f64::INFINITY;
        }
        if negative {
            return f64::NEG_INFINITY;
        }
        if self.mantissa == 0 {
            return extension.wide.value();
        }
        let mut wide = extension.wide.clone();
        wide.add(self.mantissa, self.exponent);
        wide.value()
    }

    /// Whether everything that was added has been taken back.
    pub fn is_zero(&self) -> bool {
        match &self.extension {
            None => self.mantissa == 0,
            Some(extension) => {
                let mut wide = extension.wide.clone();
                if self.mantissa != 0 {
                    wide.add(self.mantissa, self.exponent);
                }
                extension.nans == 0
                    && extension.positive_infinities == 0
                    && extension.negative_infinities == 0
                    && wide.is_zero()
            }
        }
    }

    /// Memory held beside the struct, in bytes.
    pub fn bytes(&self) -> usize {
        self.extension
            .as_ref()
            .map_or(0, |wide| size_of::<Extension>() + wide.wide.bytes())
    }

    /// The fixed-point part: the sum is `mantissa * 2^exponent` plus what [`Self::encode_rest`] holds.
    pub fn fixed(&self) -> (i128, i32) {
        if self.exponent == UNSET {
            (0, 0)
        } else {
            (self.mantissa, self.exponent)
        }
    }

    /// The part beyond the fixed-point form, for a partial state; most sums have none.
    pub fn encode_rest(&self) -> Option<Vec<u8>> {
        let extension = self.extension.as_ref()?;
        let mut bytes = Vec::new();
        for count in [
            extension.nans,
            extension.positive_infinities,
            extension.negative_infinities,
        ] {
            bytes.extend_from_slice(&count.to_le_bytes());
        }
        extension.wide.encode(&mut bytes);
        Some(bytes)
    }

    /// Adds what another sum gave as [`Self::fixed`] and [`Self::encode_rest`]. `None` when the bytes
    /// are not such an encoding.
    pub fn merge_encoded(&mut self, fixed: (i128, i32), rest: Option<&[u8]>) -> Option<()> {
        if fixed.0 != 0 {
            self.add_scaled(fixed.0, fixed.1);
        }
        let Some(rest) = rest else { return Some(()) };
        let (counts, words) = rest.split_at_checked(24)?;
        let count = |at: usize| -> Option<i64> {
            Some(i64::from_le_bytes(counts.get(at..at + 8)?.try_into().ok()?))
        };
        let extension = self.extension.get_or_insert_default();
        extension.nans = extension.nans.wrapping_add(count(0)?);
        extension.positive_infinities = extension.positive_infinities.wrapping_add(count(8)?);
        extension.negative_infinities = extension.negative_infinities.wrapping_add(count(16)?);
        extension.wide.merge_encoded(words)
    }

    /// `sum(x * x) - 2 * mean * sum(x) + count * mean * mean`, where this is the sum of the x, and
    /// `squares` that of their squares: the sum of the squared distances from `mean`, rounded once.
    pub fn squared_distances(&self, squares: &Superaccumulator, mean: f64, count: i64) -> f64 {
        let mut total = squares.clone();
        let (mean, exponent) = parts(mean);
        let twice = -2 * i128::from(mean);
        let (sum, sum_exponent) = self.fixed();
        // i128 times 54 bits is more than i128 holds: by halves of 64 bits
        let (high, low) = (sum >> 64, sum & i128::from(u64::MAX));
        for (part, at) in [(high, 64), (low >> 32, 32), (low & 0xffff_ffff, 0)] {
            total.add(part * twice, sum_exponent + exponent + at);
        }
        if let Some(extension) = &self.extension {
            for (word, word_exponent) in extension.wide.words() {
                total.add(i128::from(word) * twice, word_exponent + exponent);
            }
        }
        total.add_square(mean, exponent, count);
        total.value()
    }

    /// Whether a NaN or an infinity is among the values.
    pub fn is_special(&self) -> bool {
        self.extension.as_ref().is_some_and(|extension| {
            extension.nans != 0
                || extension.positive_infinities != 0
                || extension.negative_infinities != 0
        })
    }

    fn narrow_value(&self) -> f64 {
        if self.mantissa == 0 {
            return 0.0;
        }
        round_to_f64(
            self.mantissa < 0,
            self.mantissa.unsigned_abs(),
            self.exponent,
            false,
        )
    }

    #[cold]
    #[inline(never)]
    fn add_slowly(&mut self, value: f64, weight: i64) {
        if !value.is_finite() {
            let extension = self.extension.get_or_insert_default();
            let counter = if value.is_nan() {
                &mut extension.nans
            } else if value > 0.0 {
                &mut extension.positive_infinities
            } else {
                &mut extension.negative_infinities
            };
            *counter = counter.wrapping_add(weight);
            return;
        }
        let (mantissa, exponent) = parts(value);
        // 53 bits times 64 bits
        self.add_scaled(i128::from(mantissa) * i128::from(weight), exponent);
    }

    /// Adds `mantissa * 2^exponent`: in the window, else in a window that is moved, else in the extension.
    #[expect(clippy::cast_possible_wrap, reason = "a number of bits of an i128")]
    fn add_scaled(&mut self, mantissa: i128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        let zeros = mantissa.trailing_zeros();
        let (mantissa, exponent) = (mantissa >> zeros, exponent + zeros as i32);
        if self.mantissa == 0 {
            let room = ROOM_BELOW.min(spare_bits(mantissa) - 40).max(0);
            self.exponent = exponent - room;
        } else if exponent < self.exponent {
            // lower the base as far as the sum's free upper bits allow
            let lower = (self.exponent - exponent)
                .min(spare_bits(self.mantissa) - 8)
                .max(0);
            self.mantissa <<= lower;
            self.exponent -= lower;
        } else if spare_bits(self.mantissa) < 2
            || exponent - self.exponent > spare_bits(mantissa) - 2
        {
            // raise the base over the sum's zero bits at its low end
            let raise = self.mantissa.trailing_zeros().min(64);
            self.mantissa >>= raise;
            self.exponent += raise as i32;
        }
        let shift = exponent - self.exponent;
        if (0..=spare_bits(mantissa)).contains(&shift)
            && let Some(sum) = self.mantissa.checked_add(mantissa << shift)
        {
            self.mantissa = sum;
            return;
        }
        self.extension
            .get_or_insert_default()
            .wide
            .add(mantissa, exponent);
    }
}

/// How far `number` can be shifted to the left without loss.
#[expect(clippy::cast_possible_wrap, reason = "at most 127")]
fn spare_bits(number: i128) -> i32 {
    let leading = if number < 0 {
        number.leading_ones()
    } else {
        number.leading_zeros()
    };
    leading as i32 - 1
}
