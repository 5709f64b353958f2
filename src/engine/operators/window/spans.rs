//! Rows to evaluate: those whose values are asked for, and the rows around them that the functions look at.

use crate::base::Result;
use crate::engine::Budget;
use crate::state::{Ordered, Standing};

use super::cut::Cut;
use super::reach::{Extent, Reach, Walk, copies};

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

/// Rows to evaluate in one go.
#[derive(Debug)]
pub(super) struct Spans<'a> {
    rows: &'a Ordered,
    reach: Reach,
    budget: Option<&'a Budget>,
    /// The rows of all spans, a copy after the other.
    pub(super) keys: Vec<&'a [u8]>,
    pub(super) spans: Vec<Span>,
}

impl<'a> Spans<'a> {
    /// None yet; they will be of `rows`.
    pub(super) fn new(rows: &'a Ordered, reach: Reach, budget: Option<&'a Budget>) -> Self {
        Self {
            rows,
            reach,
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
        let rows = self.rows;
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
        let mut walk = Walk::new(self.reach.ahead, last.peers);
        for row in next {
            let seen = walk.within(row);
            if seen == 0 {
                break;
            }
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
        let rows = self.rows;
        if self.reach.back == Extent::All {
            for row in rows.onward(&cut.partition) {
                if row.key >= first.key {
                    break;
                }
                self.push(row, copies(row))?;
            }
            return Ok(());
        }
        let mut walk = Walk::new(self.reach.back, first.peers);
        let before = rows
            .before(first.key)
            .take_while(|row| row.key.starts_with(&cut.partition))
            .map(|row| (row, walk.within(row)))
            .take_while(|(_, seen)| *seen > 0);
        let before: Vec<_> = before.collect();
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
