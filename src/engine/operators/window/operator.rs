//! The operator: what a step cuts out, evaluates and gives.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{cast, concat, filter, take};
use arrow::datatypes::SchemaRef;

use super::cut::{Changed, Cut, cut};
use super::distance::{Distances, Limits};
use super::function::WindowFunction;
use super::reach::{Reach, Way};
use super::spans::{Source, Spans};
use crate::base::{Error, ObjectId, Result};
use crate::engine::Budget;
use crate::engine::Parts;
use crate::engine::frontier::Closing;
use crate::engine::operator::{Deltas, Operator, RowError, StepContext, input};
use crate::engine::sweep::Sweep;
use crate::state::{OrderKey, Ordered, OrderedRows};
use crate::zset::{Delta, batch_of, merge, net};

/// About how many rows are evaluated in one go.
const AT_ONCE: usize = 1 << 15;

/// What a [`Window`] computes.
#[derive(Clone, Debug)]
pub struct WindowConfig {
    /// The columns of the input, at least one, all of which have an order.
    pub input: SchemaRef,
    /// The columns of the partition.
    pub partition: Vec<usize>,
    /// The order within it.
    pub order: Vec<OrderKey>,
    /// The functions, over the input's columns.
    pub functions: Vec<Arc<dyn WindowFunction>>,
    /// The rows that they look at together.
    pub reach: Reach,
    /// The output: the first columns of the input, then a column a function.
    pub schema: SchemaRef,
}

/// Window functions of one partition and order.
#[derive(Debug)]
pub struct Window {
    config: WindowConfig,
    rows: Ordered,
    distances: Distances,
    /// Where a watermark closes partitions.
    sweep: Option<Sweep>,
}

/// Rows of a step, and how far the distances of the reach lead from them.
struct Piece {
    rows: OrderedRows,
    back: Option<Limits>,
    ahead: Option<Limits>,
}

impl Piece {
    fn changed(&self, row: usize) -> Changed<'_> {
        Changed {
            key: self.rows.key(row),
            peers: self.rows.peers(row),
            back: Limits::of(self.back.as_ref(), row),
            ahead: Limits::of(self.ahead.as_ref(), row),
        }
    }
}

/// The rows of a step in the order of the state.
struct Changes {
    pieces: Vec<Piece>,
    /// Piece, row and weight.
    rows: Vec<(usize, usize, i64)>,
}

/// Rows without a value, by their bytes and the error's text, with the sum of their weights.
type Failed = BTreeMap<(Box<[u8]>, String), (Error, i64)>;

impl Window {
    /// No rows yet.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(config: WindowConfig) -> Result<Self> {
        Ok(Self {
            rows: Ordered::new(&config.input, &config.partition, &config.order)?,
            distances: Distances::new(&config.partition, &config.order),
            config,
            sweep: None,
        })
    }

    /// As it is, but the rows of partitions that are closed are let go of. The key is a column of the partition.
    #[must_use]
    pub fn with_closing(mut self, closing: Option<Closing>) -> Self {
        self.sweep = closing.map(|closing| Sweep::new(closing.key, closing.frontier));
        self
    }

    fn close(&mut self, cx: &StepContext) -> Result<()> {
        let Some(sweep) = &mut self.sweep else {
            return Ok(());
        };
        if let Some(bound) = sweep.due(self.rows.len(), &cx.watermarks) {
            self.rows.forget_below(sweep.column, bound)?;
            sweep.done(self.rows.len());
        }
        Ok(())
    }

    fn change(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let changes = self.changes(input(inputs, 0, "window")?)?;
        if changes.rows.is_empty() {
            return Ok(Deltas::new());
        }
        let cuts = self.cuts(&changes);
        let mut failed = Failed::new();
        let budget = cx.budget.clone();
        let before = self.values(&cuts, budget.as_deref(), -1, &mut failed)?;
        for (piece, row, weight) in &changes.rows {
            self.rows.add(&changes.pieces[*piece].rows, *row, *weight)?;
        }
        let after = self.values(&cuts, budget.as_deref(), 1, &mut failed)?;
        self.tell(failed, cx)?;
        let mut output: Deltas = before.into_iter().map(Delta::deletes).collect();
        output.extend(after.into_iter().map(Delta::inserts));
        net(&output)
    }

    fn changes(&self, deltas: &[Delta]) -> Result<Changes> {
        let (mut pieces, mut rows) = (Vec::new(), Vec::new());
        for piece in merge(deltas)? {
            let weights = piece.weights.iter().enumerate();
            rows.extend(weights.map(|(row, weight)| (pieces.len(), row, *weight)));
            // A row sees the changes ahead of it, so that reach says how far back a change is seen.
            let Reach { back, ahead } = self.config.reach;
            let limits = |extent, way| self.distances.limits(&self.rows, &piece.batch, extent, way);
            pieces.push(Piece {
                rows: self.rows.encode(&piece.batch)?,
                back: limits(ahead, Way::Back)?,
                ahead: limits(back, Way::Ahead)?,
            });
        }
        let key = |(piece, row, _): &(usize, usize, i64)| pieces[*piece].rows.key(*row);
        rows.sort_unstable_by(|left, right| key(left).cmp(key(right)));
        Ok(Changes { pieces, rows })
    }

    fn cuts(&self, changes: &Changes) -> Vec<Cut> {
        let partition =
            |(piece, row, _): &(usize, usize, i64)| changes.pieces[*piece].rows.group(*row);
        let mut cuts = Vec::new();
        let mut changed = Vec::new();
        let runs = changes
            .rows
            .chunk_by(|left, right| partition(left) == partition(right));
        for run in runs {
            changed.clear();
            let piece = |piece: usize| &changes.pieces[piece];
            changed.extend(run.iter().map(|(at, row, _)| piece(*at).changed(*row)));
            if let Some(row) = run.first() {
                let reach = self.config.reach;
                cut(&self.rows, partition(row), &changed, reach, &mut cuts);
            }
        }
        cuts
    }

    /// The rows of `cuts` as they stand now, with their values. Those without a value go to `failed`, with `weight`.
    fn values(
        &self,
        cuts: &[Cut],
        budget: Option<&Budget>,
        weight: i64,
        failed: &mut Failed,
    ) -> Result<Vec<RecordBatch>> {
        let mut batches = Vec::new();
        let source = Source {
            rows: &self.rows,
            schema: &self.config.input,
            reach: self.config.reach,
            distances: &self.distances,
        };
        let spans = || Spans::new(source, budget);
        let mut pending = spans();
        for cut in cuts {
            pending.add(cut)?;
            if pending.keys.len() >= AT_ONCE {
                batches.extend(self.evaluate(&pending, weight, failed)?);
                pending = spans();
            }
        }
        batches.extend(self.evaluate(&pending, weight, failed)?);
        Ok(batches)
    }

    fn evaluate(
        &self,
        spans: &Spans<'_>,
        weight: i64,
        failed: &mut Failed,
    ) -> Result<Option<RecordBatch>> {
        if spans.spans.is_empty() {
            return Ok(None);
        }
        let WindowConfig {
            input,
            functions,
            schema,
            ..
        } = &self.config;
        let columns = self.rows.decode(spans.keys.iter().copied())?;
        let rows = batch_of(input, columns, spans.keys.len())?;
        let mut errors: BTreeMap<usize, Error> = BTreeMap::new();
        let mut values = Vec::with_capacity(functions.len());
        for function in functions {
            values.push(column_of(&**function, &rows, spans, &mut errors)?);
        }
        let width = schema.fields().len() - functions.len();
        let places = asked(spans)?;
        let mut columns = rows_at(&rows, &places, width)?;
        for (column, field) in values.into_iter().zip(schema.fields().iter().skip(width)) {
            columns.push(if column.data_type() == field.data_type() {
                column
            } else {
                cast(&column, field.data_type())?
            });
        }
        let mut count = places.len();
        if !errors.is_empty() {
            let place = |at| usize::try_from(at).unwrap_or(usize::MAX);
            let valued = places
                .values()
                .iter()
                .map(|at| !errors.contains_key(&place(*at)));
            let valued = BooleanArray::from_iter(valued.map(Some));
            count = valued.true_count();
            for column in &mut columns {
                *column = filter(column, &valued)?;
            }
        }
        for (place, error) in errors {
            let key = (spans.keys[place].into(), error.message().to_owned());
            failed.entry(key).or_insert((error, 0)).1 += weight;
        }
        Ok(Some(batch_of(schema, columns, count)?))
    }

    /// Tells the rows that lost their values in this step, and those that have them again.
    fn tell(&self, failed: Failed, cx: &mut StepContext) -> Result<()> {
        let width = self.config.schema.fields().len() - self.config.functions.len();
        let fields: Vec<usize> = (0..width).collect();
        let schema = Arc::new(self.config.input.project(&fields)?);
        for ((key, _), (error, weight)) in failed {
            if weight == 0 {
                continue;
            }
            let mut columns = self.rows.decode([&*key])?;
            columns.truncate(width);
            cx.errors.push(RowError {
                error,
                row: batch_of(&schema, columns, 1)?,
                weight,
                operator: "window".to_owned(),
            });
        }
        Ok(())
    }
}

/// The values that are asked for, of all spans. Errors are told with the row's place in `rows`.
fn column_of(
    function: &dyn WindowFunction,
    rows: &RecordBatch,
    spans: &Spans<'_>,
    errors: &mut BTreeMap<usize, Error>,
) -> Result<ArrayRef> {
    let mut parts = Vec::with_capacity(spans.spans.len());
    for span in &spans.spans {
        let part = rows.slice(span.from, span.rows);
        let mut failed = Vec::new();
        let values = function.evaluate(&part, span.skip..span.skip + span.give, &mut failed)?;
        if values.len() != span.give {
            return Err(Error::internal(format!(
                "a window function gave {} values for {} rows",
                values.len(),
                span.give
            )));
        }
        for (row, error) in failed {
            errors.entry(span.from + row).or_insert(error);
        }
        parts.push(values);
    }
    if let [one] = parts.as_slice() {
        return Ok(Arc::clone(one));
    }
    let parts: Vec<&dyn Array> = parts.iter().map(AsRef::as_ref).collect();
    Ok(concat(&parts)?)
}

/// The places of the rows whose values are asked for.
fn asked(spans: &Spans<'_>) -> Result<UInt32Array> {
    let mut places = Vec::new();
    for span in &spans.spans {
        let first = span.from + span.skip;
        for place in first..first + span.give {
            places.push(
                u32::try_from(place)
                    .map_err(|_| Error::limit("a window has more than 2^32 rows"))?,
            );
        }
    }
    Ok(UInt32Array::from(places))
}

/// The first `width` columns of the rows at `places`.
fn rows_at(rows: &RecordBatch, places: &UInt32Array, width: usize) -> Result<Vec<ArrayRef>> {
    let columns = rows.columns().iter().take(width);
    if places.len() == rows.num_rows() {
        return Ok(columns.map(Arc::clone).collect());
    }
    columns
        .map(|column| Ok(take(column, places, None)?))
        .collect()
}

impl Operator for Window {
    fn name(&self) -> &'static str {
        "window"
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let columns = self.config.partition.iter().copied();
        let part = || {
            let mut part = Self::new(self.config.clone())?;
            part.sweep.clone_from(&self.sweep);
            Ok(part)
        };
        Parts::by_columns(&self.config.input, columns, count, part)
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let output = self.change(inputs, cx)?;
        self.close(cx)?;
        Ok(output)
    }

    fn clocks(&self) -> Vec<ObjectId> {
        self.sweep.as_ref().map_or_else(Vec::new, Sweep::sources)
    }

    fn state_bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn state_rows(&self) -> usize {
        self.rows.len()
    }
}
