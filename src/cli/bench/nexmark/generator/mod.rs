//! Events of an auction site, as Nexmark publishes them: of every 50 one is a person, three are
//! auctions and 46 are bids.
//!
//! An event is a function of the seed and of its number alone: where a block of events begins and ends
//! makes no difference to what is in it. Values come a column at a time (`dice`), texts are cut from one
//! long random text (`text`), `shape` says who and what an event is about, and `block` puts it together.

mod auctions;
mod bids;
mod block;
mod dice;
mod people;
mod shape;
mod text;

pub(super) use self::block::{Block, Generator, Stream};
