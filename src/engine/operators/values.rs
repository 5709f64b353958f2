//! Values: constant rows, there from the first step on.
//!
//! Law: `out = rows`, all in the first step and nothing after.

use arrow::array::RecordBatch;

use crate::base::Result;
use crate::engine::operator::{Deltas, Operator, StepContext};
use crate::zset::Delta;

/// Constant rows.
#[derive(Debug)]
pub struct Values {
    rows: Option<RecordBatch>,
}

impl Values {
    /// `rows` come out of the first step.
    pub fn new(rows: RecordBatch) -> Self {
        Self { rows: Some(rows) }
    }
}

impl Operator for Values {
    fn name(&self) -> &'static str {
        "values"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|append_only| *append_only)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|fixed| *fixed)
    }

    fn step(&mut self, _inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        let rows = self.rows.take().filter(|rows| rows.num_rows() > 0);
        Ok(rows.map(Delta::inserts).into_iter().collect())
    }
}
