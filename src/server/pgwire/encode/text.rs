//! The writers of the text format.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Date64Type, Decimal32Type, Decimal64Type,
    Decimal128Type, Decimal256Type, DurationMicrosecondType, DurationMillisecondType,
    DurationNanosecondType, DurationSecondType, Field, Float16Type, Float32Type, Float64Type,
    Int8Type, Int16Type, Int32Type, Int64Type, IntervalDayTimeType, IntervalMonthDayNanoType,
    IntervalUnit, IntervalYearMonthType, Time32MillisecondType, Time32SecondType,
    Time64MicrosecondType, Time64NanosecondType, TimeUnit, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use bytes::{BufMut, BytesMut};

use super::number::{Digits, integer, unsigned};
use super::{Writer, bytes, dictionary, mistyped, nested, primitive};
use crate::base::Result;
use crate::base::floats::{float4, float8};
use crate::base::moments::{self, SECOND, Zone, scaled};
use crate::server::pgwire::types::extension;

/// Microseconds in a day.
const DAY: i64 = 86_400 * SECOND;

/// The writer of a column.
///
/// # Errors
/// When the array is not of the type it says it is.
pub(super) fn writer(array: &ArrayRef, field: &Field, zone: &Zone) -> Result<Writer> {
    if extension(field) == Some("arrow.uuid") && *array.data_type() == DataType::FixedSizeBinary(16)
    {
        return bytes(array, uuid);
    }
    match array.data_type() {
        DataType::Null => Ok(Box::new(|_, _| Ok(()))),
        DataType::Boolean => {
            let values = array
                .as_boolean_opt()
                .ok_or_else(|| mistyped(array))?
                .clone();
            Ok(Box::new(move |row, out| {
                out.put_u8(if values.value(row) { b't' } else { b'f' });
                Ok(())
            }))
        }
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            bytes(array, |value, out| out.put_slice(value))
        }
        DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_) => bytes(array, hex),
        DataType::Dictionary(_, _) => {
            let (field, zone) = (field.clone(), zone.clone());
            dictionary(array, move |values| writer(values, &field, &zone))
        }
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
            calendar(array)
        }
        DataType::Timestamp(unit, zoned) => {
            timestamps(array, *unit, zoned.is_some().then(|| zone.clone()))
        }
        DataType::Interval(_) | DataType::Duration(_) => intervals(array),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => nested::array_text(array, zone),
        DataType::Struct(_) | DataType::Map(_, _) => nested::json(array, zone),
        _ => numbers(array),
    }
}

fn numbers(array: &ArrayRef) -> Result<Writer> {
    match array.data_type() {
        DataType::Int8 => integers::<Int8Type>(array),
        DataType::Int16 => integers::<Int16Type>(array),
        DataType::Int32 => integers::<Int32Type>(array),
        DataType::Int64 => integers::<Int64Type>(array),
        DataType::UInt8 => integers::<UInt8Type>(array),
        DataType::UInt16 => integers::<UInt16Type>(array),
        DataType::UInt32 => integers::<UInt32Type>(array),
        DataType::UInt64 => primitive::<UInt64Type, _>(array, |value, out| {
            unsigned(value, out);
            Ok(())
        }),
        DataType::Float16 => primitive::<Float16Type, _>(array, |value, out| {
            float4(value.to_f32(), out);
            Ok(())
        }),
        DataType::Float32 => primitive::<Float32Type, _>(array, |value, out| {
            float4(value, out);
            Ok(())
        }),
        DataType::Float64 => primitive::<Float64Type, _>(array, |value, out| {
            float8(value, out);
            Ok(())
        }),
        DataType::Decimal32(_, scale) => decimals::<Decimal32Type>(array, *scale),
        DataType::Decimal64(_, scale) => decimals::<Decimal64Type>(array, *scale),
        DataType::Decimal128(_, scale) => decimals::<Decimal128Type>(array, *scale),
        DataType::Decimal256(_, scale) => {
            let scale = *scale;
            primitive::<Decimal256Type, _>(array, move |value, out| {
                Digits::of_i256(value).write_text(scale, out);
                Ok(())
            })
        }
        _ => displayed(array),
    }
}

fn integers<T>(array: &ArrayRef) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64> + Send + Sync,
{
    primitive::<T, _>(array, |value, out| {
        integer(value.into(), out);
        Ok(())
    })
}

fn decimals<T>(array: &ArrayRef, scale: i8) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i128> + Send + Sync,
{
    primitive::<T, _>(array, move |value, out| {
        Digits::of_i128(value.into()).write_text(scale, out);
        Ok(())
    })
}

/// Types that PostgreSQL has no like of: as Arrow shows them.
fn displayed(array: &ArrayRef) -> Result<Writer> {
    let values = ArrayRef::clone(array);
    Ok(Box::new(move |row, out| {
        let text = arrow::util::display::array_value_to_string(&values, row)?;
        out.put_slice(text.as_bytes());
        Ok(())
    }))
}

fn calendar(array: &ArrayRef) -> Result<Writer> {
    match array.data_type() {
        DataType::Date32 => primitive::<Date32Type, _>(array, |days, out| {
            moments::date(i64::from(days), out);
            Ok(())
        }),
        DataType::Date64 => primitive::<Date64Type, _>(array, |millis, out| {
            moments::date(millis.div_euclid(DAY / 1_000), out);
            Ok(())
        }),
        DataType::Time32(TimeUnit::Second) => times::<Time32SecondType>(array, SECOND, 1),
        DataType::Time32(_) => times::<Time32MillisecondType>(array, 1_000, 1),
        DataType::Time64(TimeUnit::Microsecond) => times::<Time64MicrosecondType>(array, 1, 1),
        _ => times::<Time64NanosecondType>(array, 1, 1_000),
    }
}

fn times<T>(array: &ArrayRef, factor: i64, divisor: i64) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Into<i64> + Send + Sync,
{
    primitive::<T, _>(array, move |value, out| {
        moments::time(scaled(value.into().div_euclid(divisor), factor)?, out);
        Ok(())
    })
}

fn timestamps(array: &ArrayRef, unit: TimeUnit, zone: Option<Zone>) -> Result<Writer> {
    fn of<T>(array: &ArrayRef, factor: i64, divisor: i64, zone: Option<Zone>) -> Result<Writer>
    where
        T: ArrowPrimitiveType<Native = i64>,
    {
        primitive::<T, _>(array, move |value, out| {
            let micros = scaled(value.div_euclid(divisor), factor)?;
            match &zone {
                None => moments::timestamp(micros, out),
                Some(zone) => moments::timestamptz(micros, zone, out),
            }
            Ok(())
        })
    }
    match unit {
        TimeUnit::Second => of::<TimestampSecondType>(array, SECOND, 1, zone),
        TimeUnit::Millisecond => of::<TimestampMillisecondType>(array, 1_000, 1, zone),
        TimeUnit::Microsecond => of::<TimestampMicrosecondType>(array, 1, 1, zone),
        TimeUnit::Nanosecond => of::<TimestampNanosecondType>(array, 1, 1_000, zone),
    }
}

fn intervals(array: &ArrayRef) -> Result<Writer> {
    each_interval(array, |(months, days, micros), out| {
        moments::interval(months, days, micros, out);
    })
}

/// Months, days and microseconds of each interval or duration type, handed to `write`.
pub(super) fn each_interval<F>(array: &ArrayRef, write: F) -> Result<Writer>
where
    F: Fn((i32, i32, i64), &mut BytesMut) + Send + Sync + 'static,
{
    match array.data_type() {
        DataType::Interval(IntervalUnit::YearMonth) => {
            primitive::<IntervalYearMonthType, _>(array, move |months, out| {
                write((months, 0, 0), out);
                Ok(())
            })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            primitive::<IntervalDayTimeType, _>(array, move |value, out| {
                write((0, value.days, i64::from(value.milliseconds) * 1_000), out);
                Ok(())
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            primitive::<IntervalMonthDayNanoType, _>(array, move |value, out| {
                write((value.months, value.days, value.nanoseconds / 1_000), out);
                Ok(())
            })
        }
        DataType::Duration(TimeUnit::Second) => {
            durations::<DurationSecondType, F>(array, (SECOND, 1), write)
        }
        DataType::Duration(TimeUnit::Millisecond) => {
            durations::<DurationMillisecondType, F>(array, (1_000, 1), write)
        }
        DataType::Duration(TimeUnit::Microsecond) => {
            durations::<DurationMicrosecondType, F>(array, (1, 1), write)
        }
        DataType::Duration(TimeUnit::Nanosecond) => {
            durations::<DurationNanosecondType, F>(array, (1, 1_000), write)
        }
        _ => Err(mistyped(array)),
    }
}

fn durations<T, F>(array: &ArrayRef, (factor, divisor): (i64, i64), write: F) -> Result<Writer>
where
    T: ArrowPrimitiveType<Native = i64>,
    F: Fn((i32, i32, i64), &mut BytesMut) + Send + Sync + 'static,
{
    primitive::<T, _>(array, move |value, out| {
        let (days, micros) = moments::days_and_micros(scaled(value / divisor, factor)?);
        write((0, days, micros), out);
        Ok(())
    })
}

/// `\x` and two digits a byte.
fn hex(value: &[u8], out: &mut BytesMut) {
    out.reserve(2 + 2 * value.len());
    out.put_slice(b"\\x");
    hex_digits(value, out);
}

fn hex_digits(value: &[u8], out: &mut BytesMut) {
    for byte in value {
        for nibble in [byte >> 4, byte & 15] {
            out.put_u8(if nibble < 10 {
                b'0' + nibble
            } else {
                b'a' + nibble - 10
            });
        }
    }
}

fn uuid(value: &[u8], out: &mut BytesMut) {
    let mut rest = value;
    for (index, length) in [4, 2, 2, 2, 6].into_iter().enumerate() {
        if index > 0 {
            out.put_u8(b'-');
        }
        let (part, after) = rest.split_at(length.min(rest.len()));
        hex_digits(part, out);
        rest = after;
    }
}
