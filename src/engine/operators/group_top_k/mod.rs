//! Group top-k: in every group, the rows whose rank by an order lies between two bounds.
//!
//! Without columns of a group, all rows are one group: the first rows of everything, where they are not many.
//!
//! Law: `out = { (r, rank(r)) | first <= rank(r) <= last }`, with row_number, rank or dense_rank within the group; a
//! row of weight w stands w times. Beyond the keys all other columns order the rows, so that
//! row_number leaves nothing open. State: every row, by group and order; of an input that never takes a row back those
//! that are in, or before the first that is.
//!
//! `arrivals` looks at the rows that come: which of them can matter, in which group and where in it. `operator` takes them
//! in, and looks at the first rows of the groups it touches, before and after; where all changes of a group lie behind its
//! last rank it looks once. `ranks` counts.

mod arrivals;
mod config;
mod operator;
mod ranks;

pub use config::{GroupTopKConfig, Numbering, RankColumn};
pub use operator::GroupTopK;
