//! The writers of the binary format.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, Field, Float16Type, Float32Type, Float64Type, Int8Type,
    Int16Type, Int32Type, Int64Type, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use bytes::BufMut;

use super::number::Digits;
use super::text::each_interval;
use super::{Writer, bytes, dictionary, mistyped, nested, primitive, text};
use crate::base::moments::{EPOCH_DAYS, EPOCH_MICROS, SECOND, Zone, out_of_range, scaled};
use crate::base::{Error, Result};

/// The writer of a column.
///
/// # Errors
/// When the array is not of the type it says it is.
pub(super) fn writer(array: &ArrayRef, field: &Field) -> Result<Writer> {
    match array.data_type() {
        DataType::Boolean => {
            let values = array
                .as_boolean_opt()
                .ok_or_else(|| mistyped(array))?
                .clone();
            Ok(Box::new(move |row, out| {
                out.put_u8(u8::from(values.value(row)));
                Ok(())
            }))
        }
        // The text of jsonb has the number of its form before it.
        DataType::LargeUtf8 => bytes(array, |value, out| {
            out.put_u8(1);
            out.put_slice(value);
        }),
        // Text, bytea, uuid and json are their bytes.
        DataType::Utf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => bytes(array, |value, out| out.put_slice(value)),
        DataType::Dictionary(_, _) => {
            let field = field.clone();
            dictionary(array, move |values| writer(values, &field))
        }
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
            calendar(array)
        }
        DataType::Timestamp(unit, _) => timestamps(array, *unit),
        DataType::Interval(_) | DataType::Duration(_) => {
            each_interval(array, |(months, days, micros), out| {
                out.put_i64(micros);
                out.put_i32(days);
                out.put_i32(months);
            })
        }
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => nested::array_binary(array),
        // The binary forms of text and json are their text.
        DataType::Null | DataType::Struct(_) | DataType::Map(_, _) => {
            text::writer(array, field, &Zone::utc())
        }
        _ => numbers(array, field),
    }
}

fn numbers(array: &ArrayRef, field: &Field) -> Result<Writer> {
    match array.data_type() {
        DataType::Int8 => int2s::<Int8Type>(array),
        DataType::UInt8 => int2s::<UInt8Type>(array),
        DataType::Int16 => int2s::<Int16Type>(array),
        DataType::UInt16 => int4s::<UInt16Type>(array),
        DataType::Int32 => int4s::<Int32Type>(array),
        DataType::UInt32 => primitive::<UInt32Type, _>(array, |value, out| {
            out.put_i64(i64::from(value));
            Ok(())
        }),
        DataType::Int64 => primitive::<Int64Type, _>(array, |value, out| {
            out.put_i64(value);
            Ok(())
        }),
        DataType::UInt64 => primitive::<UInt64Type, _>(array, |value, out| {
            Digits::of_i128(i128::from(value)).write_binary(0, out)
        }),
        DataType::Float16 => primitive::<Float16Type, _>(array, |value, out| {
            out.put_f32(value.to_f32());
            Ok(())
        }),
        DataType::Float32 => primitive::<Float32Type, _>(array, |value, out| {
            out.put_f32(value);
            Ok(())
        }),
        DataType::Float64 => primitive::<Float64Type, _>(array, |value, out| {
            out.put_f64(value);
            Ok(())
        }),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            primitive::<Decimal256Type, _>(array, move |value, out| {
                Digits::of_i256(value).write_binary(scale, out)
            })
        }
        // What is told as text has its text as binary form.
        _ => text::writer(array, field, &Zone::utc()),
    }
}

fn int2s<T>(array: &ArrayRef) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i16> + Send + Sync,
{
    primitive::<T, _>(array, |value, out| {
        out.put_i16(value.into());
        Ok(())
    })
}

fn int4s<T>(array: &ArrayRef) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i32> + Send + Sync,
{
    primitive::<T, _>(array, |value, out| {
        out.put_i32(value.into());
        Ok(())
    })
}

fn decimals<T>(array: &ArrayRef, scale: i8) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + Send + Sync,
{
    primitive::<T, _>(array, move |value, out| {
        Digits::of_i128(value.into()).write_binary(scale, out)
    })
}

fn calendar(array: &ArrayRef) -> Result<Writer> {
    match array.data_type() {
        DataType::Date32 => primitive::<Date32Type, _>(array, |days, out| {
            out.put_i32(days.checked_sub(EPOCH_DAYS).ok_or_else(out_of_range)?);
            Ok(())
        }),
        DataType::Date64 => primitive::<Date64Type, _>(array, |millis, out| {
            let days = millis.div_euclid(86_400_000) - i64::from(EPOCH_DAYS);
            out.put_i32(i32::try_from(days).map_err(|_| out_of_range())?);
            Ok(())
        }),
        DataType::Time32(TimeUnit::Second) => micros::<Time32SecondType>(array, (SECOND, 1), 0),
        DataType::Time32(_) => micros::<Time32MillisecondType>(array, (1_000, 1), 0),
        DataType::Time64(TimeUnit::Microsecond) => {
            micros::<Time64MicrosecondType>(array, (1, 1), 0)
        }
        _ => micros::<Time64NanosecondType>(array, (1, 1_000), 0),
    }
}

fn timestamps(array: &ArrayRef, unit: TimeUnit) -> Result<Writer> {
    match unit {
        TimeUnit::Second => micros::<TimestampSecondType>(array, (SECOND, 1), EPOCH_MICROS),
        TimeUnit::Millisecond => {
            micros::<TimestampMillisecondType>(array, (1_000, 1), EPOCH_MICROS)
        }
        TimeUnit::Microsecond => micros::<TimestampMicrosecondType>(array, (1, 1), EPOCH_MICROS),
        TimeUnit::Nanosecond => micros::<TimestampNanosecondType>(array, (1, 1_000), EPOCH_MICROS),
    }
}

/// Microseconds since `epoch`.
fn micros<T>(array: &ArrayRef, (factor, divisor): (i64, i64), epoch: i64) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64> + Send + Sync,
{
    primitive::<T, _>(array, move |value, out| {
        let micros = scaled(value.into().div_euclid(divisor), factor)?;
        out.put_i64(micros.checked_sub(epoch).ok_or_else(out_of_range)?);
        Ok(())
    })
}

/// A count that the wire holds in 32 bits.
pub(super) fn count(value: usize) -> Result<i32> {
    i32::try_from(value).map_err(|_| Error::limit("an array has too many elements"))
}
