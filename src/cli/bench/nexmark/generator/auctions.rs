//! Auctions that people begin.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

use super::dice::Dice;
use super::shape::{auction_id, expires_us, seller, signed, time_us};
use super::text::{Pool, TextColumn, filling};
use crate::base::Result;

/// Bytes of an auction, on average.
const AVERAGE_BYTES: usize = 500;
/// The first of the categories.
const FIRST_CATEGORY: u64 = 10;
/// How many categories there are: few, so that queries over a small run find some of each.
const CATEGORIES: u64 = 5;

/// What auctions are made of.
#[derive(Debug)]
pub(super) struct Auctions {
    name: Dice,
    description: Dice,
    initial_bid: Dice,
    reserve: Dice,
    length: Dice,
    hot_seller: Dice,
    any_seller: Dice,
    category: Dice,
    extra: Dice,
}

impl Auctions {
    /// Takes columns 200 and up of `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let dice = |column: u64| Dice::new(seed, 200 + column);
        Self {
            name: dice(0),
            description: dice(1),
            initial_bid: dice(2),
            reserve: dice(3),
            length: dice(4),
            hot_seller: dice(5),
            any_seller: dice(6),
            category: dice(7),
            extra: dice(8),
        }
    }

    /// The columns of the auctions at `numbers`.
    pub(super) fn columns(
        &self,
        numbers: &[u64],
        words: &Pool,
        letters: &Pool,
    ) -> Result<Vec<ArrayRef>> {
        let rows = numbers.len();
        let mut names = TextColumn::with_capacity(rows, 20);
        let mut descriptions = TextColumn::with_capacity(rows, 100);
        let mut extras = TextColumn::with_capacity(rows, AVERAGE_BYTES);
        for &number in numbers {
            names.write(words.word(self.name.bits(number), 20));
            descriptions.write(words.word(self.description.bits(number), 100));
            let size = 48 + names.end() + descriptions.end();
            let bits = self.extra.bits(number);
            extras.write(letters.piece(bits, filling(bits, size, AVERAGE_BYTES)));
            extras.end();
        }
        let reserve = |number| self.initial_bid.price(number) + self.reserve.price(number);
        let category = |number| signed(FIRST_CATEGORY + self.category.below(number, CATEGORIES));
        Ok(vec![
            integers(numbers, auction_id),
            names.finish()?,
            descriptions.finish()?,
            integers(numbers, |number| self.initial_bid.price(number)),
            integers(numbers, reserve),
            times(numbers, time_us),
            times(numbers, |number| expires_us(number, self.length)),
            integers(numbers, |number| {
                seller(number, self.hot_seller, self.any_seller)
            }),
            integers(numbers, category),
            extras.finish()?,
        ])
    }
}

fn integers(numbers: &[u64], value: impl Fn(u64) -> i64) -> ArrayRef {
    let values = numbers.iter().map(|number| value(*number));
    Arc::new(Int64Array::from_iter_values(values))
}

fn times(numbers: &[u64], value: impl Fn(u64) -> i64) -> ArrayRef {
    let values = numbers.iter().map(|number| value(*number));
    Arc::new(TimestampMicrosecondArray::from_iter_values(values))
}
