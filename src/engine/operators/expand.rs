//! Expand: several output rows for each input row, a list of expressions each (grouping sets, HOP).
//!
//! Law: `out = sum over lists l of { l(r) : w | r : w in input }`. Linear, so no state. A row that
//! fails in one list is left out of all of them, so that it fails once and whole.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use crate::base::Result;
use crate::engine::evaluate::evaluate_rows;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::parallel::map_deltas;
use crate::zset::batch_of;

/// One output row a list of expressions, for every input row.
#[derive(Debug)]
pub struct Expand {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    width: usize,
    schema: SchemaRef,
}

impl Expand {
    /// Every list has the columns of `schema`.
    pub fn new(lists: Vec<Vec<Arc<dyn PhysicalExpr>>>, schema: SchemaRef) -> Self {
        let width = schema.fields().len();
        Self {
            expressions: lists.into_iter().flatten().collect(),
            width,
            schema,
        }
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
        map_deltas(input(inputs, 0, self.name())?, cx, |delta, cx| {
            let mut output = Deltas::new();
            for piece in evaluate_rows(&self.expressions, delta, "expand", cx)? {
                for list in piece.columns.chunks(self.width.max(1)) {
                    let batch = batch_of(&self.schema, list.to_vec(), piece.delta.rows())?;
                    output.push(piece.delta.with_batch(batch)?);
                }
            }
            Ok(output)
        })
    }
}
