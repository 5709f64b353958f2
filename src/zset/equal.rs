//! Whether a row of one set of columns equals a row of another, with NULL equal to NULL.
//!
//! Floats must be canonical already (see [`super::canonical`]): bits are compared.

use arrow::array::{Array, ArrayRef, downcast_primitive_array};
use arrow::array::{DynComparator, make_comparator};
use arrow::buffer::{Buffer, ScalarBuffer};
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;

use crate::base::Result;

/// Compares rows of a left set of columns with rows of a right one.
pub struct RowEqual {
    columns: Vec<ColumnEqual>,
}

/// Compares one column. Keys are mostly numbers and moments without NULL, which need no call through a pointer.
enum ColumnEqual {
    Four(ScalarBuffer<i32>, ScalarBuffer<i32>),
    Eight(ScalarBuffer<i64>, ScalarBuffer<i64>),
    Sixteen(ScalarBuffer<i128>, ScalarBuffer<i128>),
    Other(DynComparator),
}

impl ColumnEqual {
    fn new(left: &ArrayRef, right: &ArrayRef) -> Result<Self> {
        let same = left.data_type() == right.data_type();
        if same
            && left.null_count() == 0
            && right.null_count() == 0
            && let (Some(lefts), Some(rights)) = (values(left), values(right))
        {
            match left.data_type().primitive_width() {
                Some(4) => return Ok(Self::Four(lefts.into(), rights.into())),
                Some(8) => return Ok(Self::Eight(lefts.into(), rights.into())),
                Some(16) => return Ok(Self::Sixteen(lefts.into(), rights.into())),
                _ => {}
            }
        }
        let options = SortOptions::default();
        Ok(Self::Other(make_comparator(
            left.as_ref(),
            right.as_ref(),
            options,
        )?))
    }

    fn equal(&self, left: usize, right: usize) -> bool {
        match self {
            Self::Four(lefts, rights) => lefts[left] == rights[right],
            Self::Eight(lefts, rights) => lefts[left] == rights[right],
            Self::Sixteen(lefts, rights) => lefts[left] == rights[right],
            Self::Other(compare) => compare(left, right).is_eq(),
        }
    }
}

/// The values of a column of fixed width; none of intervals, which are aligned to their parts and not to their width.
fn values(column: &ArrayRef) -> Option<Buffer> {
    if matches!(column.data_type(), DataType::Interval(_)) {
        return None;
    }
    downcast_primitive_array!(
        column => Some(column.values().inner().clone()),
        _ => None
    )
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
            .map(|(left, right)| ColumnEqual::new(left, right))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { columns })
    }

    /// Whether row `left` of the left columns equals row `right` of the right ones.
    pub fn equal(&self, left: usize, right: usize) -> bool {
        self.columns.iter().all(|column| column.equal(left, right))
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
