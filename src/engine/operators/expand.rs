//! Expand: several output rows for each input row, a list of expressions each (grouping sets, HOP).
//!
//! Law: `out = sum over lists l of { l(r) : w | r : w in input }`. Linear, so no state. A row that
//! fails in one list of [`Expand::new`] is left out of all of them, so that it fails once and whole; of
//! [`Expand::apart`], as of a union, out of that list alone.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use crate::base::Result;
use crate::engine::evaluate::evaluate_rows;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::parallel::{map_deltas, rows_of};
use crate::zset::{Delta, Merged, batch_of, merge};

/// Fewer rows are not looked through for equal ones.
const FEW: usize = if cfg!(test) { 2 } else { 256 };
/// So many steps are not looked through after one in which few rows were equal.
const PAUSE: usize = 31;

/// One output row a list of expressions, for every input row.
#[derive(Debug)]
pub struct Expand {
    lists: Vec<Vec<Arc<dyn PhysicalExpr>>>,
    schema: SchemaRef,
    /// How many of a row's lists are evaluated together: all, or one.
    together: usize,
    /// Steps that are to come before equal rows are looked for again; `None`: they never are.
    pause: Option<usize>,
}

impl Expand {
    /// Every list has the columns of `schema`.
    pub fn new(lists: Vec<Vec<Arc<dyn PhysicalExpr>>>, schema: SchemaRef) -> Self {
        Self {
            together: lists.len().max(1),
            lists,
            schema,
            pause: None,
        }
    }

    /// As [`Expand::new`], but a row that fails in one list has its rows of the others; and equal rows of a step are added up
    /// first, where a step has many of them.
    pub fn apart(lists: Vec<Vec<Arc<dyn PhysicalExpr>>>, schema: SchemaRef) -> Self {
        Self {
            together: 1,
            pause: Some(0),
            ..Self::new(lists, schema)
        }
    }

    /// The rows of `deltas`, equal ones added up where that is likely to spare more than it costs.
    fn added_up(&mut self, deltas: &[Delta]) -> Result<Option<Deltas>> {
        let rows = rows_of(deltas);
        let Some(pause) = self.pause.as_mut().filter(|_| rows >= FEW) else {
            return Ok(None);
        };
        if *pause > 0 {
            *pause -= 1;
            return Ok(None);
        }
        let merged = merge(deltas)?;
        let different = merged.iter().map(Merged::rows).sum::<usize>();
        if different > rows / 4 * 3 {
            *pause = PAUSE;
        }
        merged
            .iter()
            .map(Merged::to_delta)
            .collect::<Result<_>>()
            .map(Some)
    }
}

impl Operator for Expand {
    fn name(&self) -> &'static str {
        "expand"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|append_only| *append_only)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|fixed| *fixed)
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let given = input(inputs, 0, self.name())?;
        let added_up = self.added_up(given)?;
        let deltas = added_up.as_deref().unwrap_or(given);
        map_deltas(deltas, cx, |delta, cx| {
            let mut output = Deltas::new();
            for lists in self.lists.chunks(self.together) {
                for piece in evaluate_rows(&lists.concat(), delta, "expand", cx)? {
                    for list in piece.columns.chunks(self.schema.fields().len().max(1)) {
                        let batch = batch_of(&self.schema, list.to_vec(), piece.delta.rows())?;
                        output.push(piece.delta.with_batch(batch)?);
                    }
                }
            }
            Ok(output)
        })
    }
}
