//! Filter: lets the rows pass for which the condition is true.
//!
//! Law: `out = { r : w | r : w in input, condition(r) is true }`; NULL is not true. Linear, so no state.

use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, RecordBatch};
use arrow::compute::{filter, filter_record_batch, prep_null_mask_filter};
use datafusion::physical_expr::PhysicalExpr;

use crate::base::{Error, Result};
use crate::engine::evaluate::evaluate_rows;
use crate::engine::operator::{Deltas, Operator, StepContext, input};
use crate::engine::parallel::map_deltas;
use crate::zset::{Delta, Weights};

/// Lets the rows pass for which a condition is true.
#[derive(Debug)]
pub struct Filter {
    condition: [Arc<dyn PhysicalExpr>; 1],
}

impl Filter {
    /// `condition` is a boolean over the input's columns.
    pub fn new(condition: Arc<dyn PhysicalExpr>) -> Self {
        Self {
            condition: [condition],
        }
    }
}

impl Operator for Filter {
    fn name(&self) -> &'static str {
        "filter"
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
            for piece in evaluate_rows(&self.condition, delta, "filter", cx)? {
                let kept = keep(&piece.delta, &truth(&piece.columns[0])?)?;
                if kept.rows() > 0 {
                    output.push(kept);
                }
            }
            Ok(output)
        })
    }
}

/// A condition's column as a mask without NULL.
pub(super) fn truth(column: &dyn Array) -> Result<BooleanArray> {
    let mask = column
        .as_boolean_opt()
        .ok_or_else(|| Error::internal(format!("a condition is {}", column.data_type())))?;
    Ok(if mask.null_count() > 0 {
        prep_null_mask_filter(mask)
    } else {
        mask.clone()
    })
}

/// The rows of `delta` where `mask` is true.
pub(super) fn keep(delta: &Delta, mask: &BooleanArray) -> Result<Delta> {
    if mask.true_count() == delta.rows() {
        return Ok(delta.clone());
    }
    let batch: RecordBatch = filter_record_batch(delta.batch(), mask)?;
    match delta.weights() {
        Weights::Ones => Ok(Delta::inserts(batch)),
        Weights::Each(weights) => {
            let weights = filter(weights, mask)?;
            Delta::new(batch, weights.as_primitive().clone())
        }
    }
}
