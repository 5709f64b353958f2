//! The generator's proportions, and every query against itself in batch.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{Int64Type, TimestampMicrosecondType};

use super::generator::{Generator, Stream};
use super::measure::{Plan, Stage};
use super::query::{self, Query};
use crate::base::clock::SystemClock;
use crate::runtime::{Lotic, Options};
use crate::zset::own_bytes;

fn rows(events: u64, stream: Stream) -> RecordBatch {
    let generator = Generator::new(7).unwrap();
    generator.block(0, events).unwrap().rows(stream).clone()
}

fn integers<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i64] {
    let column = batch.column_by_name(name).unwrap();
    column.as_primitive::<Int64Type>().values()
}

fn times<'a>(batch: &'a RecordBatch, name: &str) -> &'a [i64] {
    let column = batch.column_by_name(name).unwrap();
    column.as_primitive::<TimestampMicrosecondType>().values()
}

fn texts<'a>(batch: &'a RecordBatch, name: &str) -> Vec<&'a str> {
    let column = batch.column_by_name(name).unwrap();
    column.as_string_view().iter().flatten().collect()
}

fn part(values: &[i64], wanted: impl Fn(i64) -> bool) -> f64 {
    let found = values.iter().filter(|value| wanted(**value)).count();
    found as f64 / values.len() as f64
}

#[test]
fn events_are_a_function_of_seed_and_number_however_they_are_cut() {
    let generator = Generator::new(7).unwrap();
    let whole = generator.block(0, 5_003).unwrap();
    let mut first = 0;
    let mut pieces = Vec::new();
    for events in [1, 2, 4, 43, 50, 4_000, 903] {
        pieces.push(generator.block(first, events).unwrap());
        first += events;
    }
    for stream in Stream::ALL {
        let schema = whole.rows(stream).schema();
        let cut = pieces.iter().map(|block| block.rows(stream));
        assert_eq!(concat_batches(&schema, cut).unwrap(), *whole.rows(stream));
    }
    let other = Generator::new(8).unwrap().block(0, 5_003).unwrap();
    assert_ne!(other.rows(Stream::Bid), whole.rows(Stream::Bid));
}

#[test]
fn of_fifty_events_one_is_a_person_and_three_are_auctions() {
    let counts = Stream::ALL.map(|stream| rows(50_000, stream).num_rows());
    assert_eq!(counts, [1_000, 3_000, 46_000]);
    let people = rows(50_000, Stream::Person);
    let auctions = rows(50_000, Stream::Auction);
    assert_eq!(integers(&people, "id"), (1000..2000).collect::<Vec<_>>());
    assert_eq!(integers(&auctions, "id"), (1000..4000).collect::<Vec<_>>());
    // ten events of a millisecond, none before the one before it
    let bids = rows(50_000, Stream::Bid);
    let at = times(&bids, "date_time");
    assert_eq!(at[45_999] - at[0], 4_999_000);
    assert!(at.is_sorted());
}

#[test]
fn half_of_the_bids_go_to_hot_auctions_and_three_quarters_come_from_hot_bidders() {
    let bids = rows(500_000, Stream::Bid);
    // an auction is hot only as the first of a hundred, which any of the others is once in a hundred
    let hot = part(integers(&bids, "auction"), |auction| auction % 100 == 0);
    assert!((0.495..0.515).contains(&hot), "{hot}");
    let hot = part(integers(&bids, "bidder"), |bidder| bidder % 100 == 1);
    assert!((0.745..0.760).contains(&hot), "{hot}");
    let auctions = rows(500_000, Stream::Auction);
    let hot = part(integers(&auctions, "seller"), |seller| seller % 100 == 0);
    assert!((0.740..0.765).contains(&hot), "{hot}");
    let categories: BTreeSet<i64> = integers(&auctions, "category").iter().copied().collect();
    assert_eq!(categories, (10..15).collect());
    let channels = texts(&bids, "channel");
    let hot = channels.iter().filter(|name| !name.starts_with("channel-"));
    let hot = hot.count() as f64 / channels.len() as f64;
    assert!((0.495..0.505).contains(&hot), "{hot}");
}

#[test]
fn bids_name_open_auctions_and_active_people_and_a_few_that_come_next() {
    let bids = rows(200_000, Stream::Bid);
    let auctions = integers(&bids, "auction");
    let bidders = integers(&bids, "bidder");
    for (row, (auction, bidder)) in auctions.iter().zip(bidders).enumerate() {
        let round = i64::try_from(row / 46).unwrap();
        let (last_auction, last_person) = (1000 + round * 3 + 2, 1000 + round);
        assert!((last_auction - 100..=last_auction + 10).contains(auction));
        assert!((last_person - 1000..=last_person + 10).contains(bidder));
    }
    let expired = rows(200_000, Stream::Auction);
    let open = times(&expired, "expires").iter();
    let lengths: Vec<i64> = open
        .zip(times(&expired, "date_time"))
        .map(|(end, start)| end - start)
        .collect();
    assert!(lengths.iter().all(|us| (1_000..=334_000).contains(us)));
    let mean = lengths.iter().sum::<i64>() / i64::try_from(lengths.len()).unwrap();
    assert!((160_000..174_000).contains(&mean), "{mean}");
}

#[test]
fn prices_are_uniform_in_their_logarithm_and_rows_have_the_published_sizes() {
    let bids = rows(200_000, Stream::Bid);
    let prices = integers(&bids, "price");
    assert!(
        prices
            .iter()
            .all(|cents| (100..=100_000_000).contains(cents))
    );
    let cheap = part(prices, |cents| cents < 10_000);
    assert!((0.32..0.345).contains(&cheap), "{cheap}");
    for (stream, wanted) in [(Stream::Person, 200), (Stream::Auction, 500)] {
        let batch = rows(200_000, stream);
        let bare = own_bytes(&batch) / batch.num_rows();
        let text: usize = (0..batch.num_columns())
            .filter_map(|column| batch.column(column).as_string_view_opt())
            .map(|column| column.iter().flatten().map(str::len).sum::<usize>())
            .sum();
        let mean = text / batch.num_rows();
        // what is no text counts 8 bytes a column in the publication
        assert!((wanted - 60..wanted).contains(&mean), "{mean} of {bare}");
    }
    let extras = texts(&bids, "extra");
    let mean = extras.iter().map(|text| text.len()).sum::<usize>() / extras.len();
    assert!((66..70).contains(&mean), "{mean}");
    let addresses = texts(&bids, "url");
    assert!(
        addresses
            .iter()
            .all(|url| url.starts_with("https://www.nexmark.com/"))
    );
}

#[test]
fn queries_are_named_alone_in_ranges_and_all_at_once() {
    let names = |words: &[&str]| -> Vec<usize> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        let found = query::chosen(&words).unwrap();
        found.iter().map(|query| query.number).collect()
    };
    assert_eq!(names(&["q5", "7"]), [5, 7]);
    assert_eq!(names(&["q1,q3", "q20..q22"]), [1, 3, 20, 21, 22]);
    assert_eq!(names(&["all"]), (0..23).collect::<Vec<_>>());
    assert!(query::chosen(&["q23".to_owned()]).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_maintained_equals_itself_in_batch() {
    let plan = Plan {
        events: 20_000,
        block: 3_000,
        durability: "disk",
        limit: Duration::from_secs(600),
        generator: Arc::new(Generator::new(1).unwrap()),
    };
    let mut wrong = Vec::new();
    for query in query::ALL {
        if let Err(what) = held_against_batch(query, &plan).await {
            wrong.push(format!("{}: {what}", query.name()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn held_against_batch(query: Query, plan: &Plan) -> Result<(), String> {
    let lotic = Lotic::open(Options::default()).await.unwrap();
    let mut stage = Stage::prepare(&lotic, query, plan.durability)
        .await
        .unwrap();
    let created = stage.create_model().await;
    created.map_err(|error| error.to_string())?;
    let sent = stage.send(plan, &SystemClock::new()).await.unwrap();
    assert_eq!(sent, plan.events);
    stage.check_alive().map_err(|error| error.to_string())?;
    let differing = stage.differences().await.unwrap();
    let (rows, errors) = (stage.figure("rows"), stage.figure("model_error_rows"));
    lotic.shutdown().await;
    match (rows, errors, differing) {
        (1.., 0, 0) => Ok(()),
        _ => Err(format!(
            "{rows} rows, {errors} failed rows, {differing} differing rows"
        )),
    }
}
