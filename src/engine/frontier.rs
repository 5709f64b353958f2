//! Below which value of a column nothing changes any more: the watermarks of sources, carried through the graph.
//!
//! Once a step is done, no later one adds, changes or takes back a row whose value in the column lies below the frontier: such
//! rows are *closed*. The rows of a step may lie below the frontier that the step itself brings, so an operator takes its
//! input in first and lets go of what is closed after that.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, SchemaRef};
use datafusion::physical_expr::PhysicalExpr;

use super::operator::Watermarks;
use crate::base::{ObjectId, Result};
use crate::zset::batch_of;

/// What one source contributes.
#[derive(Clone, Debug)]
pub struct FrontierTerm {
    /// The source.
    pub source: ObjectId,
    /// One column, a timestamp: the source's watermark.
    pub input: SchemaRef,
    /// The column's value where the source's time is the watermark; grows with it.
    pub value: Arc<dyn PhysicalExpr>,
}

/// By which column rows or groups are closed.
#[derive(Clone, Debug)]
pub struct Closing {
    /// The position of the column, a time, in what is kept.
    pub key: usize,
    /// Below which value of it nothing changes any more.
    pub frontier: Frontier,
}

/// The least of some terms.
#[derive(Clone, Debug)]
pub struct Frontier {
    terms: Vec<FrontierTerm>,
    /// The watermarks of the terms that were asked for last, and what they gave.
    known: (Vec<Option<i64>>, Option<i64>),
}

impl Frontier {
    /// The least of `terms`, which are not none.
    pub fn new(terms: Vec<FrontierTerm>) -> Self {
        Self {
            terms,
            known: (Vec::new(), None),
        }
    }

    /// The sources that it depends on.
    pub fn sources(&self) -> Vec<ObjectId> {
        self.terms.iter().map(|term| term.source).collect()
    }

    /// The frontier by `watermarks`, as the 64 bits of the column's type. None while a source has no time yet, or where the
    /// value cannot be computed: then nothing is closed.
    pub fn value(&mut self, watermarks: &Watermarks) -> Option<i64> {
        let of = |term: &FrontierTerm| watermarks.get(&term.source).copied();
        // most steps bring no watermark further
        if self.known.0.is_empty() || !self.terms.iter().map(of).eq(self.known.0.iter().copied()) {
            self.known = (
                self.terms.iter().map(of).collect(),
                self.compute(watermarks),
            );
        }
        self.known.1
    }

    fn compute(&self, watermarks: &Watermarks) -> Option<i64> {
        let mut least = None;
        for term in &self.terms {
            let value = term.at(*watermarks.get(&term.source)?).ok().flatten()?;
            least = Some(least.map_or(value, |least: i64| least.min(value)));
        }
        least
    }
}

impl FrontierTerm {
    fn at(&self, watermark_us: i64) -> Result<Option<i64>> {
        let kind = self.input.field(0).data_type();
        let column = cast(&Int64Array::from(vec![watermark_us]), kind)?;
        let row: RecordBatch = batch_of(&self.input, vec![column], 1)?;
        let value = self.value.evaluate(&row)?.into_array(1)?;
        Ok(as_numbers(&value)?
            .as_primitive::<Int64Type>()
            .iter()
            .next()
            .flatten())
    }
}

/// The values of a column of times as 64-bit integers, which are in their order.
///
/// # Errors
/// When the column is no column of times.
pub(super) fn as_numbers(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(column, &DataType::Int64)?)
}
