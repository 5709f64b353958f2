//! Whether a row of one set of columns equals a row of another, with NULL equal to NULL.
//!
//! Floats must be canonical already (see [`super::canonical`]): bits are compared.

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::array::{DynComparator, make_comparator};
use arrow::buffer::ScalarBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Int32Type, Int64Type};

use crate::base::Result;

/// Compares rows of a left set of columns with rows of a right one.
pub struct RowEqual {
    columns: Vec<ColumnEqual>,
}

/// Compares one column. Keys are mostly whole numbers without NULL, which need no call through a pointer.
enum ColumnEqual {
    Four(ScalarBuffer<i32>, ScalarBuffer<i32>),
    Eight(ScalarBuffer<i64>, ScalarBuffer<i64>),
    Sixteen(ScalarBuffer<i128>, ScalarBuffer<i128>),
    Other(DynComparator),
}

impl ColumnEqual {
    fn new(left: &ArrayRef, right: &ArrayRef) -> Result<Self> {
        let same = left.data_type() == right.data_type();
        if same && left.null_count() == 0 && right.null_count() == 0 {
            match left.data_type() {
                DataType::Int32 => {
                    return Ok(Self::Four(
                        values::<Int32Type>(left),
                        values::<Int32Type>(right),
                    ));
                }
                DataType::Date32 => {
                    return Ok(Self::Four(
                        values::<Date32Type>(left),
                        values::<Date32Type>(right),
                    ));
                }
                DataType::Int64 => {
                    return Ok(Self::Eight(
                        values::<Int64Type>(left),
                        values::<Int64Type>(right),
                    ));
                }
                DataType::Decimal128(_, _) => {
                    return Ok(Self::Sixteen(
                        values::<Decimal128Type>(left),
                        values::<Decimal128Type>(right),
                    ));
                }
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

fn values<T: ArrowPrimitiveType>(column: &ArrayRef) -> ScalarBuffer<T::Native> {
    column.as_primitive::<T>().values().clone()
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
