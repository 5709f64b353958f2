//! Temporal filter: rows that are in from one moment on, or up to one.
//!
//! Law: at the moment of the last step, `out = { r : w | r : w in input, every bound of r lets r in at that moment }`; a row one of
//! whose bounds is NULL is never in. State: the rows that are still to come in, by when, and those that are still to go, by
//! when. A row that will not change any more is not kept.
//!
//! Moments never go back, so a row that is taken back late is in the state, or out already, or in for ever: its bounds say which.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::{cast, take};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use crate::base::{Error, Result};
use crate::engine::evaluate::evaluate_rows;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::{OrderKey, Ordered};
use crate::zset::canonical::canonical_batch;
use crate::zset::consolidate::take_rows;
use crate::zset::{Delta, batch_of};

/// How a row's value compares with the moving one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moving {
    /// `value > moving`: in until it is reached.
    Above,
    /// `value >= moving`: in until it is passed.
    AtOrAbove,
    /// `value < moving`: in once it is passed.
    Below,
    /// `value <= moving`: in once it is reached.
    AtOrBelow,
}

impl Moving {
    /// Whether rows go as time passes; otherwise they come.
    pub fn ends(self) -> bool {
        matches!(self, Self::Above | Self::AtOrAbove)
    }
}

/// A comparison of a value with the present moment and an offset.
#[derive(Clone, Debug)]
pub struct TimeBound {
    /// A timestamp over the input's columns.
    pub value: Arc<dyn PhysicalExpr>,
    /// How it compares.
    pub moving: Moving,
    /// Nanoseconds in one unit of the value's type. The moving value is rounded down to it.
    pub unit_ns: i64,
    /// What is added to the present moment, in nanoseconds.
    pub offset_ns: i64,
}

impl TimeBound {
    /// The first moment, in microseconds, at which a row of `value` is as it will stay by this bound.
    fn threshold(&self, value: i64) -> i64 {
        let whole = match self.moving {
            Moving::Above | Moving::AtOrBelow => i128::from(value),
            Moving::AtOrAbove | Moving::Below => i128::from(value) + 1,
        };
        let ns = whole * i128::from(self.unit_ns) - i128::from(self.offset_ns);
        let us = (ns + 999).div_euclid(1_000);
        i64::try_from(us).unwrap_or(if us < 0 { i64::MIN } else { i64::MAX })
    }
}

/// From when to when a row is in, in microseconds; the end is the first moment at which it is out.
#[derive(Clone, Copy)]
struct Stay {
    from: i64,
    until: i64,
}

/// Lets rows in and out as time passes.
#[derive(Debug)]
pub struct TemporalFilter {
    width: usize,
    bounds: Vec<TimeBound>,
    values: Vec<Arc<dyn PhysicalExpr>>,
    /// By their first moment; their end stands behind it.
    coming: Ordered,
    /// By their end.
    going: Ordered,
    due_us: Option<i64>,
}

impl TemporalFilter {
    /// Rows of `input`, all of whose columns have an order, that pass all `bounds`.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(input: &SchemaRef, bounds: Vec<TimeBound>) -> Result<Self> {
        let width = input.fields().len();
        let first = OrderKey {
            column: width,
            options: arrow::compute::SortOptions::new(false, false),
        };
        let with = |names: &[&str]| {
            let mut fields: Vec<Arc<Field>> = input.fields().iter().map(Arc::clone).collect();
            let times = names
                .iter()
                .map(|name| Arc::new(Field::new(*name, DataType::Int64, false)));
            fields.extend(times);
            Arc::new(Schema::new(fields))
        };
        Ok(Self {
            width,
            values: bounds
                .iter()
                .map(|bound| Arc::clone(&bound.value))
                .collect(),
            bounds,
            coming: Ordered::new(&with(&["from", "until"]), &[], &[first])?,
            going: Ordered::new(&with(&["until"]), &[], &[first])?,
            due_us: None,
        })
    }

    /// Rows whose moment has come.
    fn advance(&mut self, now_us: i64, output: &mut Deltas) -> Result<()> {
        if self.due_us.is_none_or(|due| due > now_us) {
            return Ok(());
        }
        let end = self.going.edge(&[past(now_us)])?;
        let gone = self.going.take_before(&end);
        if !gone.is_empty() {
            let keys = gone.iter().map(|(key, _)| &**key);
            let columns = self.going.decode(keys)?;
            let weights = gone.iter().map(|(_, weight)| -weight).collect();
            output.push(self.delta(columns, weights)?);
        }
        let end = self.coming.edge(&[past(now_us)])?;
        let come = self.coming.take_before(&end);
        if come.is_empty() {
            return Ok(());
        }
        let columns = self.coming.decode(come.iter().map(|(key, _)| &**key))?;
        let weights: Vec<i64> = come.iter().map(|(_, weight)| *weight).collect();
        let stays = self.stays_of(&columns)?;
        self.let_in(&columns[..self.width], &weights, &stays, now_us, output)
    }

    /// The stays in the last two columns of rows that were to come.
    fn stays_of(&self, columns: &[ArrayRef]) -> Result<Vec<Option<Stay>>> {
        let [from, until] = columns.get(self.width..).unwrap_or_default() else {
            return Err(Error::internal("a row that was to come has no times"));
        };
        let from = from.as_primitive::<Int64Type>().values().iter();
        let until = until.as_primitive::<Int64Type>().values().iter();
        Ok(from
            .zip(until)
            .map(|(from, until)| {
                Some(Stay {
                    from: *from,
                    until: *until,
                })
            })
            .collect())
    }

    /// Takes rows to where they belong at `now_us`: out, into the state, or nowhere.
    fn let_in(
        &mut self,
        columns: &[ArrayRef],
        weights: &[i64],
        stays: &[Option<Stay>],
        now_us: i64,
        output: &mut Deltas,
    ) -> Result<()> {
        let (mut now, mut soon) = (Vec::new(), Vec::new());
        for (row, stay) in (0_u32..).zip(stays) {
            match stay {
                Some(stay) if stay.until <= now_us || stay.until <= stay.from => {}
                Some(stay) if stay.from <= now_us => now.push((row, *stay)),
                Some(stay) => soon.push((row, *stay)),
                None => {}
            }
        }
        let until = |stay: &Stay| stay.until;
        let going: Vec<(u32, Stay)> = now
            .iter()
            .copied()
            .filter(|(_, stay)| stay.until < i64::MAX)
            .collect();
        add(&mut self.going, columns, weights, &going, &[&until])?;
        let from = |stay: &Stay| stay.from;
        add(&mut self.coming, columns, weights, &soon, &[&from, &until])?;
        if !now.is_empty() {
            let rows = arrow::array::UInt32Array::from_iter_values(now.iter().map(|(row, _)| *row));
            let taken = columns
                .iter()
                .map(|column| Ok(take(column, &rows, None)?))
                .collect::<Result<Vec<_>>>()?;
            let weights = now.iter().map(|(row, _)| weight_of(weights, *row));
            output.push(self.delta(taken, weights.collect())?);
        }
        Ok(())
    }

    fn delta(&self, mut columns: Vec<ArrayRef>, weights: Vec<i64>) -> Result<Delta> {
        columns.truncate(self.width);
        let fields = &self.going.schema().fields()[..self.width];
        let schema = Arc::new(Schema::new(fields.to_vec()));
        let batch = batch_of(&schema, columns, weights.len())?;
        Delta::new(batch, Int64Array::from(weights))
    }

    /// When the rows of a piece are in, by the values of its bounds.
    fn stays(&self, values: &[ArrayRef], rows: usize) -> Result<Vec<Option<Stay>>> {
        let always = Stay {
            from: i64::MIN,
            until: i64::MAX,
        };
        let mut stays = vec![Some(always); rows];
        for (bound, column) in self.bounds.iter().zip(values) {
            let column = cast(column, &DataType::Int64)?;
            let column = column.as_primitive::<Int64Type>();
            for (stay, value) in stays.iter_mut().zip(column) {
                *stay = match (*stay, value.map(|value| bound.threshold(value))) {
                    (Some(stay), Some(at)) if bound.moving.ends() => Some(Stay {
                        until: stay.until.min(at),
                        ..stay
                    }),
                    (Some(stay), Some(at)) => Some(Stay {
                        from: stay.from.max(at),
                        ..stay
                    }),
                    _ => None,
                };
            }
        }
        Ok(stays)
    }

    /// The next moment at which a row comes or goes.
    fn next_us(&self) -> Result<Option<i64>> {
        let mut next = None;
        for rows in [&self.coming, &self.going] {
            let Some(first) = rows.first() else { continue };
            let columns = rows.decode([first])?;
            let times = columns
                .get(self.width)
                .and_then(|c| c.as_primitive_opt::<Int64Type>());
            let time = times
                .ok_or_else(|| Error::internal("a row that is to change has no time"))?
                .value(0);
            next = Some(next.map_or(time, |next: i64| next.min(time)));
        }
        Ok(next)
    }
}

impl Operator for TemporalFilter {
    fn name(&self) -> &'static str {
        "temporal_filter"
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let now_us = cx.now_us;
        let mut output = Deltas::new();
        self.advance(now_us, &mut output)?;
        for delta in input(inputs, 0, self.name())? {
            let delta = delta.with_batch(canonical_batch(delta.batch())?)?;
            for piece in evaluate_rows(&self.values, &delta, "temporal_filter", cx)? {
                let rows = piece.delta.rows();
                let stays = self.stays(&piece.columns, rows)?;
                let weights: Vec<i64> = (0..rows).map(|row| piece.delta.weight(row)).collect();
                let columns = piece.delta.batch().columns();
                self.let_in(columns, &weights, &stays, now_us, &mut output)?;
            }
        }
        self.due_us = self.next_us()?;
        Ok(output)
    }

    fn runs_without_input(&self) -> bool {
        true
    }

    fn due_us(&self) -> Option<i64> {
        self.due_us
    }

    fn state_bytes(&self) -> usize {
        self.coming.bytes() + self.going.bytes()
    }

    fn state_rows(&self) -> usize {
        self.coming.len() + self.going.len()
    }
}

/// Adds `rows` of some columns to a store, each with the moments that `times` make of its stay.
fn add(
    store: &mut Ordered,
    columns: &[ArrayRef],
    weights: &[i64],
    rows: &[(u32, Stay)],
    times: &[&dyn Fn(&Stay) -> i64],
) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let width = columns.len();
    let places = rows.iter().map(|(row, _)| *row).collect();
    let schema = Arc::new(Schema::new(store.schema().fields()[..width].to_vec()));
    let count = columns.first().map_or(0, |column| column.len());
    let whole = batch_of(&schema, columns.to_vec(), count)?;
    let mut taken = take_rows(&whole, places)?.columns().to_vec();
    for time in times {
        let moments = rows.iter().map(|(_, stay)| time(stay));
        taken.push(Arc::new(Int64Array::from_iter_values(moments)));
    }
    let batch: RecordBatch = batch_of(store.schema(), taken, rows.len())?;
    let keys = store.encode(&batch)?;
    for (at, (row, _)) in rows.iter().enumerate() {
        store.add(&keys, at, weight_of(weights, *row))?;
    }
    Ok(())
}

fn weight_of(weights: &[i64], row: u32) -> i64 {
    let row = usize::try_from(row).unwrap_or(usize::MAX);
    weights.get(row).copied().unwrap_or(0)
}

/// The moment behind `now_us`, as a column.
fn past(now_us: i64) -> ArrayRef {
    Arc::new(Int64Array::from(vec![now_us.saturating_add(1)]))
}
