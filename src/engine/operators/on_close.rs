//! On close: holds rows back until nothing can change them any more.
//!
//! Law: `out = { r : w | r : w in input, r's value in the column lies below the frontier }`. What came out stays as it is, so
//! the output only grows. A row without a value is never closed and is not kept. State: the rows that are not closed, by
//! value.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use crate::base::{ObjectId, Result};
use crate::engine::frontier::{Frontier, as_numbers};
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::{OrderKey, Ordered};
use crate::zset::canonical::canonical_batch;
use crate::zset::consolidate::take_rows;
use crate::zset::{Delta, batch_of};

/// Holds rows back until they are closed.
#[derive(Debug)]
pub struct OnClose {
    schema: SchemaRef,
    column: usize,
    frontier: Frontier,
    /// By the value of the column, which stands behind the others as an integer.
    waiting: Ordered,
    /// How far the frontier has come; it never goes back.
    closed: Option<i64>,
}

impl OnClose {
    /// Rows of `schema`, all of whose columns have an order, by column `column`.
    ///
    /// # Errors
    /// When a column's type has no order.
    pub fn new(schema: SchemaRef, column: usize, frontier: Frontier) -> Result<Self> {
        let mut fields: Vec<Arc<Field>> = schema.fields().iter().map(Arc::clone).collect();
        let first = OrderKey {
            column: fields.len(),
            options: SortOptions::new(false, false),
        };
        fields.push(Arc::new(Field::new("closes", DataType::Int64, false)));
        Ok(Self {
            waiting: Ordered::new(&Arc::new(Schema::new(fields)), &[], &[first])?,
            schema,
            column,
            frontier,
            closed: None,
        })
    }

    fn keep(&mut self, delta: &Delta) -> Result<()> {
        let values = as_numbers(delta.batch().column(self.column))?;
        let rows: Vec<u32> = (0_u32..)
            .zip(values.as_primitive::<Int64Type>())
            .filter_map(|(row, value)| value.map(|_| row))
            .collect();
        if rows.is_empty() {
            return Ok(());
        }
        let weights: Vec<i64> = rows
            .iter()
            .map(|row| delta.weight(usize::try_from(*row).unwrap_or(usize::MAX)))
            .collect();
        let batch = take_rows(&canonical_batch(delta.batch())?, rows)?;
        let mut columns = batch.columns().to_vec();
        columns.push(as_numbers(&columns[self.column])?);
        let batch = batch_of(self.waiting.schema(), columns, weights.len())?;
        let keys = self.waiting.encode(&batch)?;
        for (row, weight) in weights.into_iter().enumerate() {
            self.waiting.add(&keys, row, weight)?;
        }
        Ok(())
    }

    fn give(&mut self) -> Result<Deltas> {
        let Some(closed) = self.closed else {
            return Ok(Deltas::new());
        };
        let edge: ArrayRef = Arc::new(Int64Array::from(vec![closed]));
        let taken = self.waiting.take_before(&self.waiting.edge(&[edge])?);
        if taken.is_empty() {
            return Ok(Deltas::new());
        }
        let mut columns = self.waiting.decode(taken.iter().map(|(key, _)| &**key))?;
        columns.truncate(self.schema.fields().len());
        let batch = batch_of(&self.schema, columns, taken.len())?;
        if taken.iter().all(|(_, weight)| *weight == 1) {
            return Ok(vec![Delta::inserts(batch)]);
        }
        let weights = taken.iter().map(|(_, weight)| *weight);
        Ok(vec![Delta::new(
            batch,
            Int64Array::from_iter_values(weights),
        )?])
    }
}

impl Operator for OnClose {
    fn name(&self) -> &'static str {
        "on_close"
    }

    fn learn_append_only(&mut self, _inputs: &[bool]) -> bool {
        true
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let input = input(inputs, 0, self.name())?;
        for delta in input {
            self.keep(delta)?;
        }
        let before = self.closed;
        self.closed = before.max(self.frontier.value(&cx.watermarks));
        if input.is_empty() && self.closed == before {
            return Ok(Deltas::new());
        }
        self.give()
    }

    fn runs_without_input(&self) -> bool {
        true
    }

    fn clocks(&self) -> Vec<ObjectId> {
        self.frontier.sources()
    }

    fn state_bytes(&self) -> usize {
        self.waiting.bytes()
    }

    fn state_rows(&self) -> usize {
        self.waiting.len()
    }
}
