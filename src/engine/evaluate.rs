//! Expressions over batches, where a row that fails takes only itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use datafusion::physical_expr::PhysicalExpr;

use super::operator::{RowError, StepContext};
use crate::base::{Error, Kind, Result};
use crate::zset::Delta;
use crate::zset::consolidate::take_rows;

/// A piece of a delta that went through, and the values of the expressions, a row each.
#[derive(Debug)]
pub struct EvaluatedRows {
    /// Where the piece begins in the delta that was given.
    pub from: usize,
    /// The operator's input rows.
    pub delta: Delta,
    /// A column an expression.
    pub columns: Vec<ArrayRef>,
}

/// Evaluates `expressions` over `delta`. A batch that fails is retried by halves down to single
/// rows; those that still fail go to `cx.errors`, and the rest comes back in pieces.
///
/// # Errors
/// When the failure is not the row's: memory, cancellation, an unreachable service.
pub fn evaluate_rows(
    expressions: &[Arc<dyn PhysicalExpr>],
    delta: &Delta,
    operator: &str,
    cx: &mut StepContext,
) -> Result<Vec<EvaluatedRows>> {
    let mut done = Vec::new();
    // A stack, not recursion, with the left half on top: rows keep their order.
    let mut waiting = vec![(0, delta.clone())];
    while let Some((from, piece)) = waiting.pop() {
        if piece.rows() == 0 {
            continue;
        }
        match evaluate_all(expressions, piece.batch()) {
            Ok(columns) => done.push(EvaluatedRows {
                from,
                delta: piece,
                columns,
            }),
            Err(error) if !is_of_the_row(&error) => return Err(error),
            Err(error) if piece.rows() == 1 => cx.errors.push(RowError {
                error,
                // Copied, so that one bad row does not keep its whole batch in memory.
                row: take_rows(piece.batch(), vec![0])?,
                weight: piece.weight(0),
                operator: operator.to_owned(),
            }),
            Err(_) => {
                let half = piece.rows() / 2;
                waiting.push((from + half, piece.slice(half, piece.rows() - half)));
                waiting.push((from, piece.slice(0, half)));
            }
        }
    }
    Ok(done)
}

fn evaluate_all(
    expressions: &[Arc<dyn PhysicalExpr>],
    batch: &RecordBatch,
) -> Result<Vec<ArrayRef>> {
    expressions
        .iter()
        .map(|expression| Ok(expression.evaluate(batch)?.into_array(batch.num_rows())?))
        .collect()
}

/// Whether fewer or other rows could have gone through.
fn is_of_the_row(error: &Error) -> bool {
    !matches!(error.kind(), Kind::Cancelled | Kind::Unavailable) && error.code() != "53200"
}
