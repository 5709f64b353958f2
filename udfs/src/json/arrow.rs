//! JSON of values of other types, as `to_jsonb` has it.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion_common::{Result, exec_err};

use super::TYPE;
use super::walk::{Kind, Members, finish_object, text_of, write_string};

/// Appends the JSON of `array[row]`; NULL is `null`.
pub(super) fn write_value(array: &ArrayRef, row: usize, out: &mut String) -> Result<()> {
    if array.is_null(row) {
        out.push_str("null");
        return Ok(());
    }
    match array.data_type() {
        json if *json == TYPE => out.push_str(array.as_string::<i64>().value(row)),
        DataType::Utf8View => write_string(array.as_string_view().value(row), out),
        DataType::Utf8 => write_string(array.as_string::<i32>().value(row), out),
        DataType::Float64 => write_float(array.as_primitive::<Float64Type>().value(row), out),
        DataType::Float32 => {
            let value = array.as_primitive::<Float32Type>().value(row);
            match value.is_finite() {
                true => out.push_str(&value.to_string()),
                false => write_float(f64::from(value), out),
            }
        }
        plain if plain.is_integer() || plain.is_decimal() || *plain == DataType::Boolean => {
            out.push_str(&displayed(array, row)?);
        }
        DataType::Date32 | DataType::Date64 | DataType::Time32(_) | DataType::Time64(_) => {
            write_string(&without_zeros(&displayed(array, row)?), out);
        }
        DataType::Timestamp(_, zone) => {
            let text = displayed(array, row)?;
            let mut text = without_zeros(text.trim_end_matches('Z'));
            if zone.is_some() {
                text.push_str("+00:00");
            }
            write_string(&text, out);
        }
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => {
            write_string(&format!("\\x{}", displayed(array, row)?), out);
        }
        DataType::List(_) => write_list(&array.as_list::<i32>().value(row), out)?,
        DataType::LargeList(_) => write_list(&array.as_list::<i64>().value(row), out)?,
        DataType::FixedSizeList(..) => {
            write_list(&array.as_fixed_size_list().value(row), out)?;
        }
        DataType::Struct(fields) => {
            let columns = array.as_struct().columns();
            let mut members = Members::default();
            for (field, column) in fields.iter().zip(columns) {
                let mut value = String::new();
                write_value(column, row, &mut value)?;
                members.push((field.name().clone(), value));
            }
            finish_object(members, out);
        }
        DataType::Map(..) => {
            let entries = array.as_map().value(row);
            let mut members = Members::default();
            for entry in 0..entries.len() {
                let Some(key) = key_of(entries.column(0), entry)? else {
                    return exec_err!("field name must not be null");
                };
                let mut value = String::new();
                write_value(entries.column(1), entry, &mut value)?;
                members.push((key, value));
            }
            finish_object(members, out);
        }
        DataType::Dictionary(_, values) => {
            write_value(&cast(&array.slice(row, 1), values)?, 0, out)?;
        }
        other => return exec_err!("to_jsonb of {other} is not supported"),
    }
    Ok(())
}

fn write_list(items: &ArrayRef, out: &mut String) -> Result<()> {
    out.push('[');
    for item in 0..items.len() {
        if item > 0 {
            out.push_str(", ");
        }
        write_value(items, item, out)?;
    }
    out.push(']');
    Ok(())
}

/// A number, or a text where JSON has no such number.
fn write_float(value: f64, out: &mut String) {
    if value == 0.0 {
        out.push('0');
    } else if value.is_finite() {
        out.push_str(&value.to_string());
    } else if value.is_nan() {
        out.push_str("\"NaN\"");
    } else {
        out.push_str(if value > 0.0 {
            "\"Infinity\""
        } else {
            "\"-Infinity\""
        });
    }
}

fn displayed(array: &ArrayRef, row: usize) -> Result<String> {
    let formatter = ArrayFormatter::try_new(array.as_ref(), &FormatOptions::default())?;
    Ok(formatter.value(row).try_to_string()?)
}

/// A moment without the zeros at the end of its fraction.
fn without_zeros(text: &str) -> String {
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    }
}

/// The key that `array[row]` is in an object; none for NULL.
pub(super) fn key_of(array: &ArrayRef, row: usize) -> Result<Option<String>> {
    if array.is_null(row) {
        return Ok(None);
    }
    let mut value = String::new();
    write_value(array, row, &mut value)?;
    match Kind::of(&value) {
        Kind::Text => Ok(text_of(&value).map(Into::into)),
        kind if kind.is_scalar() => Ok(Some(value)),
        _ => exec_err!("key value must be scalar, not array, composite, or json"),
    }
}
