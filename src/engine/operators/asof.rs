//! ASOF join: every left row beside the right row of its key that is nearest in time on one side.
//!
//! Law: `out = left x { the nearest of the right rows with equal keys whose time compares as asked }`; of several right rows at
//! that time the first by their other columns, and of several copies one. A left row without such a right row is left out, or
//! stands beside NULLs. A NULL in a key or a time matches nothing. State: the rows of both sides, by key and time.
//!
//! A change on the right touches the left rows between it and its neighbour alone. Keys and times of both sides are of
//! the same types, so their bytes compare across the sides.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{SortOptions, take};
use arrow::datatypes::SchemaRef;

use crate::base::{Error, Result};
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::{Parts, ShardKey};
use crate::state::{Change, OrderKey, Ordered, OrderedRows};
use crate::zset::equal::any_null;
use crate::zset::{Delta, Merged, batch_of, merge};

/// How the left time compares with the right one. The nearest right row is the one that is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AsofMatch {
    /// `left >= right`
    AtOrBefore,
    /// `left > right`
    Before,
    /// `left <= right`
    AtOrBehind,
    /// `left < right`
    Behind,
}

impl AsofMatch {
    /// Whether a right row at the very time of the left one matches.
    pub fn takes_equal(self) -> bool {
        matches!(self, Self::AtOrBefore | Self::AtOrBehind)
    }

    /// Whether the right row lies before the left one.
    pub fn looks_back(self) -> bool {
        matches!(self, Self::AtOrBefore | Self::Before)
    }
}

/// What an [`AsofJoin`] computes.
#[derive(Clone, Debug)]
pub struct AsofConfig {
    /// The left input's columns, all of which have an order.
    pub left: SchemaRef,
    /// The right input's columns, all of which have an order.
    pub right: SchemaRef,
    /// The left columns of the keys and the right ones, of equal types.
    pub keys: Vec<(usize, usize)>,
    /// The left column of the time and the right one, of equal types.
    pub times: (usize, usize),
    /// How the times compare.
    pub matching: AsofMatch,
    /// Whether a left row without a right row stands beside NULLs.
    pub outer: bool,
    /// The output: the left columns and the right ones.
    pub schema: SchemaRef,
}

/// The rows of one input.
#[derive(Debug)]
struct Side {
    rows: Ordered,
    /// The columns of the keys and of the time.
    matched: Vec<usize>,
}

impl Side {
    fn new(schema: &SchemaRef, keys: Vec<usize>, time: usize) -> Result<Self> {
        let order = OrderKey {
            column: time,
            options: SortOptions::new(false, false),
        };
        let rows = Ordered::new(schema, &keys, &[order])?;
        let mut matched = keys;
        matched.push(time);
        Ok(Self { rows, matched })
    }

    /// Which rows of `batch` can match nothing; `None`: all can.
    fn unmatchable(&self, batch: &RecordBatch) -> Option<Vec<bool>> {
        let columns: Vec<ArrayRef> = self
            .matched
            .iter()
            .map(|column| Arc::clone(batch.column(*column)))
            .collect();
        any_null(&columns)
    }
}

/// Left rows of a key between two bounds, and the right row that they had.
struct Stretch {
    /// How many of a row's bytes are the key.
    key_bytes: usize,
    from: Vec<u8>,
    /// The first bytes behind it; `None` where nothing is.
    to: Option<Vec<u8>>,
    had: Option<Vec<u8>>,
}

/// Left rows beside right ones, on their way out.
#[derive(Default)]
struct Pairs<'a> {
    left: Vec<&'a [u8]>,
    right: Vec<&'a [u8]>,
    /// For each left row the place of its right one.
    at: Vec<Option<u32>>,
    weights: Vec<i64>,
}

impl<'a> Pairs<'a> {
    fn push(&mut self, left: &'a [u8], right: Option<&'a [u8]>, weight: i64) -> Result<()> {
        if weight == 0 {
            return Ok(());
        }
        let at = match right {
            None => None,
            Some(right) => {
                // Left rows come in order, so those with one partner stand together.
                if self.right.last() != Some(&right) {
                    self.right.push(right);
                }
                let last = self.right.len() - 1;
                Some(u32::try_from(last).map_err(|_| Error::limit("a join of too many rows"))?)
            }
        };
        self.left.push(left);
        self.at.push(at);
        self.weights.push(weight);
        Ok(())
    }
}

/// Left rows beside their nearest right rows.
#[derive(Debug)]
pub struct AsofJoin {
    config: AsofConfig,
    left: Side,
    right: Side,
    /// Left rows with a NULL in a key or the time, kept where they come out.
    alone: Ordered,
}

impl AsofJoin {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column's type has no order, or the sides' types differ.
    pub fn new(config: AsofConfig) -> Result<Self> {
        let pairs = config.keys.iter().chain([&config.times]);
        for (left, right) in pairs {
            let left = config
                .left
                .fields()
                .get(*left)
                .map(|field| field.data_type());
            let right = config
                .right
                .fields()
                .get(*right)
                .map(|field| field.data_type());
            if left.is_none() || left != right {
                return Err(Error::internal("an ASOF join over columns of two types"));
            }
        }
        let (left, right) = config.keys.iter().copied().unzip();
        Ok(Self {
            left: Side::new(&config.left, left, config.times.0)?,
            right: Side::new(&config.right, right, config.times.1)?,
            alone: Ordered::new(&config.left, &[], &[])?,
            config,
        })
    }

    fn change_right(&mut self, piece: &Merged) -> Result<Deltas> {
        let keys = self.right.rows.encode(&piece.batch)?;
        let nulls = self.right.unmatchable(&piece.batch);
        let mut rows: Vec<usize> = (0..piece.weights.len())
            .filter(|row| !nulls.as_ref().is_some_and(|nulls| nulls[*row]))
            .collect();
        let stretches = if self.left.rows.is_empty() {
            Vec::new()
        } else {
            rows.sort_unstable_by(|left, right| keys.key(*left).cmp(keys.key(*right)));
            self.stretches(&keys, &rows)
        };
        for row in rows {
            self.right.rows.add(&keys, row, piece.weights[row])?;
        }
        let mut pairs = Pairs::default();
        let mut known: Option<(&[u8], Option<&[u8]>)> = None;
        for stretch in &stretches {
            let had = stretch.had.as_deref();
            for row in self.left.rows.between(&stretch.from, stretch.to.as_deref()) {
                let has = match known {
                    Some((peers, has)) if peers == row.peers => has,
                    _ => self.nearest(&row.key[..stretch.key_bytes], row.peers),
                };
                known = Some((row.peers, has));
                if had != has {
                    self.pair(&mut pairs, row.key, had, -row.copies)?;
                    self.pair(&mut pairs, row.key, has, row.copies)?;
                }
            }
        }
        self.output(&pairs)
    }

    fn change_left(&mut self, piece: &Merged) -> Result<Deltas> {
        let keys = self.left.rows.encode(&piece.batch)?;
        let nulls = self.left.unmatchable(&piece.batch);
        let mut changes: Vec<(usize, i64)> = Vec::with_capacity(piece.weights.len());
        let mut unmatched: Vec<(usize, i64)> = Vec::new();
        let lone = match &nulls {
            Some(_) if self.config.outer => Some(self.alone.encode(&piece.batch)?),
            _ => None,
        };
        for (row, weight) in piece.weights.iter().copied().enumerate() {
            let is_lone = nulls.as_ref().is_some_and(|nulls| nulls[row]);
            match (&lone, is_lone) {
                (_, false) => {
                    let change = self.left.rows.add(&keys, row, weight)?;
                    changes.push((row, gain(change)));
                }
                (Some(lone), true) => {
                    let change = self.alone.add(lone, row, weight)?;
                    unmatched.push((row, gain(change)));
                }
                (None, true) => {}
            }
        }
        changes.sort_unstable_by(|(left, _), (right, _)| keys.key(*left).cmp(keys.key(*right)));
        let mut pairs = Pairs::default();
        for (row, weight) in changes {
            let has = self.nearest(keys.group(row), keys.peers(row));
            self.pair(&mut pairs, keys.key(row), has, weight)?;
        }
        for (row, weight) in unmatched {
            self.pair(&mut pairs, keys.key(row), None, weight)?;
        }
        self.output(&pairs)
    }

    /// Adds a left row with its partner, where such a row comes out.
    fn pair<'a>(
        &self,
        pairs: &mut Pairs<'a>,
        left: &'a [u8],
        right: Option<&'a [u8]>,
        weight: i64,
    ) -> Result<()> {
        if right.is_none() && !self.config.outer {
            return Ok(());
        }
        pairs.push(left, right, weight)
    }

    /// Where left rows may get another partner once the right `rows`, in order, come or go.
    fn stretches(&self, keys: &OrderedRows, rows: &[usize]) -> Vec<Stretch> {
        let mut stretches: Vec<Stretch> = Vec::new();
        for row in rows {
            let (group, peers) = (keys.group(*row), keys.peers(*row));
            let stretch = self.stretch(group, peers);
            // Where two overlap, the rows had one partner: none stood between their right rows.
            let from = match stretches.last().map(|last| &last.to) {
                Some(None) => break,
                Some(Some(covered)) => stretch.from.max(covered.clone()),
                None => stretch.from,
            };
            if stretch.to.as_ref().is_none_or(|to| *to > from) {
                stretches.push(Stretch { from, ..stretch });
            }
        }
        stretches
    }

    /// The left rows whose partner depends on whether there is a right row at `peers`: those from there to its neighbour.
    fn stretch(&self, group: &[u8], peers: &[u8]) -> Stretch {
        let matching = self.config.matching;
        let rows = &self.right.rows;
        // From behind all that begins with the bytes, or from the bytes on.
        let edge = |bytes: &[u8], behind: bool| {
            if behind {
                following(bytes)
            } else {
                Some(bytes.to_vec())
            }
        };
        if matching.looks_back() {
            let next = following(peers).and_then(|behind| {
                let next = rows.between(&behind, None).next()?;
                next.key.starts_with(group).then_some(next.peers)
            });
            let behind = !matching.takes_equal();
            Stretch {
                key_bytes: group.len(),
                from: edge(peers, behind).unwrap_or_else(|| peers.to_vec()),
                to: match next {
                    Some(next) => edge(next, behind),
                    None => following(group),
                },
                had: self.last_until(group, peers).map(<[u8]>::to_vec),
            }
        } else {
            let before = rows.before(peers).next();
            let before = before.filter(|row| row.key.starts_with(group));
            let behind = matching.takes_equal();
            Stretch {
                key_bytes: group.len(),
                from: before
                    .and_then(|before| edge(before.peers, behind))
                    .unwrap_or_else(|| group.to_vec()),
                to: edge(peers, behind),
                had: self.first_from(group, peers).map(<[u8]>::to_vec),
            }
        }
    }

    /// The right row that a left row at `peers` stands beside.
    fn nearest(&self, group: &[u8], peers: &[u8]) -> Option<&[u8]> {
        let rows = &self.right.rows;
        match self.config.matching {
            AsofMatch::AtOrBefore => self.last_until(group, peers),
            AsofMatch::Before => {
                let found = rows.before(peers).next()?;
                self.first_from(group, found.peers)
            }
            AsofMatch::AtOrBehind => self.first_from(group, peers),
            AsofMatch::Behind => self.first_from(group, &following(peers)?),
        }
    }

    /// The first right row of the last time up to that of `peers`.
    fn last_until(&self, group: &[u8], peers: &[u8]) -> Option<&[u8]> {
        let rows = &self.right.rows;
        let found = match following(peers) {
            Some(behind) => rows.before(&behind).next()?.peers,
            None => peers,
        };
        self.first_from(group, found)
    }

    /// The first right row at `bytes` or behind them.
    fn first_from(&self, group: &[u8], bytes: &[u8]) -> Option<&[u8]> {
        let row = self.right.rows.between(bytes, None).next()?;
        row.key.starts_with(group).then_some(row.key)
    }

    fn output(&self, pairs: &Pairs<'_>) -> Result<Deltas> {
        if pairs.left.is_empty() {
            return Ok(Deltas::new());
        }
        let mut columns = self.left.rows.decode(pairs.left.iter().copied())?;
        if pairs.right.is_empty() {
            let fields = &self.config.schema.fields()[columns.len()..];
            for field in fields {
                columns.push(new_null_array(field.data_type(), pairs.left.len()));
            }
        } else {
            let at = UInt32Array::from(pairs.at.clone());
            for column in self.right.rows.decode(pairs.right.iter().copied())? {
                columns.push(take(&column, &at, None)?);
            }
        }
        let batch = batch_of(&self.config.schema, columns, pairs.left.len())?;
        let weights = Int64Array::from(pairs.weights.clone());
        Ok(vec![Delta::new(batch, weights)?])
    }
}

impl Operator for AsofJoin {
    fn name(&self) -> &'static str {
        "asof_join"
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let AsofConfig {
            left, right, keys, ..
        } = &self.config;
        if keys.is_empty() {
            return None;
        }
        let left = ShardKey::columns(left, keys.iter().map(|key| key.0));
        let right = ShardKey::columns(right, keys.iter().map(|key| key.1));
        Parts::new(vec![left, right], count, || Self::new(self.config.clone())).ok()
    }

    fn step(&mut self, inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        let mut output = Deltas::new();
        for piece in merge(input(inputs, 1, self.name())?)? {
            output.extend(self.change_right(&piece)?);
        }
        for piece in merge(input(inputs, 0, self.name())?)? {
            output.extend(self.change_left(&piece)?);
        }
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.left.rows.bytes() + self.right.rows.bytes() + self.alone.bytes()
    }

    fn state_rows(&self) -> usize {
        self.left.rows.len() + self.right.rows.len() + self.alone.len()
    }
}

fn gain(change: Change) -> i64 {
    change.after - change.before
}

/// The first bytes behind all that begin with `prefix`; `None` where nothing is.
fn following(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte < u8::MAX)?;
    let mut bytes = prefix[..=last].to_vec();
    bytes[last] += 1;
    Some(bytes)
}
