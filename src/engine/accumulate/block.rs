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
    // the bounds keep sigma and its parts clear of overflow and of subnormal numbers
    if !(1e-200..1e200).contains(&largest) {
        return false;
    }
    let mut rest = [0.0_f64; BLOCK];
    let rest = &mut rest[..block.len()];
    let mut extracted = [0.0_f64; PASSES];
    let mut bound = power_above(largest);
    for (pass, upper) in extracted.iter_mut().enumerate() {
        let sigma = bound * HEADROOM;
        let (total, remains) = if pass == 0 {
            extract(block, rest, sigma)
        } else {
            extract_again(rest, sigma)
        };
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

/// Takes the part above `sigma`'s last place off every value into `rest`; the sum of the parts, and bits
/// that are zero when nothing remains. NaN always remains.
fn extract(values: &[f64], rest: &mut [f64], sigma: f64) -> (f64, u64) {
    let mut sums = [0.0_f64; LANES];
    let mut remains = [0_u64; LANES];
    let (chunks, tail) = values.as_chunks::<LANES>();
    let (rests, rest_tail) = rest.as_chunks_mut::<LANES>();
    for (values, rest) in chunks.iter().zip(rests) {
        for lane in 0..LANES {
            let upper = (sigma + values[lane]) - sigma;
            let lower = values[lane] - upper;
            rest[lane] = lower;
            sums[lane] += upper;
            remains[lane] |= lower.to_bits();
        }
    }
    for (value, rest) in tail.iter().zip(rest_tail) {
        let upper = (sigma + value) - sigma;
        *rest = value - upper;
        sums[0] += upper;
        remains[0] |= rest.to_bits();
    }
    // a remaining zero may carry a sign
    let remains = remains.iter().fold(0, |all, bits| all | bits) << 1;
    (sums.iter().sum(), remains)
}

/// [`extract`] from what remained.
fn extract_again(rest: &mut [f64], sigma: f64) -> (f64, u64) {
    let mut sums = [0.0_f64; LANES];
    let mut remains = [0_u64; LANES];
    let (chunks, tail) = rest.as_chunks_mut::<LANES>();
    for rest in chunks {
        for lane in 0..LANES {
            let upper = (sigma + rest[lane]) - sigma;
            rest[lane] -= upper;
            sums[lane] += upper;
            remains[lane] |= rest[lane].to_bits();
        }
    }
    for value in tail {
        let upper = (sigma + *value) - sigma;
        *value -= upper;
        sums[0] += upper;
        remains[0] |= value.to_bits();
    }
    let remains = remains.iter().fold(0, |all, bits| all | bits) << 1;
    (sums.iter().sum(), remains)
}

/// The largest magnitude, NaN aside: a block with NaN shows when it is extracted.
fn largest(values: &[f64]) -> f64 {
    // compared as vectors compare: `f64::max` minds NaN and costs more
    let larger = |held: f64, value: f64| if value > held { value } else { held };
    let mut lanes = [0.0_f64; LANES];
    let (chunks, tail) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], chunk[lane].abs());
        }
    }
    lanes
        .into_iter()
        .chain(tail.iter().map(|value| value.abs()))
        .fold(0.0, larger)
}

/// The least power of two above the normal number `value`.
fn power_above(value: f64) -> f64 {
    f64::from_bits((value.to_bits() & (0x7ff << 52)) + (1 << 52))
}
