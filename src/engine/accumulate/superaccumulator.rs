//! An exact fixed-point accumulator over the whole range of `f64` and of products of two `f64`.
//!
//! The idea is R. Neal's "small superaccumulator" (*Fast exact summation using small and large
//! superaccumulators*, 2015): 32 bits of the sum a 64-bit word, so that carries are propagated once in
//! two thousand million additions and not at each. Unlike there, words exist only for the range that was touched.

use super::round::round_to_f64;

/// The exponent of the least bit: below the square of the least subnormal, 2^-2148.
const LEAST_EXPONENT: i32 = -68 * 32;
/// Each addition moves a word by less than 2^32, so this many keep it within an `i64`.
const ADDITIONS_A_CARRY: u32 = 1 << 30;

/// A sum of numbers `mantissa * 2^exponent`, exact, in any order.
#[derive(Clone, Debug, Default)]
pub struct Superaccumulator {
    words: Vec<i64>,
    /// The place of `words[0]`: its least bit is `2^(LEAST_EXPONENT + 32 * first)`.
    first: usize,
    additions: u32,
}

impl Superaccumulator {
    /// Adds `mantissa * 2^exponent`; the exponent is that of an `f64` or of a product of two.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the pieces are masked to 32 bits; exponents lie above the least one"
    )]
    pub fn add(&mut self, mantissa: i128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        debug_assert!(
            exponent >= LEAST_EXPONENT,
            "an exponent below that of any product"
        );
        let place = (exponent - LEAST_EXPONENT) as usize;
        let (word, shift) = (place / 32, (place % 32) as u32);
        let magnitude = mantissa.unsigned_abs();
        let low = magnitude << shift;
        let high = if shift == 0 {
            0
        } else {
            (magnitude >> (128 - shift)) as u64
        };
        let bits = 128 - magnitude.leading_zeros() + shift;
        let pieces = bits.div_ceil(32) as usize;
        self.cover(word, word + pieces);
        if self.additions >= ADDITIONS_A_CARRY {
            self.carry();
            // carry() may have moved the window
            self.cover(word, word + pieces);
        }
        self.additions += 1;
        let sign = if mantissa < 0 { -1 } else { 1 };
        let at = word - self.first;
        for (piece, slot) in self.words[at..at + pieces].iter_mut().enumerate() {
            let part = if piece < 4 {
                (low >> (32 * piece)) as u32
            } else {
                high as u32
            };
            *slot += sign * i64::from(part);
        }
    }

    /// Adds `times` times the square of `mantissa * 2^exponent`.
    pub fn add_square(&mut self, mantissa: i64, exponent: i32, times: i64) {
        self.add_product((mantissa, exponent), (mantissa, exponent), times);
    }

    /// Adds `times` times the product of two numbers, each a mantissa and an exponent.
    pub fn add_product(&mut self, left: (i64, i32), right: (i64, i32), times: i64) {
        let product = i128::from(left.0) * i128::from(right.0);
        let exponent = left.1 + right.1;
        if times.abs_diff(0) <= 1 {
            return self.add(product * i128::from(times), exponent);
        }
        // 126 bits times 64 bits: by halves of 53 and 32
        let low = product & ((1 << 53) - 1);
        for (part, at) in [(times >> 32, 32), (times & 0xffff_ffff, 0)] {
            self.add((product >> 53) * i128::from(part), exponent + at + 53);
            self.add(low * i128::from(part), exponent + at);
        }
    }

    /// Adds another sum, `times` times (1 or -1).
    pub fn merge(&mut self, other: &Self, times: i64) {
        for (word, exponent) in other.words() {
            self.add(i128::from(word) * i128::from(times), exponent);
        }
    }

    /// The words that are not zero, each with the exponent of its least bit.
    pub fn words(&self) -> impl Iterator<Item = (i64, i32)> + '_ {
        let first = self.first;
        self.words
            .iter()
            .enumerate()
            .filter(|(_, word)| **word != 0)
            .map(move |(at, word)| {
                (
                    *word,
                    i32::try_from(first + at).map_or(i32::MAX, |place| LEAST_EXPONENT + 32 * place),
                )
            })
    }

    /// The words as bytes, for a partial state.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        for (word, exponent) in self.words() {
            bytes.extend_from_slice(&exponent.to_le_bytes());
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }

    /// Adds what [`Self::encode`] gave; `None` when the bytes are not such an encoding.
    pub fn merge_encoded(&mut self, bytes: &[u8]) -> Option<()> {
        for word in bytes.chunks(12) {
            let (exponent, word) = word.split_at_checked(4)?;
            let exponent = i32::from_le_bytes(exponent.try_into().ok()?);
            let word = i64::from_le_bytes(word.try_into().ok()?);
            if !(LEAST_EXPONENT..4096).contains(&exponent) {
                return None;
            }
            self.add(i128::from(word), exponent);
        }
        Some(())
    }

    /// Whether the sum is exactly zero.
    pub fn is_zero(&mut self) -> bool {
        self.carry();
        self.words.is_empty()
    }

    /// The sum rounded to the nearest `f64`, ties to even; infinite beyond the range.
    #[expect(
        clippy::cast_sign_loss,
        reason = "words are within 0..2^32 after the carry, but for the sign"
    )]
    pub fn value(&self) -> f64 {
        let mut sum = self.clone();
        sum.carry();
        let Some(top) = sum.words.last() else {
            return 0.0;
        };
        let negative = *top < 0;
        if negative {
            for word in &mut sum.words {
                *word = -*word;
            }
            sum.carry();
        }
        let used = sum.words.len().min(3);
        let (rest, top) = sum.words.split_at(sum.words.len() - used);
        let magnitude = top
            .iter()
            .rev()
            .fold(0_u128, |high, word| (high << 32) | (*word as u128));
        let sticky = rest.iter().any(|word| *word != 0);
        let exponent = i32::try_from(sum.first + rest.len())
            .map_or(i32::MAX, |place| LEAST_EXPONENT + 32 * place);
        round_to_f64(negative, magnitude, exponent, sticky)
    }

    /// Memory held beside the struct, in bytes.
    pub fn bytes(&self) -> usize {
        self.words.capacity() * size_of::<i64>()
    }

    /// Makes words `from..to` exist.
    fn cover(&mut self, from: usize, to: usize) {
        if self.words.is_empty() {
            self.first = from;
            self.words.resize(to - from, 0);
            return;
        }
        if from < self.first {
            let missing = self.first - from;
            self.words.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = from;
        }
        if to > self.first + self.words.len() {
            self.words.resize(to - self.first, 0);
        }
    }

    /// Brings every word but the top one to 0..2^32, and the top one to a value other than 0 and
    /// of any sign; zero has no words.
    fn carry(&mut self) {
        self.additions = 0;
        let mut carry = 0_i64;
        for word in &mut self.words {
            let total = *word + carry;
            *word = total & 0xffff_ffff;
            carry = total >> 32;
        }
        while carry != 0 && carry != -1 {
            self.words.push(carry & 0xffff_ffff);
            carry >>= 32;
        }
        if carry == -1 {
            self.words.push(-1);
        }
        self.trim();
    }

    fn trim(&mut self) {
        loop {
            let length = self.words.len();
            match self.words.last() {
                Some(0) => {
                    self.words.pop();
                }
                // -1 over a word below it is that word less 2^32: keeps the top one short
                Some(-1) if length >= 2 && self.words[length - 2] >= 1 << 31 => {
                    self.words.pop();
                    self.words[length - 2] -= 1 << 32;
                    if self.words[length - 2] == -1 {
                        continue;
                    }
                    break;
                }
                _ => break,
            }
        }
        let zeros = self.words.iter().take_while(|word| **word == 0).count();
        self.words.drain(..zeros);
        self.first += zeros;
    }
}
