//! Project: computes columns from each row.
//!
//! Law: `out = { (e1(r), .., en(r)) : w | r : w in input }`. Linear, so no state.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::physical_expr::PhysicalExpr;

use crate::base::Result;
use crate::engine::evaluate::evaluate_rows;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::parallel::map_deltas;
use crate::zset::batch_of;

/// Computes a column an expression.
#[derive(Debug)]
pub struct Project {
    expressions: Vec<Arc<dyn PhysicalExpr>>,
    schema: SchemaRef,
}

impl Project {
    /// `schema` names and types the columns of `expressions`, in their order.
    pub fn new(expressions: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef) -> Self {
        Self {
            expressions,
            schema,
        }
    }
}

impl Operator for Project {
    fn name(&self) -> &'static str {
        "project"
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
            for piece in evaluate_rows(&self.expressions, delta, "project", cx)? {
                let batch = batch_of(&self.schema, piece.columns, piece.delta.rows())?;
                output.push(piece.delta.with_batch(batch)?);
            }
            Ok(output)
        })
    }
}
