//! Integers of several 64-bit limbs in two's complement: sums that cannot overflow while they are kept.

use std::cmp::Ordering;

use arrow::datatypes::i256;

/// A signed integer of `N` limbs, the least first.
///
/// Arithmetic is modulo 2^(64 N). A sum of values times weights is therefore right, whatever happened
/// on the way, whenever the true total fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wide<const N: usize>([u64; N]);

impl<const N: usize> Default for Wide<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> Wide<N> {
    /// The integer of `value`. `N` must be at least 2.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "two's complement limbs"
    )]
    #[inline]
    pub fn from_i128(value: i128) -> Self {
        let mut limbs = [if value < 0 { u64::MAX } else { 0 }; N];
        limbs[0] = value as u64;
        limbs[1] = (value >> 64) as u64;
        Self(limbs)
    }

    /// The integer of `value`. `N` must be at least 4.
    #[expect(clippy::cast_possible_truncation, reason = "two's complement limbs")]
    pub fn from_i256(value: i256) -> Self {
        let (low, high) = value.to_parts();
        let mut wide = Self::from_i128(high);
        wide.0.copy_within(0..N - 2, 2);
        wide.0[0] = low as u64;
        wide.0[1] = (low >> 64) as u64;
        wide
    }

    /// Adds `other`.
    #[inline]
    pub fn add(&mut self, other: &Self) {
        let mut carry = false;
        for (ours, theirs) in self.0.iter_mut().zip(&other.0) {
            let (sum, first) = ours.overflowing_add(*theirs);
            let (sum, second) = sum.overflowing_add(u64::from(carry));
            *ours = sum;
            carry = first | second;
        }
    }

    /// The negated integer.
    #[must_use]
    pub fn negated(&self) -> Self {
        let mut negated = Self::from_i128(1);
        negated.add(&Self(self.0.map(|limb| !limb)));
        negated
    }

    /// This integer times `factor`.
    #[must_use]
    #[inline]
    pub fn times(&self, factor: i64) -> Self {
        match factor {
            1 => *self,
            -1 => self.negated(),
            _ if factor < 0 => self.times_unsigned(factor.unsigned_abs()).negated(),
            _ => self.times_unsigned(factor.unsigned_abs()),
        }
    }

    /// This integer times `factor`, modulo 2^(64 N).
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the low half of a product is one limb"
    )]
    pub fn times_unsigned(&self, factor: u64) -> Self {
        let mut product = [0; N];
        let mut carry = 0_u128;
        for (limb, slot) in self.0.iter().zip(&mut product) {
            let part = u128::from(*limb) * u128::from(factor) + carry;
            *slot = part as u64;
            carry = part >> 64;
        }
        Self(product)
    }

    /// The quotient by `divisor`, rounded to the nearest, halves away from zero. `divisor` is not 0.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a quotient digit is below 2^64"
    )]
    pub fn divided(&self, divisor: u64) -> Self {
        let negative = self.is_negative();
        let magnitude = if negative { self.negated() } else { *self };
        let mut quotient = [0; N];
        let mut rest = 0_u128;
        for (limb, slot) in magnitude.0.iter().zip(&mut quotient).rev() {
            let part = (rest << 64) | u128::from(*limb);
            *slot = (part / u128::from(divisor)) as u64;
            rest = part % u128::from(divisor);
        }
        let mut quotient = Self(quotient);
        if (rest * 2).cmp(&u128::from(divisor)) != Ordering::Less {
            quotient.add(&Self::from_i128(1));
        }
        if negative {
            quotient.negated()
        } else {
            quotient
        }
    }

    /// The same integer with `M` limbs, `M >= N`.
    #[must_use]
    pub fn widened<const M: usize>(&self) -> Wide<M> {
        let mut limbs = [if self.is_negative() { u64::MAX } else { 0 }; M];
        limbs[..N].copy_from_slice(&self.0);
        Wide(limbs)
    }

    /// Whether it is below zero.
    pub fn is_negative(&self) -> bool {
        self.0[N - 1] >> 63 == 1
    }

    /// Whether it is zero.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|limb| *limb == 0)
    }

    /// As an `i128`, if it fits.
    #[expect(clippy::cast_possible_wrap, reason = "two's complement limbs")]
    pub fn as_i128(&self) -> Option<i128> {
        let low = (u128::from(self.0[1]) << 64 | u128::from(self.0[0])) as i128;
        (Self::from_i128(low) == *self).then_some(low)
    }

    /// As an `i256`, if it fits. `N` must be at least 4.
    #[expect(clippy::cast_possible_wrap, reason = "two's complement limbs")]
    pub fn as_i256(&self) -> Option<i256> {
        let low = u128::from(self.0[1]) << 64 | u128::from(self.0[0]);
        let high = (u128::from(self.0[3]) << 64 | u128::from(self.0[2])) as i128;
        let narrow = i256::from_parts(low, high);
        (Self::from_i256(narrow) == *self).then_some(narrow)
    }

    /// Its bytes, the least first.
    pub fn to_bytes(self) -> impl Iterator<Item = u8> {
        self.0.into_iter().flat_map(u64::to_le_bytes)
    }

    /// The integer of such bytes, `None` unless there are `8 N` of them.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != N * 8 {
            return None;
        }
        let mut limbs = [0; N];
        for (slot, limb) in limbs.iter_mut().zip(bytes.chunks_exact(8)) {
            *slot = u64::from_le_bytes(limb.try_into().ok()?);
        }
        Some(Self(limbs))
    }
}
