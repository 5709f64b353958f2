//! The exact sum of a whole slice of `f64` at the speed of vector additions.
//!
//! Error-free extraction (S. M. Rump, T. Ogita, S. Oishi, *Accurate floating-point summation, part I*, 2008): with
//! `sigma` a power of two far above every value, `(sigma + x) - sigma` is the upper part of `x` and the
//! rest is exact too; upper parts share their least bit, so that adding them up is exact in plain `f64`.
//! Two or three such passes leave nothing of ordinary data; a block that has something left is added value by value.

use super::float_sum::ExactFloatSum;

/// Values a block. 2^10 of them need 10 bits of head room in `sigma`.
const BLOCK: usize = 1024;
/// Independent running sums, for vector registers and the latency of additions.
const LANES: usize = 8;
/// `sigma` is this times the first power of two above every value.
const HEADROOM: f64 = 2048.0;
const PASSES: usize = 3;

/// Adds every value of `values` to `sum`.
pub fn add_all(sum: &mut ExactFloatSum, values: &[f64]) {
    for block in values.chunks(BLOCK) {
        if block.len() < 64 || !add_block(sum, block) {
            for value in block {
                sum.add(*value);
            }
        }
    }
}

/// Adds a block by extraction; false, with `sum` as it was, when that is not exact for this block.
fn add_block(sum: &mut ExactFloatSum, block: &[f64]) -> bool {
    let largest = largest(block);
    // also false for NaN; the bounds keep sigma and its parts clear of overflow and of subnormal numbers
    if !(1e-200..1e200).contains(&largest) {
        return largest == 0.0;
    }
    let mut rest = [0.0_f64; BLOCK];
    let rest = &mut rest[..block.len()];
    rest.copy_from_slice(block);
    let mut extracted = [0.0_f64; PASSES];
    let mut bound = power_above(largest);
    for upper in &mut extracted {
        let sigma = bound * HEADROOM;
        let (total, remains) = extract(rest, sigma);
        *upper = total;
        if remains == 0 {
            extracted.iter().for_each(|upper| sum.add(*upper));
            return true;
        }
        // what is left of a value is at most half a unit in the last place of sigma
        bound = sigma * f64::EPSILON;
    }
    false
}

/// Takes the part above `sigma`'s last place off every value; their sum, and bits that are zero when nothing remains.
fn extract(values: &mut [f64], sigma: f64) -> (f64, u64) {
    let mut sums = [0.0_f64; LANES];
    let mut remains = [0_u64; LANES];
    let mut chunks = values.chunks_exact_mut(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            let upper = (sigma + chunk[lane]) - sigma;
            let lower = chunk[lane] - upper;
            chunk[lane] = lower;
            sums[lane] += upper;
            remains[lane] |= lower.to_bits();
        }
    }
    for value in chunks.into_remainder() {
        let upper = (sigma + *value) - sigma;
        *value -= upper;
        sums[0] += upper;
        remains[0] |= value.to_bits();
    }
    // a remaining zero may carry a sign
    let remains = remains.iter().fold(0, |all, bits| all | bits) << 1;
    (sums.iter().sum(), remains)
}

/// The largest magnitude; infinity or NaN-like (beyond every bound) when there is one.
fn largest(values: &[f64]) -> f64 {
    let mut lanes = [0_u64; LANES];
    let chunks = values.chunks_exact(LANES);
    let tail = chunks.remainder();
    for chunk in chunks {
        for lane in 0..LANES {
            // the order of magnitudes is the order of the bits without the sign; NaN is above all
            lanes[lane] = lanes[lane].max(chunk[lane].to_bits() & (u64::MAX >> 1));
        }
    }
    let tail = tail.iter().map(|value| value.to_bits() & (u64::MAX >> 1));
    f64::from_bits(lanes.into_iter().chain(tail).max().unwrap_or(0))
}

/// The least power of two above the normal number `value`.
fn power_above(value: f64) -> f64 {
    f64::from_bits((value.to_bits() & (0x7ff << 52)) + (1 << 52))
}
