//! One bit pattern for values that SQL calls equal: -0.0 becomes 0.0, and every NaN the same NaN.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, PrimitiveArray, RecordBatch, RecordBatchOptions};
use arrow::array::{ArrowPrimitiveType, make_array};
use arrow::datatypes::{DataType, Float16Type, Float32Type, Float64Type};

use crate::base::Result;

/// `column` with canonical floats, at any depth. Shares the input when nothing has to change.
///
/// # Errors
/// When Arrow cannot rebuild a nested column.
pub fn canonical(column: &ArrayRef) -> Result<ArrayRef> {
    match column.data_type() {
        DataType::Float64 => Ok(floats::<Float64Type>(
            column,
            |value| value.is_nan() && value.to_bits() != f64::NAN.to_bits(),
            |value| value == 0.0 && value.is_sign_negative(),
            f64::NAN,
            0.0,
        )),
        DataType::Float32 => Ok(floats::<Float32Type>(
            column,
            |value| value.is_nan() && value.to_bits() != f32::NAN.to_bits(),
            |value| value == 0.0 && value.is_sign_negative(),
            f32::NAN,
            0.0,
        )),
        DataType::Float16 => {
            let nan = <Float16Type as ArrowPrimitiveType>::Native::NAN;
            let zero = <Float16Type as ArrowPrimitiveType>::Native::ZERO;
            Ok(floats::<Float16Type>(
                column,
                |value| value.is_nan() && value.to_bits() != nan.to_bits(),
                |value| value == zero && value.is_sign_negative(),
                nan,
                zero,
            ))
        }
        other if holds_floats(other) => nested(column),
        _ => Ok(Arc::clone(column)),
    }
}

/// All columns of `batch` made canonical. Shares what need not change.
///
/// # Errors
/// As [`canonical`].
pub fn canonical_batch(batch: &RecordBatch) -> Result<RecordBatch> {
    if !batch
        .columns()
        .iter()
        .any(|column| holds_floats(column.data_type()))
    {
        return Ok(batch.clone());
    }
    let columns = batch
        .columns()
        .iter()
        .map(canonical)
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns,
        &options,
    )?)
}

/// Whether a value of this type can hold a float, at any depth.
pub fn holds_floats(data_type: &DataType) -> bool {
    match data_type {
        DataType::Float16 | DataType::Float32 | DataType::Float64 => true,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => holds_floats(field.data_type()),
        DataType::Struct(fields) => fields.iter().any(|field| holds_floats(field.data_type())),
        DataType::Dictionary(_, values) => holds_floats(values),
        DataType::RunEndEncoded(_, values) => holds_floats(values.data_type()),
        DataType::Union(fields, _) => fields
            .iter()
            .any(|(_, field)| holds_floats(field.data_type())),
        _ => false,
    }
}

fn floats<T: ArrowPrimitiveType>(
    column: &ArrayRef,
    odd_nan: impl Fn(T::Native) -> bool,
    negative_zero: impl Fn(T::Native) -> bool,
    nan: T::Native,
    zero: T::Native,
) -> ArrayRef {
    let array: &PrimitiveArray<T> = column.as_primitive();
    if !array
        .values()
        .iter()
        .any(|value| odd_nan(*value) || negative_zero(*value))
    {
        return Arc::clone(column);
    }
    let changed: PrimitiveArray<T> = array.unary(|value| {
        if odd_nan(value) {
            nan
        } else if negative_zero(value) {
            zero
        } else {
            value
        }
    });
    Arc::new(changed)
}

fn nested(column: &ArrayRef) -> Result<ArrayRef> {
    let data = column.to_data();
    let children = data
        .child_data()
        .iter()
        .map(|child| Ok(canonical(&make_array(child.clone()))?.to_data()))
        .collect::<Result<Vec<_>>>()?;
    Ok(make_array(
        data.into_builder().child_data(children).build()?,
    ))
}
