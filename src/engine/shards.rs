//! Shards: an operator in several parts, each with its share of the keys.
//!
//! Rows of different keys never meet in a keyed operator, so each part is a whole operator with state of its own and knows
//! nothing of the others. A row's key decides which of [`SHARDS`] shards it is of, and the shards are dealt to the parts. A
//! small step runs the parts that it touches one after the other; a large one runs them on the threads of the pool.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, UInt32Array};
use arrow::compute::{cast, take, take_record_batch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use rayon::iter::{IntoParallelIterator, ParallelIterator};

use super::evaluate::evaluate_rows;
use super::operator::{Deltas, Operator, StepContext};
use super::parallel::{LARGE, rows_of};
use crate::base::{Error, ObjectId, Result};
use crate::zset::canonical::{canonical, canonical_batch};
use crate::zset::hash::row_hashes;
use crate::zset::{Delta, Weights};

/// How many shards the keys fall into. More than there are threads, so that they can be dealt evenly to any number.
const SHARDS: u64 = 64;
/// Which bits of a hash name the shard: the tables of the parts use those above and below.
const SHARD_SHIFT: u32 = 40;

/// A part of an input's key.
#[derive(Clone, Debug)]
pub struct ShardKey {
    /// Its value, over the input's columns.
    pub value: Arc<dyn PhysicalExpr>,
    /// The type in which the keys of all inputs are compared; `None`: its own.
    pub data_type: Option<DataType>,
}

impl ShardKey {
    /// Columns of an input as they are.
    pub fn columns(schema: &SchemaRef, columns: impl IntoIterator<Item = usize>) -> Vec<Self> {
        let key = |index: usize| Self {
            value: Arc::new(Column::new(schema.field(index).name(), index)),
            data_type: None,
        };
        columns.into_iter().map(key).collect()
    }
}

/// Operators that together do what one would.
pub struct Parts {
    /// The key of each input. Rows of equal keys go to the same part.
    pub keys: Vec<Vec<ShardKey>>,
    /// At least one, all alike, with empty state.
    pub operators: Vec<Box<dyn Operator>>,
}

impl std::fmt::Debug for Parts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Parts")
            .field("keys", &self.keys)
            .field("operators", &self.operators.len())
            .finish()
    }
}

impl Parts {
    /// `count` parts that `make` makes.
    ///
    /// # Errors
    /// What `make` says.
    pub fn new<O: Operator + 'static>(
        keys: Vec<Vec<ShardKey>>,
        count: usize,
        make: impl Fn() -> Result<O>,
    ) -> Result<Self> {
        let operator = |_| Ok(Box::new(make()?) as Box<dyn Operator>);
        let operators = (0..count.max(1)).map(operator).collect::<Result<_>>()?;
        Ok(Self { keys, operators })
    }

    /// As [`Parts::new`], of an operator with one input whose key is these columns of it; `None` where there is no key.
    pub fn by_columns<O: Operator + 'static>(
        schema: &SchemaRef,
        columns: impl IntoIterator<Item = usize>,
        count: usize,
        make: impl Fn() -> Result<O>,
    ) -> Option<Self> {
        let keys = ShardKey::columns(schema, columns);
        if keys.is_empty() {
            return None;
        }
        Self::new(vec![keys], count, make).ok()
    }
}

/// `operator` in `count` parts, or as it is when it cannot be split. It must have seen nothing yet.
pub fn in_parts(mut operator: Box<dyn Operator>, count: usize) -> Box<dyn Operator> {
    if count < 2 {
        return operator;
    }
    operator.split_within(count);
    match operator.parts(count) {
        Some(parts) => Box::new(Sharded::new(parts)),
        None => operator,
    }
}

/// What one input is dealt by.
#[derive(Debug)]
struct Route {
    values: Vec<Arc<dyn PhysicalExpr>>,
    types: Vec<Option<DataType>>,
}

impl Route {
    fn new(keys: Vec<ShardKey>) -> Self {
        let (values, types) = keys
            .into_iter()
            .map(|key| (key.value, key.data_type))
            .unzip();
        Self { values, types }
    }

    /// The part of each row. A row whose key cannot be computed goes to the first one, which says so.
    fn parts_of(&self, delta: &Delta, parts: u64) -> Result<Vec<u32>> {
        let mut of_row = vec![0; delta.rows()];
        let mut hashes = Vec::new();
        let mut failed = StepContext::default();
        for piece in evaluate_rows(&self.values, delta, "shards", &mut failed)? {
            let keys = piece.columns.iter().zip(&self.types);
            let keys = keys.map(|(column, data_type)| {
                let column = match data_type {
                    Some(data_type) if column.data_type() != data_type => &cast(column, data_type)?,
                    _ => column,
                };
                canonical(column)
            });
            let keys: Vec<ArrayRef> = keys.collect::<Result<_>>()?;
            row_hashes(&keys, piece.delta.rows(), &mut hashes)?;
            let places = of_row.iter_mut().skip(piece.from);
            for (place, hash) in places.zip(&hashes) {
                let part = (hash >> SHARD_SHIFT) % SHARDS % parts;
                *place = u32::try_from(part).unwrap_or(0);
            }
        }
        Ok(of_row)
    }
}

/// Rows of one delta for one part.
struct Share {
    input: usize,
    delta: Delta,
    /// `None`: all of it.
    rows: Option<Vec<u32>>,
}

impl Share {
    fn take(self) -> Result<Delta> {
        let Some(rows) = self.rows else {
            return Ok(self.delta);
        };
        let rows = UInt32Array::from(rows);
        let batch = take_record_batch(self.delta.batch(), &rows)?;
        match self.delta.weights() {
            Weights::Ones => Ok(Delta::inserts(batch)),
            Weights::Each(weights) => {
                let weights = take(weights, &rows, None)?;
                Delta::new(batch, weights.as_primitive().clone())
            }
        }
    }
}

/// What a part gave.
struct Given {
    output: Result<Deltas>,
    cx: StepContext,
}

/// An operator in parts.
#[derive(Debug)]
struct Sharded {
    routes: Vec<Route>,
    parts: Vec<Part>,
    name: &'static str,
    started: bool,
}

struct Part(Box<dyn Operator>);

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Sharded {
    fn new(parts: Parts) -> Self {
        let name = parts.operators.first().map_or("shards", |part| part.name());
        Self {
            routes: parts.keys.into_iter().map(Route::new).collect(),
            parts: parts.operators.into_iter().map(Part).collect(),
            name,
            started: false,
        }
    }

    /// Deals what came in to the parts.
    fn deal(&self, inputs: &[Deltas]) -> Result<Vec<Vec<Share>>> {
        let mut shares: Vec<Vec<Share>> = self.parts.iter().map(|_| Vec::new()).collect();
        let parts = u64::try_from(self.parts.len()).unwrap_or(u64::MAX);
        for (input, (deltas, route)) in inputs.iter().zip(&self.routes).enumerate() {
            for delta in deltas.iter().filter(|delta| delta.rows() > 0) {
                // Before the keys are computed, so that equal rows get equal keys.
                let delta = delta.with_batch(canonical_batch(delta.batch())?)?;
                let of_row = route.parts_of(&delta, parts)?;
                deal_rows(&mut shares, input, &delta, &of_row);
            }
        }
        Ok(shares)
    }

    /// Steps the parts that have something to do.
    fn run(
        &mut self,
        shares: Vec<Vec<Share>>,
        large: bool,
        cx: &StepContext,
    ) -> Result<Vec<Given>> {
        let (inputs, first) = (self.routes.len(), !self.started);
        let busy: Vec<_> = self
            .parts
            .iter_mut()
            .zip(shares)
            .filter(|(part, shares)| first || !shares.is_empty() || part.0.runs_without_input())
            .collect();
        let step = |(part, shares): (&mut Part, Vec<Share>)| {
            let mut own = cx.fork();
            let mut deltas: Vec<Deltas> = vec![Deltas::new(); inputs];
            for share in shares {
                let input = share.input;
                deltas[input].push(share.take()?);
            }
            Ok(Given {
                output: part.0.step(&deltas, &mut own),
                cx: own,
            })
        };
        if large {
            busy.into_par_iter().map(step).collect()
        } else {
            busy.into_iter().map(step).collect()
        }
    }
}

/// Gives every part its rows of `delta`.
fn deal_rows(shares: &mut [Vec<Share>], input: usize, delta: &Delta, of_row: &[u32]) {
    let place = |part: u32| usize::try_from(part).unwrap_or(0);
    let share = |rows| Share {
        input,
        delta: delta.clone(),
        rows,
    };
    let Some((first, rest)) = of_row.split_first() else {
        return;
    };
    if rest.iter().all(|part| part == first) {
        shares[place(*first)].push(share(None));
        return;
    }
    let expected = of_row.len() / shares.len() * 5 / 4 + 1;
    let mut rows: Vec<Vec<u32>> = shares
        .iter()
        .map(|_| Vec::with_capacity(expected))
        .collect();
    for (row, part) in (0..).zip(of_row) {
        rows[place(*part)].push(row);
    }
    for (part, rows) in shares.iter_mut().zip(rows) {
        if !rows.is_empty() {
            part.push(share(Some(rows)));
        }
    }
}

impl Operator for Sharded {
    fn name(&self) -> &'static str {
        self.name
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        let learned: Vec<bool> = self
            .parts
            .iter_mut()
            .map(|part| part.0.learn_append_only(inputs))
            .collect();
        learned.into_iter().all(|append_only| append_only)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        let parts = self.parts.iter_mut();
        let learned: Vec<bool> = parts.map(|part| part.0.learn_fixed(inputs)).collect();
        learned.into_iter().all(|fixed| fixed)
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        if inputs.len() != self.routes.len() {
            return Err(Error::internal(format!(
                "operator {} has {} inputs and not {}",
                self.name,
                inputs.len(),
                self.routes.len()
            )));
        }
        let large = inputs.iter().map(|deltas| rows_of(deltas)).sum::<usize>() >= LARGE;
        let shares = self.deal(inputs)?;
        let given = self.run(shares, large, cx)?;
        self.started = true;
        let mut output = Deltas::new();
        for part in given {
            cx.join(part.cx);
            output.extend(part.output?);
        }
        Ok(output)
    }

    fn clocks(&self) -> Vec<ObjectId> {
        let clocks: BTreeSet<ObjectId> =
            self.parts.iter().flat_map(|part| part.0.clocks()).collect();
        clocks.into_iter().collect()
    }

    fn runs_without_input(&self) -> bool {
        self.parts.iter().any(|part| part.0.runs_without_input())
    }

    fn due_us(&self) -> Option<i64> {
        self.parts.iter().filter_map(|part| part.0.due_us()).min()
    }

    fn state_bytes(&self) -> usize {
        self.parts.iter().map(|part| part.0.state_bytes()).sum()
    }

    fn state_rows(&self) -> usize {
        self.parts.iter().map(|part| part.0.state_rows()).sum()
    }
}
