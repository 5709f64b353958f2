//! Which value of an ordered group is its result.

/// A place in a group, between its first value and its last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The bits of a number from 0 to 1.
    bits: u64,
    /// Values count from the greatest.
    pub descending: bool,
}

impl Place {
    /// `None` unless the fraction is within 0 to 1.
    pub fn new(fraction: f64, descending: bool) -> Option<Self> {
        (0.0..=1.0).contains(&fraction).then(|| Self {
            // -0.0 is 0.0
            bits: (fraction + 0.0).to_bits(),
            descending,
        })
    }

    fn fraction(self) -> f64 {
        f64::from_bits(self.bits)
    }
}

/// Which value of a group is its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pick {
    /// `min`.
    Least,
    /// `max`.
    Greatest,
    /// `percentile_cont`: between two values, by their distance. Only of floats.
    Continuous(Place),
    /// `percentile_disc`: the first value that this part of all is not above.
    Discrete(Place),
    /// `mode`: the most frequent value, and of several the first.
    Mode {
        /// Values count from the greatest.
        descending: bool,
    },
}

impl Pick {
    /// Whether it is the first or the last value.
    pub fn is_end(self) -> bool {
        matches!(self, Self::Least | Self::Greatest)
    }
}

/// Ranks of values, from 0, and how far the result is on the way from the first to the second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Ranks {
    pub(super) low: u64,
    pub(super) high: u64,
    pub(super) between: f64,
}

impl Ranks {
    /// The ranks of `place` among `total` values, as PostgreSQL computes them for `percentile_cont`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is at least 0, and beyond 2^53 rounded"
    )]
    pub(super) fn continuous(place: Place, total: u64) -> Self {
        let exact = place.fraction() * total.saturating_sub(1) as f64;
        Self {
            low: exact.floor() as u64,
            high: exact.ceil() as u64,
            between: exact - exact.floor(),
        }
    }

    /// The rank of `place` among `total` values, as PostgreSQL computes it for `percentile_disc`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank is at least 0, and beyond 2^53 rounded"
    )]
    pub(super) fn discrete(place: Place, total: u64) -> Self {
        let number = (place.fraction() * total as f64).ceil() as u64;
        let rank = number.saturating_sub(1);
        Self {
            low: rank,
            high: rank,
            between: 0.0,
        }
    }
}
