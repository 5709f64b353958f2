//! Distinct: each different row once.
//!
//! Law: `out = { r : 1 | the weight of r in the input is above 0 }`. State: the rows with their weights.

use arrow::array::Int64Array;
use arrow::datatypes::SchemaRef;

use crate::base::Result;
use crate::engine::Parts;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::state::Arrangement;
use crate::zset::consolidate::take_rows;
use crate::zset::{Delta, merge};

/// Each different row once.
#[derive(Debug)]
pub struct Distinct {
    rows: Arrangement,
}

impl Distinct {
    /// Rows of `schema`.
    pub fn new(schema: SchemaRef) -> Self {
        Self {
            rows: Arrangement::new(schema, None),
        }
    }
}

impl Operator for Distinct {
    fn name(&self) -> &'static str {
        "distinct"
    }

    fn learn_append_only(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|append_only| *append_only)
    }

    fn learn_fixed(&mut self, inputs: &[bool]) -> bool {
        inputs.iter().all(|fixed| *fixed)
    }

    fn parts(&self, count: usize) -> Option<Parts> {
        let schema = self.rows.schema();
        let columns = 0..schema.fields().len();
        Parts::by_columns(schema, columns, count, || {
            Ok(Self::new(SchemaRef::clone(schema)))
        })
    }

    fn step(&mut self, inputs: &[Deltas], _cx: &mut StepContext) -> Result<Deltas> {
        let mut output = Deltas::new();
        for piece in merge(input(inputs, 0, self.name())?)? {
            let before = self.rows.apply(&piece, None, None)?;
            let mut rows = Vec::new();
            let mut weights = Vec::new();
            for ((row, before), change) in (0u32..).zip(&before).zip(&piece.weights) {
                let was = i64::from(*before > 0);
                let is = i64::from(*before + *change > 0);
                if was != is {
                    rows.push(row);
                    weights.push(is - was);
                }
            }
            if rows.is_empty() {
                continue;
            }
            let batch = if rows.len() == piece.rows() {
                piece.batch
            } else {
                take_rows(&piece.batch, rows)?
            };
            output.push(if weights.iter().all(|weight| *weight == 1) {
                Delta::inserts(batch)
            } else {
                Delta::new(batch, Int64Array::from(weights))?
            });
        }
        Ok(output)
    }

    fn state_bytes(&self) -> usize {
        self.rows.bytes()
    }

    fn state_rows(&self) -> usize {
        self.rows.len()
    }
}
