//! How far a distance in value leads, as a bound on the order's bytes.

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::Rows;

use super::reach::{Extent, Limit, Way};
use crate::base::{Error, Result};
use crate::state::{OrderKey, Ordered};

/// Finds the rows that are at most a distance away in the first column of the order.
#[derive(Clone, Debug)]
pub(super) struct Distances {
    /// The columns of the partition, then that column.
    leading: Vec<usize>,
    /// The order falls from row to row.
    falls: bool,
}

/// Bounds, one a row of a batch.
#[derive(Debug)]
pub(super) struct Limits {
    /// The bytes of a row at the distance.
    bytes: Rows,
    /// Whether the row has a value.
    valued: Vec<bool>,
    /// Whether its type has the value at the distance.
    bounded: Vec<bool>,
}

impl Limits {
    /// The bound of row `row`; without a distance no row but its peers is near.
    pub(super) fn of(limits: Option<&Self>, row: usize) -> Limit<'_> {
        match limits {
            Some(limits) if limits.valued[row] => {
                if limits.bounded[row] {
                    Limit::UpTo(limits.bytes.row(row).data())
                } else {
                    Limit::Open
                }
            }
            _ => Limit::Peers,
        }
    }
}

impl Distances {
    /// Over rows in partitions of `partition`, ordered by `order`.
    pub(super) fn new(partition: &[usize], order: &[OrderKey]) -> Self {
        let first = order.first();
        let column = first.map(|key| key.column);
        Self {
            leading: partition.iter().copied().chain(column).collect(),
            falls: first.is_some_and(|key| key.options.descending),
        }
    }

    /// How far `extent` leads from each row of `batch` in the direction `way`; `None` when it knows no distance.
    ///
    /// # Errors
    /// When the column holds no whole numbers, dates or times.
    pub(super) fn limits(
        &self,
        rows: &Ordered,
        batch: &RecordBatch,
        extent: Extent,
        way: Way,
    ) -> Result<Option<Limits>> {
        let Some(distance) = extent.distance() else {
            return Ok(None);
        };
        let mut columns: Vec<ArrayRef> = self
            .leading
            .iter()
            .map(|column| ArrayRef::clone(batch.column(*column)))
            .collect();
        let Some(last) = columns.last_mut() else {
            return Err(Error::internal("a distance without an order"));
        };
        let values = ArrayRef::clone(last);
        let rises = (way == Way::Ahead) != self.falls;
        *last = at_distance(&values, distance, rises)?;
        let bounded = (0..last.len()).map(|row| last.is_valid(row)).collect();
        let valued = (0..values.len()).map(|row| values.is_valid(row)).collect();
        Ok(Some(Limits {
            bytes: rows.encode_leading(&columns)?,
            valued,
            bounded,
        }))
    }
}

/// Each value and `distance`, or less it; NULL where the type ends.
fn at_distance(values: &ArrayRef, distance: i64, rises: bool) -> Result<ArrayRef> {
    let numbers = cast(values, &DataType::Int64)?;
    let numbers = numbers
        .as_any()
        .downcast_ref::<Int64Array>()
        .ok_or_else(|| Error::internal("a distance between values that are no numbers"))?;
    let moved = numbers.iter().map(|number| {
        let number = number?;
        if rises {
            number.checked_add(distance)
        } else {
            number.checked_sub(distance)
        }
    });
    let moved: Int64Array = moved.collect();
    // A date is 32 bits, and Arrow leads there by way of a 32-bit integer.
    if *values.data_type() == DataType::Date32 {
        return Ok(cast(&cast(&moved, &DataType::Int32)?, &DataType::Date32)?);
    }
    Ok(cast(&moved, values.data_type())?)
}
