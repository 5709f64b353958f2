//! Session windows: rows of a group that follow each other within a gap share a window.
//!
//! Law: the times of a group in order fall apart where the next comes `gap` or more behind the last; a row's window begins
//! with the first time of its piece and ends `gap` behind the last. A row without a time has no window. State: every
//! row, by group and time.
//!
//! A step looks at the touched sessions alone, as they were and as they are: the rows that were there before or are there now
//! are chained from each change to both sides, as far as the gap allows. Rows whose window stays as it was do not move.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use crate::base::{Error, ObjectId, Result};
use crate::engine::Parts;
use crate::engine::frontier::Closing;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::sweep::Sweep;
use crate::state::{Change, OrderKey, Ordered, OrderedRows};
use crate::zset::{Delta, Merged, batch_of, merge};

/// What a time takes in the bytes of a row: whether it is there, and its 64 bits.
const TIME_BYTES: usize = 9;

/// An end of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionBound {
    /// The first time.
    Start,
    /// The last time and the gap.
    End,
}

/// What a [`Session`] computes.
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// The columns of the input, all of which have an order.
    pub input: SchemaRef,
    /// The columns of the group.
    pub group: Vec<usize>,
    /// The column of the time: a timestamp, or 64-bit integers.
    pub time: usize,
    /// The gap in the unit of the time, above 0.
    pub gap: i64,
    /// The columns that the output has behind the input's.
    pub bounds: Vec<SessionBound>,
    /// The output: the first columns of the input, then the bounds.
    pub schema: SchemaRef,
}

/// Whether a row at `next` belongs to the session whose last row so far is at `last`, not behind it.
fn is_within_gap(last: i64, next: i64, gap: i64) -> bool {
    next.checked_sub(last).is_some_and(|between| between < gap)
}

/// A session from its first to its last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionSpan {
    /// The first time.
    pub first: i64,
    /// The last time.
    pub last: i64,
}

impl SessionSpan {
    /// An end of the window. Behind the end of time there is nothing: the last window ends there.
    pub fn bound(self, bound: SessionBound, gap: i64) -> i64 {
        match bound {
            SessionBound::Start => self.first,
            SessionBound::End => self.last.saturating_add(gap),
        }
    }
}

/// The session of each of `times`, which are in order; `None` is no row, and lies in whatever session is around it.
pub fn session_spans(times: impl Iterator<Item = Option<i64>>, gap: i64) -> Vec<SessionSpan> {
    let mut spans: Vec<SessionSpan> = Vec::with_capacity(times.size_hint().0);
    let mut open: Option<SessionSpan> = None;
    for time in times {
        if let Some(time) = time {
            let first = match open {
                Some(span) if is_within_gap(span.last, time, gap) => span.first,
                _ => time,
            };
            open = Some(SessionSpan { first, last: time });
        }
        spans.push(open.unwrap_or_default());
    }
    let mut behind: Option<SessionSpan> = None;
    for span in spans.iter_mut().rev() {
        if let Some(behind) = behind.filter(|behind| behind.first == span.first) {
            span.last = behind.last;
        }
        behind = Some(*span);
    }
    spans
}

/// A row of a chain, with its copies before the step and behind it.
struct Link<'a> {
    key: &'a [u8],
    time: i64,
    copies: Change,
}

/// A row of the step that came or went.
struct Touched {
    row: usize,
    copies: Change,
}

/// What leaves the operator.
#[derive(Default)]
struct Moved<'a> {
    keys: Vec<&'a [u8]>,
    spans: Vec<Option<SessionSpan>>,
    weights: Vec<i64>,
}

impl<'a> Moved<'a> {
    fn push(&mut self, key: &'a [u8], span: Option<SessionSpan>, weight: i64) {
        if weight != 0 {
            self.keys.push(key);
            self.spans.push(span);
            self.weights.push(weight);
        }
    }
}

/// Rows with their session's window.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    rows: Ordered,
    /// Where a watermark closes sessions, by their last time and the gap.
    sweep: Option<Sweep>,
}

impl Session {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column's type has no order, or that of the time is none of 64 bits.
    pub fn new(config: SessionConfig) -> Result<Self> {
        let time = config
            .input
            .fields()
            .get(config.time)
            .ok_or_else(|| Error::internal("a session over a time that is not there"))?;
        prove_times(time.data_type())?;
        let order = [rising(config.time)];
        Ok(Self {
            rows: Ordered::new(&config.input, &config.group, &order)?,
            config,
            sweep: None,
        })
    }

    /// As it is, but the rows of sessions that no row can join any more are let go of. The key is the time.
    #[must_use]
    pub fn with_closing(mut self, closing: Option<Closing>) -> Self {
        self.sweep = closing.map(|closing| Sweep::new(closing.key, closing.frontier));
        self
    }

    fn close(&mut self, cx: &StepContext) {
        let Some(sweep) = &mut self.sweep else { return };
        let Some(bound) = sweep.due(self.rows.len(), &cx.watermarks) else {
            return;
        };
        let mut gone: Vec<Box<[u8]>> = Vec::new();
        let mut open: Vec<Box<[u8]>> = Vec::new();
        let mut last: Option<(Box<[u8]>, i64)> = None;
        let gap = self.config.gap;
        let mut end = |open: &mut Vec<Box<[u8]>>, last: i64| {
            // a row at the bound still joins what ends behind it
            if is_within_gap(last, bound.max(last), gap) {
                open.clear();
            } else {
                gone.append(open);
            }
        };
        for row in self.rows.behind(None) {
            let Some(time) = time_of(row.peers) else {
                continue;
            };
            let group = &row.peers[..row.peers.len() - TIME_BYTES];
            if let Some((before, last)) = &last
                && (**before != *group || !is_within_gap(*last, time, gap))
            {
                end(&mut open, *last);
            }
            open.push(row.key.into());
            last = Some((group.into(), time));
        }
        if let Some((_, last)) = last {
            end(&mut open, last);
        }
        self.rows.forget(&gone);
        sweep.done(self.rows.len());
    }

    fn apply(&mut self, piece: &Merged) -> Result<Deltas> {
        let keys = self.rows.encode(&piece.batch)?;
        let mut touched = Vec::with_capacity(piece.weights.len());
        for (row, weight) in piece.weights.iter().copied().enumerate() {
            let copies = self.rows.add(&keys, row, weight)?;
            if copies.before != copies.after {
                touched.push(Touched { row, copies });
            }
        }
        touched.sort_unstable_by(|left, right| keys.key(left.row).cmp(keys.key(right.row)));
        let mut moved = Moved::default();
        for group in touched.chunk_by(|left, right| keys.group(left.row) == keys.group(right.row)) {
            self.change_group(&keys, group, &mut moved);
        }
        self.output(&moved)
    }

    /// What the rows of one group that came or went change, in order.
    fn change_group<'a>(
        &'a self,
        keys: &'a OrderedRows,
        touched: &[Touched],
        moved: &mut Moved<'a>,
    ) {
        let mut rest = touched;
        while let Some((first, behind)) = rest.split_first() {
            let key = keys.key(first.row);
            let Some(time) = time_of(keys.peers(first.row)) else {
                let Change { before, after } = first.copies;
                moved.push(key, None, after - before);
                rest = behind;
                continue;
            };
            let group = keys.group(first.row);
            let mut chain = self.links_before(group, key, time);
            chain.push(Link {
                key,
                time,
                copies: first.copies,
            });
            rest = self.links_behind(keys, group, behind, &mut chain);
            self.compare(&chain, moved);
        }
    }

    /// The rows before one, as far as they hang together with it, in order.
    fn links_before<'a>(&'a self, group: &'a [u8], key: &[u8], time: i64) -> Vec<Link<'a>> {
        let mut links = Vec::new();
        let mut next = time;
        for row in self.rows.before(key) {
            if !row.key.starts_with(group) {
                break;
            }
            match time_of(row.peers) {
                Some(time) if is_within_gap(time, next, self.config.gap) => next = time,
                _ => break,
            }
            // A touched row would have been in the chain before this one.
            links.push(Link {
                key: row.key,
                time: next,
                copies: unchanged(row.copies),
            });
        }
        links.reverse();
        links
    }

    /// Adds what hangs together with the end of `chain`: rows that are there, and rows of `touched`, which may be gone.
    /// Comes back with the rest of these.
    fn links_behind<'a, 't>(
        &'a self,
        keys: &'a OrderedRows,
        group: &'a [u8],
        touched: &'t [Touched],
        chain: &mut Vec<Link<'a>>,
    ) -> &'t [Touched] {
        let mut rest = touched;
        let Some(mut last) = chain.last().map(|link| link.time) else {
            return rest;
        };
        let mut standing = self
            .rows
            .behind(chain.last().map(|link| link.key))
            .take_while(|row| row.key.starts_with(group))
            .peekable();
        loop {
            let changed = rest.first().map(|touched| keys.key(touched.row));
            let here = standing.peek().map(|row| row.key);
            let (key, peers, copies, is_changed) = match (changed, here) {
                (Some(changed), here) if here.is_none_or(|here| changed <= here) => {
                    let Touched { row, copies } = &rest[0];
                    (changed, keys.peers(*row), *copies, true)
                }
                _ => match standing.peek() {
                    None => return rest,
                    Some(row) => (row.key, row.peers, unchanged(row.copies), false),
                },
            };
            match time_of(peers) {
                Some(time) if is_within_gap(last, time, self.config.gap) => last = time,
                _ => return rest,
            }
            if here == Some(key) {
                standing.next();
            }
            if is_changed {
                rest = &rest[1..];
            }
            chain.push(Link {
                key,
                time: last,
                copies,
            });
        }
    }

    /// Gives the rows of a chain whose number or window is not what it was.
    fn compare<'a>(&self, chain: &[Link<'a>], moved: &mut Moved<'a>) {
        let spans = |copies: fn(&Change) -> i64| {
            let times = chain
                .iter()
                .map(move |link| (copies(&link.copies) > 0).then_some(link.time));
            session_spans(times, self.config.gap)
        };
        let (old, new) = (spans(|copies| copies.before), spans(|copies| copies.after));
        for ((link, old), new) in chain.iter().zip(old).zip(new) {
            let Change { before, after } = link.copies;
            if old == new {
                moved.push(link.key, Some(new), after - before);
            } else {
                moved.push(link.key, Some(old), -before);
                moved.push(link.key, Some(new), after);
            }
        }
    }

    fn output(&self, moved: &Moved<'_>) -> Result<Deltas> {
        if moved.keys.is_empty() {
            return Ok(Deltas::new());
        }
        let SessionConfig {
            bounds,
            schema,
            gap,
            ..
        } = &self.config;
        let width = schema.fields().len() - bounds.len();
        let mut columns = self.rows.decode(moved.keys.iter().copied())?;
        columns.truncate(width);
        for (bound, field) in bounds.iter().zip(&schema.fields()[width..]) {
            let spans = moved.spans.iter();
            let times: Int64Array = spans
                .map(|span| span.map(|span| span.bound(*bound, *gap)))
                .collect();
            columns.push(cast(&times, field.data_type())?);
        }
        let batch = batch_of(schema, columns, moved.keys.len())?;
        Ok(vec![Delta::new(
            batch,
            Int64Array::from(moved.weights.clone()),
        )?])
    }
}

impl Operator for Session {
    fn name(&self) -> &'static str {
        "session"
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let columns = self.config.group.iter().copied();
        let part = || {
            let mut part = Self::new(self.config.clone())?;
            part.sweep.clone_from(&self.sweep);
            Ok(part)
        };
        Parts::by_columns(&self.config.input, columns, count, part)
    }

    fn clocks(&self) -> Vec<ObjectId> {
        self.sweep.as_ref().map_or_else(Vec::new, Sweep::sources)
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let mut output = Deltas::new();
        for piece in merge(input(inputs, 0, self.name())?)? {
            output.extend(self.apply(&piece)?);
        }
        self.close(cx);
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn state_rows(&self) -> usize {
        self.rows.len()
    }
}

fn unchanged(copies: i64) -> Change {
    Change {
        before: copies,
        after: copies,
    }
}

fn rising(column: usize) -> OrderKey {
    OrderKey {
        column,
        options: SortOptions::new(false, false),
    }
}

/// The time at the end of a row's group and order.
fn time_of(peers: &[u8]) -> Option<i64> {
    let (_, time) = peers.split_last_chunk::<TIME_BYTES>()?;
    let [there, bits @ ..] = time;
    (*there == 1).then(|| (u64::from_be_bytes(*bits) ^ (1 << 63)).cast_signed())
}

/// Refuses times that [`time_of`] does not read. Arrow does not promise how it writes them.
fn prove_times(data_type: &DataType) -> Result<()> {
    let times = Int64Array::from(vec![
        Some(i64::MIN),
        Some(-1),
        Some(0),
        Some(1),
        Some(i64::MAX),
        None,
    ]);
    let fields = vec![Field::new("time", data_type.clone(), true)];
    let schema = Arc::new(Schema::new(fields));
    let column: ArrayRef = cast(&times, data_type)?;
    let rows = Ordered::new(&schema, &[], &[rising(0)])?;
    let keys = rows.encode(&RecordBatch::try_new(schema, vec![column])?)?;
    let read = (0..times.len()).map(|row| time_of(keys.peers(row)));
    if data_type.primitive_width() == Some(8) && read.eq(times.iter()) {
        return Ok(());
    }
    Err(Error::internal(format!(
        "sessions over times of the type {data_type}"
    )))
}
