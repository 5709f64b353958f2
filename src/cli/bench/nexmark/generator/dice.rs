//! Random numbers that belong to an event and a column: the same whichever order they are asked in.

/// Steps between the states of consecutive events, odd so that all of them differ.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// One column's random numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dice {
    start: u64,
}

impl Dice {
    /// The numbers of column `column` under `seed`.
    pub(super) fn new(seed: u64, column: u64) -> Self {
        Self {
            start: mix(seed ^ mix(column.wrapping_mul(STEP))),
        }
    }

    /// 64 random bits for event `number`.
    pub(super) fn bits(self, number: u64) -> u64 {
        mix(self.start.wrapping_add(number.wrapping_mul(STEP)))
    }

    /// A number below `bound`, which is not 0.
    pub(super) fn below(self, number: u64, bound: u64) -> u64 {
        scale(self.bits(number), bound)
    }

    /// Whether all but one of `ratio` equal chances came.
    pub(super) fn is_hot(self, number: u64, ratio: u64) -> bool {
        self.below(number, ratio) > 0
    }

    /// A price in cents, from 100 to 100,000,000, its logarithm uniform.
    pub(super) fn price(self, number: u64) -> i64 {
        price_of(self.bits(number))
    }
}

/// The upper half of `bits` scaled to below `bound`; `bound` is below 2^32.
pub(super) fn scale(bits: u64, bound: u64) -> u64 {
    ((bits >> 32) * bound) >> 32
}

/// A price whose logarithm is where `bits` lie among all 64-bit numbers.
fn price_of(bits: u64) -> i64 {
    const SIX_TENS: f64 = 6.0 * std::f64::consts::LN_10;
    let part = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    let cents = ((part * SIX_TENS).exp() * 100.0).round();
    #[expect(
        clippy::cast_possible_truncation,
        reason = "between 100 and 100,000,000"
    )]
    let cents = cents as i64;
    cents
}

/// The finaliser of splitmix64: every bit of the input changes half of the output's.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
