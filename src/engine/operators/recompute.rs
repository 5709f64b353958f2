//! Recompute: evaluates anything again over its whole input, and gives the difference.
//!
//! Law: `out = evaluate(inputs)`, whatever `evaluate` is. State: every input and the last result.
//! The price is a batch run for every step that changes an input, so this is the last resort.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;

use crate::base::{Error, Result};
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::Arrangement;
use crate::zset::consolidate::take_rows;
use crate::zset::{Delta, batch_of, differences, merge};

/// What is run again: a query over batches.
pub trait Evaluate: Send + Sync {
    /// The result over everything that the inputs hold now.
    ///
    /// # Errors
    /// When the query fails; the model then fails.
    fn evaluate(&self, inputs: &[Vec<RecordBatch>]) -> Result<Vec<RecordBatch>>;

    /// What it computes, for EXPLAIN and messages.
    fn describe(&self) -> String;
}

/// Evaluates again and gives the difference.
pub struct Recompute {
    evaluate: Arc<dyn Evaluate>,
    inputs: Vec<Arrangement>,
    result: Arrangement,
    started: bool,
}

impl std::fmt::Debug for Recompute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Recompute({})", self.evaluate.describe())
    }
}

impl Recompute {
    /// `evaluate` reads inputs of these schemas and gives rows with the types of `schema`.
    pub fn new(evaluate: Arc<dyn Evaluate>, inputs: Vec<SchemaRef>, schema: SchemaRef) -> Self {
        let inputs = inputs
            .into_iter()
            .map(|schema| Arrangement::new(schema, None))
            .collect();
        Self {
            evaluate,
            inputs,
            result: Arrangement::new(schema, None),
            started: false,
        }
    }
}

impl Operator for Recompute {
    fn name(&self) -> &'static str {
        "recompute"
    }

    fn step(&mut self, inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        let mut changed = !std::mem::replace(&mut self.started, true);
        for (index, held) in self.inputs.iter_mut().enumerate() {
            for piece in merge(input(inputs, index, "recompute")?)? {
                held.apply(&piece, None, None)?;
                changed = true;
            }
        }
        if !changed {
            return Ok(Deltas::new());
        }
        let rows = self.inputs.iter().map(copies).collect::<Result<Vec<_>>>()?;
        let mut after = Vec::new();
        for batch in self.evaluate.evaluate(&rows)? {
            let rows = batch.num_rows();
            let batch = batch_of(self.result.schema(), batch.columns().to_vec(), rows)?;
            after.push(Delta::inserts(batch));
        }
        let output = differences(&after, &self.result.scan()?)?;
        for piece in merge(&output)? {
            self.result.apply(&piece, None, None)?;
        }
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.inputs
            .iter()
            .chain([&self.result])
            .map(Arrangement::bytes)
            .sum()
    }

    fn state_rows(&self) -> usize {
        self.inputs
            .iter()
            .chain([&self.result])
            .map(Arrangement::len)
            .sum()
    }
}

/// The rows held, each as often as its weight says. A row whose weight is negative for now, because
/// its insertion is still to come, is not there yet.
fn copies(held: &Arrangement) -> Result<Vec<RecordBatch>> {
    let mut batches = Vec::new();
    for delta in held.scan()? {
        if (0..delta.rows()).all(|row| delta.weight(row) == 1) {
            batches.push(delta.batch().clone());
            continue;
        }
        let mut rows = Vec::new();
        for row in 0..delta.rows() {
            let copies = usize::try_from(delta.weight(row)).unwrap_or(0);
            let row = u32::try_from(row)
                .map_err(|_| Error::internal("a chunk has more than 2^32 rows"))?;
            rows.extend(std::iter::repeat_n(row, copies));
        }
        batches.push(take_rows(delta.batch(), rows)?);
    }
    Ok(batches)
}
