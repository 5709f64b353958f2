//! What kind an event is, who and what it is about, and when it happened: functions of its number.

use super::dice::Dice;

/// Events of one round of all kinds.
pub(super) const ROUND: u64 = 50;
/// People at the beginning of a round.
pub(super) const PEOPLE: u64 = 1;
/// Auctions after the people of a round; the rest are bids.
pub(super) const AUCTIONS: u64 = 3;

/// The id of the first person.
const FIRST_PERSON: u64 = 1000;
/// The id of the first auction.
const FIRST_AUCTION: u64 = 1000;
/// People and auctions that are spoken of before they appear.
const LEAD: u64 = 10;
/// People who may sell or bid.
const ACTIVE_PEOPLE: u64 = 1000;
/// Auctions that are open at the same time.
const OPEN_AUCTIONS: u64 = 100;
/// One person and one auction of so many are hot.
const HOT_EVERY: u64 = 100;

/// 2015-07-15 00:00:00 UTC, in milliseconds: the time of event 0.
const BASE_MS: u64 = 1_436_918_400_000;
/// Events of one second of the site's time.
pub(super) const EVENTS_A_SECOND: u64 = 10_000;

/// Milliseconds after 1970 at which event `number` happened.
pub(super) fn time_ms(number: u64) -> u64 {
    BASE_MS + number * 1000 / EVENTS_A_SECOND
}

/// As [`time_ms`], as a timestamp.
pub(super) fn time_us(number: u64) -> i64 {
    micros(time_ms(number))
}

pub(super) fn micros(ms: u64) -> i64 {
    signed(ms * 1000)
}

/// The newest person at event `number`, counted from 0: the event's own where it is a person.
pub(super) fn last_person(number: u64) -> u64 {
    number / ROUND
}

/// The newest auction at event `number`, counted from 0, for a number that is not a person's.
pub(super) fn last_auction(number: u64) -> u64 {
    let in_round = (number % ROUND).saturating_sub(PEOPLE).min(AUCTIONS - 1);
    number / ROUND * AUCTIONS + in_round
}

/// The id of the person that event `number` is.
pub(super) fn person_id(number: u64) -> i64 {
    signed(FIRST_PERSON + last_person(number))
}

/// The id of the auction that event `number` is.
pub(super) fn auction_id(number: u64) -> i64 {
    signed(FIRST_AUCTION + last_auction(number))
}

/// Somebody who sells at event `number`: three times out of four the first of the last hundred people.
pub(super) fn seller(number: u64, hot: Dice, any: Dice) -> i64 {
    if hot.is_hot(number, 4) {
        return signed(FIRST_PERSON + last_person(number) / HOT_EVERY * HOT_EVERY);
    }
    anybody(number, any)
}

/// Somebody who bids at event `number`: three times out of four the second of the last hundred people,
/// so that who sells most does not also bid most.
pub(super) fn bidder(number: u64, hot: Dice, any: Dice) -> i64 {
    if hot.is_hot(number, 4) {
        return signed(FIRST_PERSON + last_person(number) / HOT_EVERY * HOT_EVERY + 1);
    }
    anybody(number, any)
}

fn anybody(number: u64, any: Dice) -> i64 {
    let people = last_person(number) + 1;
    let active = people.min(ACTIVE_PEOPLE);
    signed(FIRST_PERSON + people - active + any.below(number, active + LEAD))
}

/// What event `number` bids for: every other time the first of the last hundred auctions.
pub(super) fn bid_on(number: u64, hot: Dice, any: Dice) -> i64 {
    let last = last_auction(number);
    let base_0 = if hot.is_hot(number, 2) {
        last / HOT_EVERY * HOT_EVERY
    } else {
        let first = last.saturating_sub(OPEN_AUCTIONS);
        first + any.below(number, last - first + 1 + LEAD)
    };
    signed(FIRST_AUCTION + base_0)
}

/// When the auction that event `number` is ends: on average when as many auctions have come as are open
/// at the same time.
pub(super) fn expires_us(number: u64, length: Dice) -> i64 {
    let start = time_ms(number);
    let horizon = time_ms(number + OPEN_AUCTIONS * ROUND / AUCTIONS) - start;
    micros(start + 1 + length.below(number, (horizon * 2).max(1)))
}

pub(super) fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
