//! What the operator asks of a window function.

use std::fmt::Debug;
use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};

use crate::base::{Error, Result};

/// A window function over sorted rows of one partition.
pub trait WindowFunction: Debug + Send + Sync {
    /// The values of the rows `asked` of `rows`, one each. All rows that these look at are among `rows`; a row that
    /// is not asked for may lack some. Where there is no value, NULL, and an entry in `errors`: the row's place in
    /// `rows`, and why.
    ///
    /// # Errors
    /// When the failure is not that of a row: memory, cancellation.
    fn evaluate(
        &self,
        rows: &RecordBatch,
        asked: Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef>;
}
