//! Bids: nearly all of the events, so every column is one tight loop.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

use super::dice::{Dice, scale};
use super::shape::{bid_on, bidder, time_us};
use super::text::{Choices, Pool, TextColumn, filling};
use crate::base::Result;

/// Bytes of a bid, on average, channel and address not counted: the publication forgets them.
const AVERAGE_BYTES: usize = 100;
/// Bytes of a bid without its filling, as the publication counts them.
const BARE_BYTES: usize = 32;

/// The channels through which every other bid comes.
const HOT_CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
/// All other channels.
const CHANNELS: u32 = 10_000;

/// What bids are made of.
#[derive(Debug)]
pub(super) struct Bids {
    /// The hot ones first.
    channels: Choices,
    /// One address a channel.
    addresses: Vec<Vec<u8>>,
    hot_auction: Dice,
    any_auction: Dice,
    hot_bidder: Dice,
    any_bidder: Dice,
    price: Dice,
    channel: Dice,
    extra: Dice,
}

impl Bids {
    /// Takes columns 300 and up of `seed`.
    pub(super) fn new(seed: u64) -> Result<Self> {
        let dice = |column: u64| Dice::new(seed, 300 + column);
        let pool = Pool::new(dice(10), Some(b'_'));
        let (folders, with_id) = (dice(11), dice(12));
        let hot = HOT_CHANNELS.iter().map(|name| (*name).to_owned());
        let names = hot.chain((0..CHANNELS).map(|number| format!("channel-{number}")));
        let addresses = (0_u64..4)
            .map(|place| address(&pool, folders, place))
            .chain((0..CHANNELS).map(|number| {
                let place = u64::from(number) + 4;
                let mut text = address(&pool, folders, place);
                if with_id.below(place, 10) > 0 {
                    let id = number.reverse_bits().cast_signed().unsigned_abs();
                    text.extend_from_slice(format!("&channel_id={id}").as_bytes());
                }
                text
            }))
            .collect();
        Ok(Self {
            channels: Choices::new(names)?,
            addresses,
            hot_auction: dice(0),
            any_auction: dice(1),
            hot_bidder: dice(2),
            any_bidder: dice(3),
            price: dice(4),
            channel: dice(5),
            extra: dice(6),
        })
    }

    /// The columns of the bids at `numbers`.
    pub(super) fn columns(&self, numbers: &[u64], letters: &Pool) -> Result<Vec<ArrayRef>> {
        let rows = numbers.len();
        let auctions = numbers
            .iter()
            .map(|number| bid_on(*number, self.hot_auction, self.any_auction));
        let bidders = numbers
            .iter()
            .map(|number| bidder(*number, self.hot_bidder, self.any_bidder));
        let prices = numbers.iter().map(|number| self.price.price(*number));
        let times = numbers.iter().map(|number| time_us(*number));
        let mut addresses = TextColumn::with_capacity(rows, 80);
        let mut extras = TextColumn::with_capacity(rows, AVERAGE_BYTES);
        for &number in numbers {
            let address = usize::try_from(self.channel_of(number))
                .ok()
                .and_then(|at| self.addresses.get(at));
            addresses.write(address.map_or(&[], Vec::as_slice));
            addresses.end();
            let bits = self.extra.bits(number);
            extras.write(letters.piece(bits, filling(bits, BARE_BYTES, AVERAGE_BYTES)));
            extras.end();
        }
        let channels = numbers.iter().map(|number| self.channel_of(*number));
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(auctions)),
            Arc::new(Int64Array::from_iter_values(bidders)),
            Arc::new(Int64Array::from_iter_values(prices)),
            self.channels.column(channels)?,
            addresses.finish()?,
            Arc::new(TimestampMicrosecondArray::from_iter_values(times)),
            extras.finish()?,
        ])
    }

    /// The place of the channel of bid `number` among all channels.
    fn channel_of(&self, number: u64) -> u64 {
        let bits = self.channel.bits(number);
        if bits & 1 == 0 {
            scale(bits, 4)
        } else {
            4 + scale(bits, u64::from(CHANNELS))
        }
    }
}

/// An address of three folders.
fn address(pool: &Pool, dice: Dice, place: u64) -> Vec<u8> {
    let mut text = b"https://www.nexmark.com/".to_vec();
    for folder in 0..3 {
        text.extend_from_slice(pool.word(dice.bits(place * 3 + folder), 5));
        text.push(b'/');
    }
    text.extend_from_slice(b"item.htm?query=1");
    text
}
