//! What a group top-k is told: the groups, the order, what counts, and between which bounds.

use arrow::datatypes::SchemaRef;

use crate::state::OrderKey;

/// What counts the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// Every copy has a number of its own.
    RowNumber,
    /// Equal rows of the order share the number of the first of them.
    Rank,
    /// As `Rank`, without gaps.
    DenseRank,
}

/// Whether the output has the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RankColumn {
    /// There is no such column.
    Absent,
    /// There is one, but nobody reads it: it holds 0, so that a row that only changes its rank does not move.
    Unread,
    /// It is the last column.
    Kept,
}

/// What a [`GroupTopK`](super::GroupTopK) computes.
#[derive(Clone, Debug)]
pub struct GroupTopKConfig {
    /// The columns of the input, all of which have an order.
    pub input: SchemaRef,
    /// The columns of the group.
    pub group: Vec<usize>,
    /// The order within it.
    pub order: Vec<OrderKey>,
    /// What counts.
    pub rank: Numbering,
    /// The least rank that is in, from 1.
    pub first: u64,
    /// The largest rank that is in.
    pub last: u64,
    /// The output's rank.
    pub column: RankColumn,
    /// The output: the first columns of the input and, unless absent, the rank as 64-bit unsigned.
    pub schema: SchemaRef,
}
