//! Union: all rows of all inputs (UNION ALL).
//!
//! Law: `out = input1 + .. + inputn`. Linear, so no state.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;

use crate::base::Result;
use crate::engine::operator::{Deltas, Operator, StepContext};
use crate::zset::batch_of;

/// All rows of all inputs, under the names of one schema. Casts nothing.
#[derive(Debug)]
pub struct Union {
    schema: SchemaRef,
}

impl Union {
    /// `schema` must have the types of every input.
    pub fn new(schema: SchemaRef) -> Self {
        Self { schema }
    }
}

impl Operator for Union {
    fn name(&self) -> &'static str {
        "union"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|append_only| *append_only)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|fixed| *fixed)
    }

    fn step(&mut self, inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        let mut output = Deltas::new();
        for delta in inputs.iter().flatten() {
            if Arc::ptr_eq(&delta.schema(), &self.schema) {
                output.push(delta.clone());
                continue;
            }
            let columns = delta.batch().columns().to_vec();
            output.push(delta.with_batch(batch_of(&self.schema, columns, delta.rows())?)?);
        }
        Ok(output)
    }
}
