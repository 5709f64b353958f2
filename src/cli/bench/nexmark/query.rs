//! The queries q0 to q22, each a file of SQL, and the streams that they read.

use super::generator::Stream;
use crate::base::{Error, Result};

/// One query of the benchmark.
#[derive(Clone, Copy, Debug)]
pub(super) struct Query {
    /// As in `5` for q5.
    pub(super) number: usize,
    /// What the model holds.
    pub(super) sql: &'static str,
    /// The streams that it reads. Events of the others are made, and not sent.
    pub(super) reads: &'static [Stream],
}

macro_rules! query {
    ($number:literal, $reads:expr) => {
        Query {
            number: $number,
            sql: include_str!(concat!("queries/q", $number, ".sql")),
            reads: &$reads,
        }
    };
}

/// All of them, by number.
pub(super) const ALL: [Query; 23] = [
    query!(0, [Stream::Bid]),
    query!(1, [Stream::Bid]),
    query!(2, [Stream::Bid]),
    query!(3, [Stream::Person, Stream::Auction]),
    query!(4, [Stream::Auction, Stream::Bid]),
    query!(5, [Stream::Bid]),
    query!(6, [Stream::Auction, Stream::Bid]),
    query!(7, [Stream::Bid]),
    query!(8, [Stream::Person, Stream::Auction]),
    query!(9, [Stream::Auction, Stream::Bid]),
    query!(10, [Stream::Bid]),
    query!(11, [Stream::Bid]),
    query!(12, [Stream::Bid]),
    query!(13, [Stream::Bid]),
    query!(14, [Stream::Bid]),
    query!(15, [Stream::Bid]),
    query!(16, [Stream::Bid]),
    query!(17, [Stream::Bid]),
    query!(18, [Stream::Bid]),
    query!(19, [Stream::Bid]),
    query!(20, [Stream::Auction, Stream::Bid]),
    query!(21, [Stream::Bid]),
    query!(22, [Stream::Bid]),
];

impl Query {
    /// As in `q5`.
    pub(super) fn name(&self) -> String {
        format!("q{}", self.number)
    }

    /// Whether its bids say when the machine sent them.
    pub(super) fn needs_sending_time(&self) -> bool {
        self.number == 12
    }

    /// Whether it reads the table of 10,000 rows beside the streams.
    pub(super) fn needs_side_input(&self) -> bool {
        self.number == 13
    }
}

/// The queries that `words` name, as in `q5`, `5`, `q0..q4` or `all`.
///
/// # Errors
/// When a word names none.
pub(super) fn chosen(words: &[String]) -> Result<Vec<Query>> {
    let mut found = Vec::new();
    for word in words.iter().flat_map(|word| word.split(',')) {
        let range = match word.split_once("..") {
            Some((first, last)) => number(first)?..=number(last)?,
            None if word == "all" => 0..=ALL.len() - 1,
            None => number(word)?..=number(word)?,
        };
        found.extend_from_slice(ALL.get(range).unwrap_or_default());
    }
    Ok(found)
}

fn number(word: &str) -> Result<usize> {
    let digits = word.trim();
    let digits = digits.strip_prefix('q').unwrap_or(digits);
    let number = digits.parse().ok().filter(|number| *number < ALL.len());
    number.ok_or_else(|| {
        Error::invalid(format!("there is no query \"{word}\""))
            .with_hint("name one as q5, several as q0..q4 or q1,q3, or all")
    })
}
