//! Whether a row of one set of columns equals a row of another, with NULL equal to NULL.
//!
//! Floats must be canonical already (see [`super::canonical`]): bits are compared.

use arrow::array::{Array, ArrayRef};
use arrow::array::{DynComparator, make_comparator};
use arrow::compute::SortOptions;

use crate::base::Result;

/// Compares rows of a left set of columns with rows of a right one.
pub struct RowEqual {
    columns: Vec<DynComparator>,
}

impl std::fmt::Debug for RowEqual {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowEqual")
            .field("columns", &self.columns.len())
            .finish()
    }
}

impl RowEqual {
    /// A comparison of `left` with `right`, column by column.
    ///
    /// # Errors
    /// When the types differ or Arrow cannot compare them.
    pub fn new<'a>(
        left: impl IntoIterator<Item = &'a ArrayRef>,
        right: impl IntoIterator<Item = &'a ArrayRef>,
    ) -> Result<Self> {
        let columns = left
            .into_iter()
            .zip(right)
            .map(|(left, right)| {
                make_comparator(left.as_ref(), right.as_ref(), SortOptions::default())
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self { columns })
    }

    /// Whether row `left` of the left columns equals row `right` of the right ones.
    pub fn equal(&self, left: usize, right: usize) -> bool {
        self.columns
            .iter()
            .all(|compare| compare(left, right).is_eq())
    }
}

/// Whether any of `columns` is NULL in a row, or `None` when no row has a NULL.
pub fn any_null(columns: &[ArrayRef]) -> Option<Vec<bool>> {
    let mut nulls: Option<Vec<bool>> = None;
    for column in columns {
        let Some(validity) = column
            .logical_nulls()
            .filter(|nulls| nulls.null_count() > 0)
        else {
            continue;
        };
        let rows = nulls.get_or_insert_with(|| vec![false; column.len()]);
        for (row, valid) in rows.iter_mut().zip(validity.iter()) {
            *row |= !valid;
        }
    }
    nulls
}
