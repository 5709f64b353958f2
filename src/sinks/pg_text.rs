//! Values as PostgreSQL writes them in text: what COPY TO sends and CSV files hold.

use std::fmt::Write;

use arrow::array::cast::AsArray;
use arrow::array::types::{
    Date32Type, Decimal128Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type,
    Int32Type, Int64Type, IntervalMonthDayNanoType, TimestampMicrosecondType,
    TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type,
    UInt32Type, UInt64Type,
};
use arrow::array::{Array, ArrayRef};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use arrow::temporal_conversions::date32_to_datetime;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::BytesMut;
use chrono::{DateTime, Datelike, Timelike, Utc};

use crate::base::floats::{float4, float8};
use crate::base::{Error, Result};

/// How values are written where PostgreSQL's form is not the one files want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextStyle {
    /// PostgreSQL's output functions, with DateStyle ISO and TimeZone UTC.
    Postgres,
    /// For files that other tools read: `true`, `false` and RFC 3339 timestamps; all else as PostgreSQL.
    Plain,
}

/// Writes the value in `row` of `array`, which must not be NULL.
///
/// # Errors
/// When a value cannot be shown, as a timestamp beyond the calendar's range.
pub fn write_value(
    array: &dyn Array,
    row: usize,
    style: TextStyle,
    out: &mut String,
) -> Result<()> {
    match array.data_type() {
        DataType::Boolean => {
            let value = array.as_boolean().value(row);
            out.push_str(match (style, value) {
                (TextStyle::Postgres, true) => "t",
                (TextStyle::Postgres, false) => "f",
                (TextStyle::Plain, true) => "true",
                (TextStyle::Plain, false) => "false",
            });
        }
        DataType::Int8 => show(out, array.as_primitive::<Int8Type>().value(row)),
        DataType::Int16 => show(out, array.as_primitive::<Int16Type>().value(row)),
        DataType::Int32 => show(out, array.as_primitive::<Int32Type>().value(row)),
        DataType::Int64 => show(out, array.as_primitive::<Int64Type>().value(row)),
        DataType::UInt8 => show(out, array.as_primitive::<UInt8Type>().value(row)),
        DataType::UInt16 => show(out, array.as_primitive::<UInt16Type>().value(row)),
        DataType::UInt32 => show(out, array.as_primitive::<UInt32Type>().value(row)),
        DataType::UInt64 => show(out, array.as_primitive::<UInt64Type>().value(row)),
        DataType::Float16 => {
            float(
                out,
                f64::from(array.as_primitive::<Float16Type>().value(row).to_f32()),
            );
        }
        DataType::Float32 => float32(out, array.as_primitive::<Float32Type>().value(row)),
        DataType::Float64 => float(out, array.as_primitive::<Float64Type>().value(row)),
        DataType::Decimal128(..) => {
            out.push_str(&array.as_primitive::<Decimal128Type>().value_as_string(row));
        }
        DataType::Utf8 => out.push_str(array.as_string::<i32>().value(row)),
        DataType::LargeUtf8 => out.push_str(array.as_string::<i64>().value(row)),
        DataType::Utf8View => out.push_str(array.as_string_view().value(row)),
        DataType::Binary => hex(out, array.as_binary::<i32>().value(row)),
        DataType::LargeBinary => hex(out, array.as_binary::<i64>().value(row)),
        DataType::BinaryView => hex(out, array.as_binary_view().value(row)),
        DataType::FixedSizeBinary(_) => hex(out, array.as_fixed_size_binary().value(row)),
        DataType::Date32 => {
            let days = array.as_primitive::<Date32Type>().value(row);
            let moment = date32_to_datetime(days).ok_or_else(|| beyond("date"))?;
            let year = moment.year();
            show(
                out,
                format_args!("{year:04}-{:02}-{:02}", moment.month(), moment.day()),
            );
        }
        DataType::Timestamp(unit, zone) => {
            let moment = moment(array, row, *unit).ok_or_else(|| beyond("timestamp"))?;
            timestamp(out, moment, zone.is_some(), style);
        }
        DataType::Interval(IntervalUnit::MonthDayNano) => {
            let value = array.as_primitive::<IntervalMonthDayNanoType>().value(row);
            interval(out, value.months, value.days, value.nanoseconds);
        }
        DataType::List(_) => list(&array.as_list::<i32>().value(row), style, out)?,
        DataType::LargeList(_) => list(&array.as_list::<i64>().value(row), style, out)?,
        DataType::FixedSizeList(..) => list(&array.as_fixed_size_list().value(row), style, out)?,
        DataType::Struct(_) => composite(array, row, style, out)?,
        DataType::Dictionary(_, value) => {
            write_value(&cast(&array.slice(row, 1), value)?, 0, style, out)?;
        }
        _ => {
            let formatter = ArrayFormatter::try_new(array, &FormatOptions::default())?;
            show(out, formatter.value(row).try_to_string()?);
        }
    }
    Ok(())
}

fn beyond(what: &str) -> Error {
    Error::new(
        crate::base::Kind::Invalid,
        "22008",
        format!("{what} out of range"),
    )
}

fn show(out: &mut String, value: impl std::fmt::Display) {
    let written = write!(out, "{value}");
    debug_assert!(written.is_ok(), "writing to a String does not fail");
}

fn float(out: &mut String, value: f64) {
    written(out, |text| float8(value, text));
}

fn float32(out: &mut String, value: f32) {
    written(out, |text| float4(value, text));
}

fn written(out: &mut String, write: impl FnOnce(&mut BytesMut)) {
    let mut text = BytesMut::new();
    write(&mut text);
    out.push_str(&String::from_utf8_lossy(&text));
}

fn hex(out: &mut String, bytes: &[u8]) {
    out.push_str("\\x");
    for byte in bytes {
        show(out, format_args!("{byte:02x}"));
    }
}

fn moment(array: &dyn Array, row: usize, unit: TimeUnit) -> Option<DateTime<Utc>> {
    match unit {
        TimeUnit::Second => {
            DateTime::from_timestamp(array.as_primitive::<TimestampSecondType>().value(row), 0)
        }
        TimeUnit::Millisecond => DateTime::from_timestamp_millis(
            array.as_primitive::<TimestampMillisecondType>().value(row),
        ),
        TimeUnit::Microsecond => DateTime::from_timestamp_micros(
            array.as_primitive::<TimestampMicrosecondType>().value(row),
        ),
        TimeUnit::Nanosecond => {
            let nanos = array.as_primitive::<TimestampNanosecondType>().value(row);
            Some(DateTime::from_timestamp_nanos(nanos))
        }
    }
}

fn timestamp(out: &mut String, moment: DateTime<Utc>, zoned: bool, style: TextStyle) {
    let (between, zone) = match style {
        TextStyle::Postgres => (' ', "+00"),
        TextStyle::Plain => ('T', "Z"),
    };
    let date = moment.date_naive();
    show(
        out,
        format_args!(
            "{:04}-{:02}-{:02}{between}",
            date.year(),
            date.month(),
            date.day()
        ),
    );
    let clock = moment.time();
    show(
        out,
        format_args!(
            "{:02}:{:02}:{:02}",
            clock.hour(),
            clock.minute(),
            clock.second()
        ),
    );
    // PostgreSQL keeps microseconds; finer fractions show in files alone.
    let (fraction, width) = match style {
        TextStyle::Postgres => (clock.nanosecond() / 1000, 6),
        TextStyle::Plain => (clock.nanosecond(), 9),
    };
    push_fraction(out, u64::from(fraction), width);
    if zoned {
        out.push_str(zone);
    }
}

fn push_fraction(out: &mut String, fraction: u64, width: usize) {
    if fraction > 0 {
        let digits = format!("{fraction:0width$}");
        out.push('.');
        out.push_str(digits.trim_end_matches('0'));
    }
}

/// IntervalStyle `postgres`: `1 year 2 mons 3 days 04:05:06`.
fn interval(out: &mut String, months: i32, days: i32, nanos: i64) {
    let start = out.len();
    let part = |value: i32, one: &str, out: &mut String| {
        if value != 0 {
            let gap = if out.len() > start { " " } else { "" };
            let plural = if value == 1 { "" } else { "s" };
            show(out, format_args!("{gap}{value} {one}{plural}"));
        }
    };
    part(months / 12, "year", out);
    part(months % 12, "mon", out);
    part(days, "day", out);
    if nanos == 0 && out.len() > start {
        return;
    }
    let micros = nanos / 1000;
    let gap = if out.len() > start { " " } else { "" };
    let sign = if micros < 0 { "-" } else { "" };
    let total = micros.unsigned_abs();
    let seconds = total / 1_000_000;
    show(
        out,
        format_args!(
            "{gap}{sign}{:02}:{:02}:{:02}",
            seconds / 3600,
            seconds / 60 % 60,
            seconds % 60
        ),
    );
    push_fraction(out, total % 1_000_000, 6);
}

fn list(items: &ArrayRef, style: TextStyle, out: &mut String) -> Result<()> {
    out.push('{');
    let nested = items.data_type().is_nested() && !matches!(items.data_type(), DataType::Struct(_));
    let mut text = String::new();
    for row in 0..items.len() {
        if row > 0 {
            out.push(',');
        }
        if items.is_null(row) {
            out.push_str("NULL");
            continue;
        }
        if nested {
            write_value(items, row, style, out)?;
            continue;
        }
        text.clear();
        write_value(items, row, style, &mut text)?;
        let special = |c: char| c.is_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\');
        if text.is_empty() || text.eq_ignore_ascii_case("null") || text.contains(special) {
            push_quoted(out, &text, "\\\"", "\\\\");
        } else {
            out.push_str(&text);
        }
    }
    out.push('}');
    Ok(())
}

fn composite(array: &dyn Array, row: usize, style: TextStyle, out: &mut String) -> Result<()> {
    out.push('(');
    let mut text = String::new();
    for (index, column) in array.as_struct().columns().iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if column.is_null(row) {
            continue;
        }
        text.clear();
        write_value(column, row, style, &mut text)?;
        let special = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '"' | '\\');
        if text.is_empty() || text.contains(special) {
            push_quoted(out, &text, "\"\"", "\\\\");
        } else {
            out.push_str(&text);
        }
    }
    out.push(')');
    Ok(())
}

fn push_quoted(out: &mut String, text: &str, quote: &str, backslash: &str) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str(quote),
            '\\' => out.push_str(backslash),
            other => out.push(other),
        }
    }
    out.push('"');
}
