//! Which of two rows comes first: rows of one set of columns against rows of another.
//!
//! The order is the one DataFusion sorts by, given canonical floats (see [`super::canonical`]): NaN above all numbers,
//! text by bytes.

use std::cmp::Ordering;

use arrow::array::{Array, ArrayRef, AsArray, DynComparator, make_comparator};
use arrow::buffer::ScalarBuffer;
use arrow::compute::SortOptions;
use arrow::datatypes as t;
use arrow::datatypes::{DataType, TimeUnit};

use crate::base::Result;

/// Whether values of this type are sorted, at any depth: Arrow has no order of maps and unions.
pub fn has_order(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) | DataType::Union(..) => false,
        DataType::Dictionary(_, values) => has_order(values),
        DataType::RunEndEncoded(_, values) => has_order(values.data_type()),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => has_order(field.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| has_order(field.data_type())),
        _ => true,
    }
}

/// Compares rows of a left set of columns with rows of a right one.
pub struct RowOrder {
    columns: Vec<ColumnOrder>,
}

/// Compares one column. Keys are mostly whole numbers and moments without NULL, which need no call through a pointer.
enum ColumnOrder {
    Rising(ScalarBuffer<i64>, ScalarBuffer<i64>),
    Falling(ScalarBuffer<i64>, ScalarBuffer<i64>),
    Other(DynComparator),
}

impl ColumnOrder {
    fn new(left: &ArrayRef, right: &ArrayRef, options: SortOptions) -> Result<Self> {
        if left.data_type() == right.data_type()
            && let (Some(left), Some(right)) = (numbers(left), numbers(right))
        {
            return Ok(if options.descending {
                Self::Falling(left, right)
            } else {
                Self::Rising(left, right)
            });
        }
        Ok(Self::Other(make_comparator(
            left.as_ref(),
            right.as_ref(),
            options,
        )?))
    }

    fn compare(&self, left: usize, right: usize) -> Ordering {
        match self {
            Self::Rising(lefts, rights) => lefts[left].cmp(&rights[right]),
            Self::Falling(lefts, rights) => rights[right].cmp(&lefts[left]),
            Self::Other(compare) => compare(left, right),
        }
    }
}

/// The values of a column of numbers of 64 bits of which none is NULL.
fn numbers(column: &ArrayRef) -> Option<ScalarBuffer<i64>> {
    if column.null_count() > 0 {
        return None;
    }
    match column.data_type() {
        DataType::Int64 => Some(column.as_primitive::<t::Int64Type>().values().clone()),
        DataType::Timestamp(unit, _) => Some(match unit {
            TimeUnit::Second => column
                .as_primitive::<t::TimestampSecondType>()
                .values()
                .clone(),
            TimeUnit::Millisecond => column
                .as_primitive::<t::TimestampMillisecondType>()
                .values()
                .clone(),
            TimeUnit::Microsecond => column
                .as_primitive::<t::TimestampMicrosecondType>()
                .values()
                .clone(),
            TimeUnit::Nanosecond => column
                .as_primitive::<t::TimestampNanosecondType>()
                .values()
                .clone(),
        }),
        _ => None,
    }
}

impl std::fmt::Debug for RowOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RowOrder")
            .field("columns", &self.columns.len())
            .finish()
    }
}

impl RowOrder {
    /// Compares by pairs of columns, the first pair that differs deciding.
    ///
    /// # Errors
    /// When the types differ or have no order.
    pub fn new<'a>(
        pairs: impl IntoIterator<Item = (&'a ArrayRef, &'a ArrayRef, SortOptions)>,
    ) -> Result<Self> {
        let columns = pairs
            .into_iter()
            .map(|(left, right, options)| ColumnOrder::new(left, right, options))
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { columns })
    }

    /// Where row `left` of the left columns stands beside row `right` of the right ones.
    pub fn compare(&self, left: usize, right: usize) -> Ordering {
        self.compare_first(self.columns.len(), left, right)
    }

    /// The same by the first `columns` columns alone.
    pub fn compare_first(&self, columns: usize, left: usize, right: usize) -> Ordering {
        for column in self.columns.iter().take(columns) {
            let ordering = column.compare(left, right);
            if ordering.is_ne() {
                return ordering;
            }
        }
        Ordering::Equal
    }
}
