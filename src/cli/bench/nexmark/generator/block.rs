//! The generator: blocks of consecutive events, a batch of columns a stream.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};

use super::auctions::Auctions;
use super::bids::Bids;
use super::dice::Dice;
use super::people::People;
use super::shape::{AUCTIONS, PEOPLE, ROUND};
use super::text::Pool;
use crate::base::Result;

/// One of the three kinds of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli::bench::nexmark) enum Stream {
    Person,
    Auction,
    Bid,
}

impl Stream {
    /// All of them, in the order in which a round has them.
    pub(in crate::cli::bench::nexmark) const ALL: [Self; 3] =
        [Self::Person, Self::Auction, Self::Bid];

    /// What it is called in SQL.
    pub(in crate::cli::bench::nexmark) fn name(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Auction => "auction",
            Self::Bid => "bid",
        }
    }

    /// Its columns as SQL declares them.
    pub(in crate::cli::bench::nexmark) fn columns(self) -> &'static str {
        match self {
            Self::Person => {
                "id BIGINT, name TEXT, email_address TEXT, credit_card TEXT, city TEXT, state TEXT, \
                 date_time TIMESTAMP, extra TEXT"
            }
            Self::Auction => {
                "id BIGINT, item_name TEXT, description TEXT, initial_bid BIGINT, reserve BIGINT, \
                 date_time TIMESTAMP, expires TIMESTAMP, seller BIGINT, category BIGINT, extra TEXT"
            }
            Self::Bid => {
                "auction BIGINT, bidder BIGINT, price BIGINT, channel TEXT, url TEXT, \
                 date_time TIMESTAMP, extra TEXT"
            }
        }
    }

    fn schema(self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns()
            .split(", ")
            .filter_map(|column| column.split_once(' '))
            .map(|(name, kind)| {
                let data_type = match kind {
                    "BIGINT" => DataType::Int64,
                    "TEXT" => DataType::Utf8View,
                    _ => DataType::Timestamp(TimeUnit::Microsecond, None),
                };
                Field::new(name, data_type, true)
            })
            .collect();
        Arc::new(Schema::new(fields))
    }
}

/// Consecutive events, by stream.
#[derive(Debug)]
pub(in crate::cli::bench::nexmark) struct Block {
    /// How many events there are in all.
    pub(in crate::cli::bench::nexmark) events: u64,
    batches: [RecordBatch; 3],
}

impl Block {
    /// The events of one stream.
    pub(in crate::cli::bench::nexmark) fn rows(&self, stream: Stream) -> &RecordBatch {
        let [person, auction, bid] = &self.batches;
        match stream {
            Stream::Person => person,
            Stream::Auction => auction,
            Stream::Bid => bid,
        }
    }
}

/// Makes events.
#[derive(Debug)]
pub(in crate::cli::bench::nexmark) struct Generator {
    people: People,
    auctions: Auctions,
    bids: Bids,
    /// Letters and blanks.
    words: Pool,
    /// Letters alone.
    letters: Pool,
    schemas: [SchemaRef; 3],
}

impl Generator {
    /// A generator whose events depend on `seed` alone.
    ///
    /// # Errors
    /// When a constant is too long for its column, which is a defect.
    pub(in crate::cli::bench::nexmark) fn new(seed: u64) -> Result<Self> {
        Ok(Self {
            people: People::new(seed)?,
            auctions: Auctions::new(seed),
            bids: Bids::new(seed)?,
            words: Pool::new(Dice::new(seed, 1), Some(b' ')),
            letters: Pool::new(Dice::new(seed, 2), None),
            schemas: Stream::ALL.map(Stream::schema),
        })
    }

    /// `events` events from number `first` on.
    ///
    /// # Errors
    /// When a column cannot be made, as of more than 2 GiB of text.
    pub(in crate::cli::bench::nexmark) fn block(&self, first: u64, events: u64) -> Result<Block> {
        let numbers = first..first + events;
        let of = |from: u64, to: u64| -> Vec<u64> {
            numbers
                .clone()
                .filter(|number| (from..to).contains(&(number % ROUND)))
                .collect()
        };
        let people = of(0, PEOPLE);
        let auctions = of(PEOPLE, PEOPLE + AUCTIONS);
        let bids = of(PEOPLE + AUCTIONS, ROUND);
        let columns: [Vec<ArrayRef>; 3] = [
            self.people.columns(&people, &self.words, &self.letters)?,
            self.auctions
                .columns(&auctions, &self.words, &self.letters)?,
            self.bids.columns(&bids, &self.letters)?,
        ];
        let [person, auction, bid] = columns;
        let [person_schema, auction_schema, bid_schema] = &self.schemas;
        Ok(Block {
            events,
            batches: [
                RecordBatch::try_new(Arc::clone(person_schema), person)?,
                RecordBatch::try_new(Arc::clone(auction_schema), auction)?,
                RecordBatch::try_new(Arc::clone(bid_schema), bid)?,
            ],
        })
    }
}
