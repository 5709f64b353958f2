//! Which right row is nearest to each left one, over whole inputs.

use arrow::array::{ArrayRef, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{SortOptions, filter_record_batch, take};
use arrow::datatypes::SchemaRef;
use arrow::row::{RowConverter, Rows, SortField};

use crate::base::{Error, Result};
use crate::engine::operators::AsofMatch;
use crate::zset::batch_of;
use crate::zset::canonical::canonical_batch;
use crate::zset::equal::any_null;

/// What is compared, by place, and how.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    /// The columns of the keys and then of the time, left and right.
    pub on: Vec<(usize, usize)>,
    /// How the times compare.
    pub matching: AsofMatch,
    /// Whether left rows without a right one stay.
    pub outer: bool,
    /// The columns of both sides.
    pub schema: SchemaRef,
}

/// All right rows, ready to be found.
pub(super) struct Nearest {
    compared: Compared,
    right: RecordBatch,
    keys: Option<RowConverter>,
    whole: RowConverter,
    /// Keys and time of each right row.
    rows: Rows,
    /// The first row of each time, in order; rows with a NULL are not among them.
    order: Vec<u32>,
}

impl Nearest {
    /// Sorts the rows of the right side.
    ///
    /// # Errors
    /// When a type has no order, or there are too many rows.
    pub(super) fn new(compared: Compared, right: &RecordBatch) -> Result<Self> {
        let right = canonical_batch(right)?;
        let places: Vec<usize> = compared.on.iter().map(|(_, right)| *right).collect();
        let columns = columns_of(&right, &places);
        let whole = converter(&columns)?;
        let keys = match columns.split_last() {
            Some((_, keys)) if !keys.is_empty() => Some(converter(keys)?),
            _ => None,
        };
        let rows = whole.convert_columns(&columns)?;
        let others: Vec<ArrayRef> = (0..right.num_columns())
            .filter(|place| !places.contains(place))
            .map(|place| ArrayRef::clone(right.column(place)))
            .filter(|column| {
                // Rows that differ in such a column alone stay a tie, as in other choices among rows.
                RowConverter::supports_fields(&[SortField::new(column.data_type().clone())])
            })
            .collect();
        let ties = if others.is_empty() {
            None
        } else {
            Some(converter(&others)?.convert_columns(&others)?)
        };
        let count = u32::try_from(right.num_rows())
            .map_err(|_| Error::limit("an ASOF join of more than 4 billion rows"))?;
        let nulls = any_null(&columns);
        let at = |row: u32| usize::try_from(row).unwrap_or(usize::MAX);
        let mut order: Vec<u32> = (0..count)
            .filter(|row| !nulls.as_ref().is_some_and(|nulls| nulls[at(*row)]))
            .collect();
        order.sort_unstable_by(|one, two| {
            let (one, two) = (at(*one), at(*two));
            let times = rows.row(one).cmp(&rows.row(two));
            let ties = ties.as_ref();
            times.then_with(|| ties.map_or(one.cmp(&two), |ties| ties.row(one).cmp(&ties.row(two))))
        });
        order.dedup_by(|next, kept| rows.row(at(*next)) == rows.row(at(*kept)));
        Ok(Self {
            compared,
            right,
            keys,
            whole,
            rows,
            order,
        })
    }

    /// The rows of `left` beside their right ones.
    ///
    /// # Errors
    /// When a column cannot be read.
    pub(super) fn join(&self, left: &RecordBatch) -> Result<RecordBatch> {
        let left = canonical_batch(left)?;
        let mut right = self.find(&left)?;
        let left = if self.compared.outer {
            left
        } else {
            let found = right.iter().map(|place| Some(place.is_some())).collect();
            let left = filter_record_batch(&left, &found)?;
            right.retain(Option::is_some);
            left
        };
        let places = UInt32Array::from(right);
        let mut columns = left.columns().to_vec();
        for column in self.right.columns() {
            columns.push(if self.right.num_rows() == 0 {
                new_null_array(column.data_type(), places.len())
            } else {
                take(column, &places, None)?
            });
        }
        batch_of(&self.compared.schema, columns, left.num_rows())
    }

    /// For each row of `left` the place of its right one.
    fn find(&self, left: &RecordBatch) -> Result<Vec<Option<u32>>> {
        let places: Vec<usize> = self.compared.on.iter().map(|(left, _)| *left).collect();
        let columns = columns_of(left, &places);
        let wanted = self.whole.convert_columns(&columns)?;
        let keys = match (&self.keys, columns.split_last()) {
            (Some(converter), Some((_, keys))) => Some(converter.convert_columns(keys)?),
            _ => None,
        };
        let nulls = any_null(&columns);
        let found = (0..left.num_rows()).map(|row| {
            if nulls.as_ref().is_some_and(|nulls| nulls[row]) {
                return None;
            }
            let place = self.nearest(wanted.row(row).data())?;
            let key = keys.as_ref().map(|keys| keys.row(row));
            let here = key.is_none_or(|key| self.bytes(place).starts_with(key.data()));
            here.then_some(place)
        });
        Ok(found.collect())
    }

    fn bytes(&self, place: u32) -> &[u8] {
        let row = usize::try_from(place).unwrap_or(usize::MAX);
        self.rows.row(row).data()
    }

    /// The right row nearest to some keys and time, perhaps one of other keys.
    fn nearest(&self, wanted: &[u8]) -> Option<u32> {
        let from = self.order.partition_point(|row| self.bytes(*row) < wanted);
        let is_there = self
            .order
            .get(from)
            .is_some_and(|row| self.bytes(*row) == wanted);
        let place = match self.compared.matching {
            AsofMatch::AtOrBefore if is_there => Some(from),
            AsofMatch::AtOrBefore | AsofMatch::Before => from.checked_sub(1),
            AsofMatch::Behind if is_there => from.checked_add(1),
            AsofMatch::AtOrBehind | AsofMatch::Behind => Some(from),
        };
        self.order.get(place?).copied()
    }
}

fn columns_of(batch: &RecordBatch, places: &[usize]) -> Vec<ArrayRef> {
    let column = |place: &usize| ArrayRef::clone(batch.column(*place));
    places.iter().map(column).collect()
}

/// Rising, NULL last, as ties are broken everywhere.
fn converter(columns: &[ArrayRef]) -> Result<RowConverter> {
    let options = SortOptions::new(false, false);
    let fields = columns
        .iter()
        .map(|column| SortField::new_with_options(column.data_type().clone(), options));
    Ok(RowConverter::new(fields.collect())?)
}
