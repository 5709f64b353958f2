//! Rows to evaluate: those whose values are asked for, and the rows around them that the functions look at.

use arrow::datatypes::SchemaRef;

use super::cut::Cut;
use super::distance::{Distances, Limits};
use super::reach::{Extent, Reach, Start, Walk, Way, copies};
use crate::base::Result;
use crate::engine::Budget;
use crate::state::{Ordered, Standing};
use crate::zset::batch_of;

/// What a row takes beside its bytes while it is evaluated.
const ROW_BYTES: usize = 32;

/// Rows of one partition that stand together, in a list of rows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    /// The place of the first.
    pub(super) from: usize,
    /// How many there are.
    pub(super) rows: usize,
    /// How many of them stand before the first whose values are asked for.
    pub(super) skip: usize,
    /// How many values are asked for, above 0.
    pub(super) give: usize,
}

/// Where rows come from, and how many of them are needed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) rows: &'a Ordered,
    pub(super) schema: &'a SchemaRef,
    pub(super) reach: Reach,
    pub(super) distances: &'a Distances,
}

impl Source<'_> {
    /// How far the distance in value leads from `row`.
    fn limits(&self, row: Standing<'_>, extent: Extent, way: Way) -> Result<Option<Limits>> {
        if extent.distance().is_none() {
            return Ok(None);
        }
        let batch = batch_of(self.schema, self.rows.decode([row.key])?, 1)?;
        self.distances.limits(self.rows, &batch, extent, way)
    }
}

/// Rows to evaluate in one go.
#[derive(Debug)]
pub(super) struct Spans<'a> {
    from: Source<'a>,
    budget: Option<&'a Budget>,
    /// The rows of all spans, a copy after the other.
    pub(super) keys: Vec<&'a [u8]>,
    pub(super) spans: Vec<Span>,
}

impl<'a> Spans<'a> {
    /// None yet.
    pub(super) fn new(from: Source<'a>, budget: Option<&'a Budget>) -> Self {
        Self {
            from,
            budget,
            keys: Vec::new(),
            spans: Vec::new(),
        }
    }

    /// Adds the rows of `cut`.
    ///
    /// # Errors
    /// When they do not fit the budget.
    pub(super) fn add(&mut self, cut: &'a Cut) -> Result<()> {
        let rows = self.from.rows;
        let asked = |row: &Standing<'_>| cut.last.as_ref().is_none_or(|last| row.key <= &**last);
        let mut next = rows
            .onward(&cut.first)
            .take_while(|row| row.key.starts_with(&cut.partition))
            .peekable();
        let Some(first) = next.peek().copied().filter(asked) else {
            return Ok(());
        };
        let from = self.keys.len();
        self.add_before(cut, first)?;
        let skip = self.keys.len() - from;
        let mut last = first;
        while let Some(row) = next.next_if(asked) {
            self.push(row, copies(row))?;
            last = row;
        }
        let give = self.keys.len() - from - skip;
        let limits = self.from.limits(last, self.from.reach.ahead, Way::Ahead)?;
        let start = Start {
            peers: last.peers,
            extent: self.from.reach.ahead,
            way: Way::Ahead,
            limit: Limits::of(limits.as_ref(), 0),
        };
        for (row, seen) in reached(next, start) {
            self.push(row, seen)?;
        }
        self.spans.push(Span {
            from,
            rows: self.keys.len() - from,
            skip,
            give,
        });
        Ok(())
    }

    /// Adds what the functions look at before `first`, the first row of `cut`.
    fn add_before(&mut self, cut: &'a Cut, first: Standing<'a>) -> Result<()> {
        let rows = self.from.rows;
        let extent = self.from.reach.back;
        if extent == Extent::All {
            for row in rows.onward(&cut.partition) {
                if row.key >= first.key {
                    break;
                }
                self.push(row, copies(row))?;
            }
            return Ok(());
        }
        let limits = self.from.limits(first, extent, Way::Back)?;
        let start = Start {
            peers: first.peers,
            extent,
            way: Way::Back,
            limit: Limits::of(limits.as_ref(), 0),
        };
        let before = rows
            .before(first.key)
            .take_while(|row| row.key.starts_with(&cut.partition));
        let before: Vec<_> = reached(before, start).collect();
        for (row, seen) in before.into_iter().rev() {
            self.push(row, seen)?;
        }
        Ok(())
    }

    /// Adds `copies` copies of `row`.
    fn push(&mut self, row: Standing<'a>, copies: usize) -> Result<()> {
        if let Some(budget) = self.budget {
            budget.charge(copies.saturating_mul(row.key.len() + ROW_BYTES))?;
        }
        self.keys.extend(std::iter::repeat_n(row.key, copies));
        Ok(())
    }
}

/// The rows that `start` reaches, with the copies that it does.
fn reached<'a: 's, 's>(
    rows: impl Iterator<Item = Standing<'a>>,
    start: Start<'s>,
) -> impl Iterator<Item = (Standing<'a>, usize)> {
    let mut walk = Walk::new(start);
    rows.map(move |row| (row, walk.within(row)))
        .take_while(|(_, seen)| *seen > 0)
}
