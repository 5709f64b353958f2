//! Moments, lengths of time and floats as text, as PostgreSQL's casts write them. The zone is UTC, whatever a session shows: a model has no session.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StringViewBuilder};
use arrow::datatypes::{
    DataType, Date32Type, DurationMicrosecondType, DurationMillisecondType, DurationNanosecondType,
    DurationSecondType, Float16Type, Float32Type, Float64Type, IntervalDayTimeType,
    IntervalMonthDayNanoType, IntervalUnit, IntervalYearMonthType, Time32MillisecondType,
    Time32SecondType, Time64MicrosecondType, Time64NanosecondType, TimeUnit,
    TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType,
};
use bytes::BytesMut;

use crate::base::moments::{self, SECOND, Zone, scaled};
use crate::base::{Error, Result, floats};

/// Whether values of this type are written here.
pub(super) fn has_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Timestamp(..)
            | DataType::Date32
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Interval(_)
            | DataType::Duration(_)
            | DataType::Float16
            | DataType::Float32
            | DataType::Float64
    )
}

/// The texts of `array`.
///
/// # Errors
/// 22008 when a value has no place among microseconds.
pub(super) fn text_of(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Timestamp(unit, zone) => timestamps(array, *unit, zone.is_some()),
        DataType::Date32 => written::<Date32Type>(array, |days, out| {
            moments::date(i64::from(days), out);
            Ok(())
        }),
        DataType::Interval(IntervalUnit::YearMonth) => {
            written::<IntervalYearMonthType>(array, |months, out| {
                moments::interval(months, 0, 0, out);
                Ok(())
            })
        }
        DataType::Interval(IntervalUnit::DayTime) => {
            written::<IntervalDayTimeType>(array, |value, out| {
                let micros = i64::from(value.milliseconds) * 1_000;
                moments::interval(0, value.days, micros, out);
                Ok(())
            })
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            written::<IntervalMonthDayNanoType>(array, |value, out| {
                moments::interval(value.months, value.days, value.nanoseconds / 1_000, out);
                Ok(())
            })
        }
        DataType::Time32(TimeUnit::Second) => written::<Time32SecondType>(array, |value, out| {
            moments::time(i64::from(value) * SECOND, out);
            Ok(())
        }),
        DataType::Time32(_) => written::<Time32MillisecondType>(array, |value, out| {
            moments::time(i64::from(value) * 1_000, out);
            Ok(())
        }),
        DataType::Time64(TimeUnit::Nanosecond) => {
            written::<Time64NanosecondType>(array, |value, out| {
                moments::time(value.div_euclid(1_000), out);
                Ok(())
            })
        }
        DataType::Time64(_) => written::<Time64MicrosecondType>(array, |value, out| {
            moments::time(value, out);
            Ok(())
        }),
        DataType::Duration(unit) => durations(array, *unit),
        DataType::Float16 => written::<Float16Type>(array, |value, out| {
            floats::float4(value.to_f32(), out);
            Ok(())
        }),
        DataType::Float32 => written::<Float32Type>(array, |value, out| {
            floats::float4(value, out);
            Ok(())
        }),
        DataType::Float64 => written::<Float64Type>(array, |value, out| {
            floats::float8(value, out);
            Ok(())
        }),
        other => Err(Error::internal(format!("{other} has no text here"))),
    }
}

fn timestamps(array: &ArrayRef, unit: TimeUnit, zoned: bool) -> Result<ArrayRef> {
    let write = |micros: i64, out: &mut BytesMut| {
        if zoned {
            moments::timestamptz(micros, &Zone::utc(), out);
        } else {
            moments::timestamp(micros, out);
        }
        Ok(())
    };
    match unit {
        TimeUnit::Second => {
            written::<TimestampSecondType>(array, |value, out| write(scaled(value, SECOND)?, out))
        }
        TimeUnit::Millisecond => written::<TimestampMillisecondType>(array, |value, out| {
            write(scaled(value, 1_000)?, out)
        }),
        TimeUnit::Microsecond => written::<TimestampMicrosecondType>(array, write),
        TimeUnit::Nanosecond => written::<TimestampNanosecondType>(array, |value, out| {
            write(value.div_euclid(1_000), out)
        }),
    }
}

fn durations(array: &ArrayRef, unit: TimeUnit) -> Result<ArrayRef> {
    let write = |micros: i64, out: &mut BytesMut| {
        let (days, micros) = moments::days_and_micros(micros);
        moments::interval(0, days, micros, out);
        Ok(())
    };
    match unit {
        TimeUnit::Second => {
            written::<DurationSecondType>(array, |value, out| write(scaled(value, SECOND)?, out))
        }
        TimeUnit::Millisecond => written::<DurationMillisecondType>(array, |value, out| {
            write(scaled(value, 1_000)?, out)
        }),
        TimeUnit::Microsecond => written::<DurationMicrosecondType>(array, write),
        TimeUnit::Nanosecond => {
            written::<DurationNanosecondType>(array, |value, out| write(value / 1_000, out))
        }
    }
}

fn written<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    write: impl Fn(T::Native, &mut BytesMut) -> Result<()>,
) -> Result<ArrayRef> {
    let values = array.as_primitive::<T>();
    let mut texts = StringViewBuilder::with_capacity(values.len());
    let mut out = BytesMut::new();
    for value in values {
        let Some(value) = value else {
            texts.append_null();
            continue;
        };
        out.clear();
        write(value, &mut out)?;
        let text = std::str::from_utf8(&out)
            .map_err(|_| Error::internal("a value was written in no UTF-8"))?;
        texts.append_value(text);
    }
    Ok(Arc::new(texts.finish()))
}
