//! How large the results of a function call would be, computed from its arguments before anything is allocated.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType};
use datafusion::common::Result;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Growth {
    /// Results are as large as the arguments.
    Nothing,
    /// `repeat(text, n)`.
    Repeat,
    /// `lpad` and `rpad(text, n [, fill])`.
    Pad,
    /// `a || b`.
    Join,
    /// `concat(...)` and `concat_ws(...)`.
    Concat,
    /// `replace(text, from, to)`.
    Replace,
    /// `array_repeat(value, n)`.
    ArrayRepeat,
    /// `array_resize(array, n, value)`.
    ArrayResize,
    /// `range(...)` and `generate_series(...)`.
    Range,
}

/// The bytes of each row's result, an upper bound within a factor of four. Every column has `rows` rows.
///
/// # Errors
/// When an argument cannot be read as its parameter's type.
pub fn result_sizes(growth: Growth, args: &[ArrayRef], rows: usize) -> Result<Vec<u128>> {
    match growth {
        Growth::Nothing => Ok(vec![0; rows]),
        Growth::Repeat => repeated(args, rows),
        Growth::Pad => padded(args, rows),
        Growth::Join => {
            let mut total = vec![0_u128; rows];
            for column in args {
                add(&mut total, &value_sizes(column)?);
            }
            Ok(total)
        }
        Growth::Concat => {
            let mut total = vec![0_u128; rows];
            for column in args {
                add(&mut total, &value_sizes(column)?);
            }
            // concat_ws puts its first argument between all the others
            if let Some(separator) = args.first() {
                let times = args.len() as u128;
                let sizes = value_sizes(separator)?;
                total
                    .iter_mut()
                    .zip(sizes)
                    .for_each(|(total, size)| *total += size * times);
            }
            Ok(total)
        }
        Growth::Replace => replaced(args, rows),
        Growth::ArrayRepeat => repeated(args, rows),
        Growth::ArrayResize => {
            let element = args.get(2).map_or(Ok(vec![8; rows]), value_sizes)?;
            let counts = counts(args.get(1), rows)?;
            Ok(element
                .iter()
                .zip(counts)
                .map(|(size, count)| (*size).max(8) * count)
                .collect())
        }
        Growth::Range => ranges(args, rows),
    }
}

fn add(total: &mut [u128], more: &[u128]) {
    total
        .iter_mut()
        .zip(more)
        .for_each(|(total, more)| *total += *more);
}

fn repeated(args: &[ArrayRef], rows: usize) -> Result<Vec<u128>> {
    let sizes = args.first().map_or(Ok(vec![0; rows]), value_sizes)?;
    let counts = counts(args.get(1), rows)?;
    Ok(sizes
        .iter()
        .zip(counts)
        .map(|(size, count)| size * count)
        .collect())
}

fn padded(args: &[ArrayRef], rows: usize) -> Result<Vec<u128>> {
    // a character has four bytes at most
    let wide = args.iter().any(|column| !is_ascii(column));
    let character = if wide { 4 } else { 1 };
    Ok(counts(args.get(1), rows)?
        .into_iter()
        .map(|count| count * character)
        .collect())
}

fn replaced(args: &[ArrayRef], rows: usize) -> Result<Vec<u128>> {
    let [text, from, to] = args else {
        return Ok(vec![0; rows]);
    };
    let (text, from, to) = (texts(text)?, texts(from)?, texts(to)?);
    let (text, from, to) = (
        text.as_string::<i64>(),
        from.as_string::<i64>(),
        to.as_string::<i64>(),
    );
    let sizes = (0..rows).map(|row| {
        if text.is_null(row) || from.is_null(row) || to.is_null(row) {
            return 0;
        }
        let (text, from, to) = (text.value(row), from.value(row), to.value(row));
        let length = text.len() as u128;
        if to.len() <= from.len() {
            return length;
        }
        // counted only where the worst case is large
        let most = (length + 1) * to.len() as u128;
        if most <= 1 << 20 {
            most
        } else {
            length + text.matches(from).count() as u128 * to.len() as u128
        }
    });
    Ok(sizes.collect())
}

fn ranges(args: &[ArrayRef], rows: usize) -> Result<Vec<u128>> {
    let (start, stop, step) = match args {
        [stop] => (None, stop, None),
        [start, stop] => (Some(start), stop, None),
        [start, stop, step, ..] => (Some(start), stop, Some(step)),
        [] => return Ok(vec![0; rows]),
    };
    let temporal = stop.data_type().is_temporal();
    let stop = positions(stop)?;
    let start = start.map_or(Ok(vec![0; rows]), positions)?;
    let steps = match step {
        Some(step) => steps(step)?,
        // a day, for those ranges that need none said
        None => vec![if temporal { DAY } else { 1 }; rows],
    };
    let sizes = start
        .iter()
        .zip(&stop)
        .zip(&steps)
        .map(|((start, stop), step)| {
            let distance = stop.abs_diff(*start);
            (distance / step.unsigned_abs().max(1) + 1) * 8
        });
    Ok(sizes.collect())
}

const DAY: i128 = 86_400_000_000_000;

/// Integers as they are, dates and timestamps in nanoseconds; NULL as 0.
fn positions(column: &ArrayRef) -> Result<Vec<i128>> {
    let unit = match column.data_type() {
        DataType::Date32 => DAY,
        DataType::Date64 => 1_000_000,
        DataType::Timestamp(unit, _) => match unit {
            arrow::datatypes::TimeUnit::Second => 1_000_000_000,
            arrow::datatypes::TimeUnit::Millisecond => 1_000_000,
            arrow::datatypes::TimeUnit::Microsecond => 1_000,
            arrow::datatypes::TimeUnit::Nanosecond => 1,
        },
        _ => 1,
    };
    let values = cast(column, &DataType::Int64)?;
    Ok(values
        .as_primitive::<Int64Type>()
        .iter()
        .map(|value| i128::from(value.unwrap_or(0)) * unit)
        .collect())
}

/// Integers as they are, intervals in nanoseconds and at their shortest.
fn steps(column: &ArrayRef) -> Result<Vec<i128>> {
    if !matches!(column.data_type(), DataType::Interval(_)) {
        return positions(column);
    }
    let wanted = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
    let values = cast(column, &wanted)?;
    let values = values
        .as_primitive::<IntervalMonthDayNanoType>()
        .iter()
        .map(|value| {
            let value = value.unwrap_or_default();
            let days = i128::from(value.months) * 28 + i128::from(value.days);
            days * DAY + i128::from(value.nanoseconds)
        });
    Ok(values.collect())
}

/// A column of numbers of copies; NULL and negative ones are 0.
fn counts(column: Option<&ArrayRef>, rows: usize) -> Result<Vec<u128>> {
    let Some(column) = column else {
        return Ok(vec![0; rows]);
    };
    if *column.data_type() == DataType::UInt64 {
        let values = column.as_primitive::<arrow::datatypes::UInt64Type>();
        return Ok(values
            .iter()
            .map(|count| u128::from(count.unwrap_or(0)))
            .collect());
    }
    let values = cast(column, &DataType::Int64)?;
    let values = values.as_primitive::<Int64Type>();
    Ok(values
        .iter()
        .map(|count| u128::try_from(count.unwrap_or(0)).unwrap_or(0))
        .collect())
}

fn texts(column: &ArrayRef) -> Result<ArrayRef> {
    Ok(cast(column, &DataType::LargeUtf8)?)
}

/// The bytes of each value.
fn value_sizes(column: &ArrayRef) -> Result<Vec<u128>> {
    let rows = column.len();
    Ok(match column.data_type() {
        DataType::Utf8 => column
            .as_string::<i32>()
            .iter()
            .map(|v| v.map_or(0, str::len) as u128)
            .collect(),
        DataType::LargeUtf8 => column
            .as_string::<i64>()
            .iter()
            .map(|v| v.map_or(0, str::len) as u128)
            .collect(),
        DataType::Utf8View => column
            .as_string_view()
            .iter()
            .map(|v| v.map_or(0, str::len) as u128)
            .collect(),
        DataType::Binary => column
            .as_binary::<i32>()
            .iter()
            .map(|v| v.map_or(0, <[u8]>::len) as u128)
            .collect(),
        DataType::LargeBinary => column
            .as_binary::<i64>()
            .iter()
            .map(|v| v.map_or(0, <[u8]>::len) as u128)
            .collect(),
        DataType::BinaryView => column
            .as_binary_view()
            .iter()
            .map(|v| v.map_or(0, <[u8]>::len) as u128)
            .collect(),
        DataType::Null => vec![1; rows],
        other => match other.primitive_width() {
            Some(width) => vec![width as u128; rows],
            // a nested value has the size of its slice
            None => (0..rows)
                .map(|row| {
                    column
                        .slice(row, 1)
                        .to_data()
                        .get_slice_memory_size()
                        .unwrap_or(0) as u128
                })
                .collect(),
        },
    })
}

/// Whether every text of a column is plain ASCII; columns of other types are.
fn is_ascii(column: &ArrayRef) -> bool {
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().is_ascii(),
        DataType::LargeUtf8 => column.as_string::<i64>().is_ascii(),
        DataType::Utf8View => column.as_string_view().is_ascii(),
        _ => true,
    }
}
