//! People who join the site.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, TimestampMicrosecondArray};

use super::dice::Dice;
use super::shape::{person_id, time_us};
use super::text::{Choices, Pool, TextColumn, filling};
use crate::base::Result;

/// Bytes of a person, on average.
const AVERAGE_BYTES: usize = 200;

const STATES: [&str; 6] = ["AZ", "CA", "ID", "OR", "WA", "WY"];
const CITIES: [&str; 10] = [
    "Phoenix",
    "Los Angeles",
    "San Francisco",
    "Boise",
    "Portland",
    "Bend",
    "Redmond",
    "Seattle",
    "Kent",
    "Cheyenne",
];
const FIRST_NAMES: [&str; 11] = [
    "Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter",
];
const LAST_NAMES: [&str; 9] = [
    "Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris",
];

/// What people are made of.
#[derive(Debug)]
pub(super) struct People {
    states: Choices,
    first_name: Dice,
    last_name: Dice,
    mailbox: Dice,
    host: Dice,
    card: Dice,
    city: Dice,
    state: Dice,
    extra: Dice,
}

impl People {
    /// Takes columns 100 and up of `seed`.
    pub(super) fn new(seed: u64) -> Result<Self> {
        let dice = |column: u64| Dice::new(seed, 100 + column);
        Ok(Self {
            states: Choices::new(STATES)?,
            first_name: dice(0),
            last_name: dice(1),
            mailbox: dice(2),
            host: dice(3),
            card: dice(4),
            city: dice(5),
            state: dice(6),
            extra: dice(7),
        })
    }

    /// The columns of the people at `numbers`.
    pub(super) fn columns(
        &self,
        numbers: &[u64],
        words: &Pool,
        letters: &Pool,
    ) -> Result<Vec<ArrayRef>> {
        let rows = numbers.len();
        let mut names = TextColumn::with_capacity(rows, 16);
        let mut mails = TextColumn::with_capacity(rows, 20);
        let mut cards = TextColumn::with_capacity(rows, 19);
        let mut cities = TextColumn::with_capacity(rows, 13);
        let mut extras = TextColumn::with_capacity(rows, AVERAGE_BYTES);
        for &number in numbers {
            names.write(pick(&FIRST_NAMES, self.first_name, number));
            names.write(b" ");
            names.write(pick(&LAST_NAMES, self.last_name, number));
            mails.write(words.word(self.mailbox.bits(number), 7));
            mails.write(b"@");
            mails.write(words.word(self.host.bits(number), 5));
            mails.write(b".com");
            cards.write(&card(self.card.bits(number)));
            cities.write(pick(&CITIES, self.city, number));
            let state = self.states.length(0);
            let size = 8 + names.end() + mails.end() + cards.end() + cities.end() + state;
            let bits = self.extra.bits(number);
            extras.write(letters.piece(bits, filling(bits, size, AVERAGE_BYTES)));
            extras.end();
        }
        let states = numbers
            .iter()
            .map(|number| self.state.below(*number, self.states.len()));
        let times = numbers.iter().map(|number| time_us(*number));
        Ok(vec![
            Arc::new(Int64Array::from_iter_values(
                numbers.iter().map(|number| person_id(*number)),
            )),
            names.finish()?,
            mails.finish()?,
            cards.finish()?,
            cities.finish()?,
            self.states.column(states)?,
            Arc::new(TimestampMicrosecondArray::from_iter_values(times)),
            extras.finish()?,
        ])
    }
}

fn pick<'a>(texts: &[&'a str], dice: Dice, number: u64) -> &'a [u8] {
    let at = dice.below(number, texts.len() as u64);
    let text = usize::try_from(at).ok().and_then(|at| texts.get(at));
    text.map_or(&[], |text| text.as_bytes())
}

/// Four groups of four digits.
fn card(mut bits: u64) -> [u8; 19] {
    let mut text = [b' '; 19];
    for (at, place) in text.iter_mut().enumerate() {
        if at % 5 < 4 {
            *place = b'0' + u8::try_from(bits % 10).unwrap_or(0);
            bits /= 10;
        }
    }
    text
}
