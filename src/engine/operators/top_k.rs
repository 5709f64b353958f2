//! Top-k: the rows in the places `skip .. skip + fetch` of an order.
//!
//! Law: `out = the rows of the input, each as often as its weight says, sorted, without the first skip, the next fetch of
//! them`. The order is total: after the keys all other columns count. State: every row, in order; of an
//! input that never takes a row back those before the end alone.
//!
//! The window is what the first `skip + fetch` rows have and the first `skip` have not. Each of the two beginnings is
//! held by its end alone, which moves over as many rows as a step pushes across it: a step costs the
//! logarithm of the state for each of its rows, whatever `skip` and `fetch` are.

use std::collections::BTreeMap;

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;

use crate::base::{Error, Result};
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::{Change, OrderKey, Ordered};
use crate::zset::consolidate::add_weights;
use crate::zset::{Delta, batch_of, merge};

/// How the copies of rows in the window change.
type Moved = BTreeMap<Box<[u8]>, i64>;

/// The rows in some places of an order.
#[derive(Debug)]
pub struct TopK {
    schema: SchemaRef,
    rows: Ordered,
    /// Where the window begins; `None`: at the first row.
    start: Option<Cut>,
    /// Where it ends; `None`: behind the last row.
    end: Option<Cut>,
    /// Whether the input never takes a row back: what is behind the end stays there, and is not kept.
    append_only: bool,
}

impl TopK {
    /// The rows of `input` in the `fetch` places behind the first `skip` by `order`; `fetch` is `None` for all. Of
    /// their columns only the first leave it, as `schema` names them.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(
        input: &SchemaRef,
        schema: SchemaRef,
        order: &[OrderKey],
        skip: usize,
        fetch: Option<usize>,
    ) -> Result<Self> {
        let cut = |places: usize| {
            i128::try_from(places)
                .map(Cut::new)
                .map_err(|_| Error::limit("LIMIT and OFFSET are too large"))
        };
        let end = fetch.map(|fetch| cut(skip.saturating_add(fetch)));
        Ok(Self {
            rows: Ordered::new(input, &[], order)?,
            schema,
            start: (skip > 0).then(|| cut(skip)).transpose()?,
            end: end.transpose()?,
            append_only: false,
        })
    }
}

impl Operator for TopK {
    fn name(&self) -> &'static str {
        "top_k"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        self.append_only = inputs.iter().all(|append_only| *append_only);
        false
    }

    fn step(&mut self, inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        let mut moved = Moved::new();
        for piece in merge(input(inputs, 0, "top_k")?)? {
            let keys = self.rows.encode(&piece.batch)?;
            for (row, weight) in piece.weights.iter().enumerate() {
                if self.append_only
                    && self
                        .end
                        .as_ref()
                        .is_some_and(|end| end.is_past(keys.key(row)))
                {
                    continue;
                }
                let change = self.rows.add(&keys, row, *weight)?;
                if change.before == change.after {
                    continue;
                }
                let key = keys.key(row);
                let within = match &mut self.end {
                    Some(end) => end.change(key, change),
                    None => change.after - change.before,
                };
                let skipped = match &mut self.start {
                    Some(start) => start.change(key, change),
                    None => 0,
                };
                count(&mut moved, key, within)?;
                count(&mut moved, key, -skipped)?;
            }
        }
        if let Some(end) = &mut self.end {
            end.settle(&self.rows, &mut |key, copies| {
                count(&mut moved, key, copies)
            })?;
        }
        if let Some(start) = &mut self.start {
            start.settle(&self.rows, &mut |key, copies| {
                count(&mut moved, key, -copies)
            })?;
        }
        // Only now: the start may have moved over rows that are behind the end.
        if self.append_only
            && let Some(last) = self.end.as_ref().and_then(Cut::full)
        {
            self.rows.forget_behind(last, &[]);
        }
        if moved.is_empty() {
            return Ok(Deltas::new());
        }
        let mut columns = self.rows.decode(moved.keys().map(|key| &**key))?;
        columns.truncate(self.schema.fields().len());
        let batch = batch_of(&self.schema, columns, moved.len())?;
        let weights: Int64Array = moved.values().copied().collect();
        Ok(vec![Delta::new(batch, weights)?])
    }

    fn state_bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn state_rows(&self) -> usize {
        self.rows.len()
    }
}

fn count(moved: &mut Moved, key: &[u8], copies: i64) -> Result<()> {
    if copies == 0 {
        return Ok(());
    }
    let sum = add_weights(moved.get(key).copied().unwrap_or(0), copies)?;
    if sum == 0 {
        moved.remove(key);
    } else {
        moved.insert(key.into(), sum);
    }
    Ok(())
}

/// The end of the first `places` rows of an order.
#[derive(Debug)]
struct Cut {
    places: i128,
    /// How many rows are inside: between steps, the smaller of `places` and how many there are.
    inside: i128,
    /// Every copy of a row before this one is inside, and none of a row behind it. `None`: nothing is inside.
    last: Option<Box<[u8]>>,
    /// How many copies of the last row itself are inside.
    taken: i64,
}

impl Cut {
    fn new(places: i128) -> Self {
        Self {
            places,
            inside: 0,
            last: None,
            taken: 0,
        }
    }

    /// The last row that is inside, when as many are as can be.
    fn full(&self) -> Option<&[u8]> {
        self.last.as_deref().filter(|_| self.inside >= self.places)
    }

    /// Whether a row stands behind an end that can only come nearer.
    fn is_past(&self, key: &[u8]) -> bool {
        self.full().is_some_and(|last| key > last)
    }

    /// Takes note that the copies of a row have changed, and says by how many those inside have. The end stays
    /// where it is until [`Cut::settle`].
    fn change(&mut self, key: &[u8], change: Change) -> i64 {
        let Some(last) = self.last.as_deref() else {
            return 0;
        };
        let moved = if key < last {
            change.after - change.before
        } else if key == last {
            let moved = self.taken.min(change.after) - self.taken;
            self.taken += moved;
            moved
        } else {
            0
        };
        self.inside += i128::from(moved);
        moved
    }

    /// Moves the end until `places` rows are inside, or all, and tells which rows that takes in or out.
    fn settle(
        &mut self,
        rows: &Ordered,
        moved: &mut dyn FnMut(&[u8], i64) -> Result<()>,
    ) -> Result<()> {
        if self.inside > self.places {
            self.shrink(rows, moved)
        } else {
            self.grow(rows, moved)
        }
    }

    fn shrink(
        &mut self,
        rows: &Ordered,
        moved: &mut dyn FnMut(&[u8], i64) -> Result<()>,
    ) -> Result<()> {
        let Some(mut last) = self.last.as_deref() else {
            return Ok(());
        };
        let mut before = rows.before(last);
        loop {
            let out = at_most(self.taken, self.inside - self.places);
            self.taken -= out;
            self.inside -= i128::from(out);
            moved(last, -out)?;
            if self.inside <= self.places {
                break;
            }
            let Some(row) = before.next() else {
                return Err(Error::internal("more rows are inside than there are"));
            };
            (last, self.taken) = (row.key, row.copies);
        }
        let last = Box::from(last);
        drop(before);
        self.last = Some(last);
        Ok(())
    }

    fn grow(
        &mut self,
        rows: &Ordered,
        moved: &mut dyn FnMut(&[u8], i64) -> Result<()>,
    ) -> Result<()> {
        if let Some(last) = self.last.as_deref() {
            let more = at_most(rows.copies(last) - self.taken, self.places - self.inside);
            self.taken += more;
            self.inside += i128::from(more);
            moved(last, more)?;
        }
        let mut end = None;
        for row in rows.behind(self.last.as_deref()) {
            if self.inside >= self.places {
                break;
            }
            self.taken = at_most(row.copies, self.places - self.inside);
            self.inside += i128::from(self.taken);
            moved(row.key, self.taken)?;
            end = Some(row.key);
        }
        if let Some(end) = end {
            self.last = Some(Box::from(end));
        }
        if self.inside == 0 {
            self.last = None;
        }
        Ok(())
    }
}

/// The smaller of the two.
fn at_most(copies: i64, room: i128) -> i64 {
    i64::try_from(room).map_or(copies, |room| copies.min(room))
}
