//! The functions that make values.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};

use super::arrow::{key_of, write_value};
use super::call::Argument::{Any, Flag, Json, Step, Texts};
use super::call::{Answer, Function, all_valid, each, each_text, texts_at};
use super::change::{concat, delete_element, delete_keys, delete_path, set_path};
use super::column;
use super::walk::{Members, elements, finish_object, text_of};

pub(super) fn functions() -> Vec<Function> {
    vec![
        Function::new("to_jsonb", &[Any], Answer::Json, |a, rows| {
            each(rows, |row, out| {
                if a[0].is_null(row) {
                    return Ok(false);
                }
                write_value(&a[0], row, out)?;
                Ok(true)
            })
        }),
        Function::new("jsonb_key", &[Any], Answer::Text, |a, rows| {
            each_text(rows, |row| key_of(&a[0], row))
        }),
        Function::new("jsonb_build_array", &[], Answer::Json, build_array).with_rest(Any),
        Function::new("jsonb_build_object", &[], Answer::Json, build_object).with_rest(Any),
        Function::new("jsonb_of_list", &[Any], Answer::Json, of_list),
        Function::new("jsonb_of_pairs", &[Any], Answer::Json, of_pairs),
        Function::new("jsonb_concat", &[Json, Json], Answer::Json, |a, rows| {
            let (left, right) = (column(&a[0])?, column(&a[1])?);
            each(rows, |row, out| {
                let valid = all_valid(a, row);
                if valid {
                    concat(left.value(row), right.value(row), out);
                }
                Ok(valid)
            })
        }),
        Function::new("jsonb_delete", &[Json, Step], Answer::Json, delete),
        Function::new(
            "jsonb_delete_path",
            &[Json, Texts],
            Answer::Json,
            |a, rows| {
                let values = column(&a[0])?;
                each(rows, |row, out| {
                    let valid = all_valid(a, row);
                    if valid {
                        let path = texts_at(&a[1], row)?;
                        let path: Vec<&str> = path.iter().map(String::as_str).collect();
                        delete_path(values.value(row), &path, out)?;
                    }
                    Ok(valid)
                })
            },
        ),
        Function::new("jsonb_set", &[Json, Texts, Json], Answer::Json, set).with_rest(Flag),
    ]
}

fn build_array(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    each(rows, |row, out| {
        out.push('[');
        for (position, array) in arrays.iter().enumerate() {
            if position > 0 {
                out.push_str(", ");
            }
            write_value(array, row, out)?;
        }
        out.push(']');
        Ok(true)
    })
}

fn build_object(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    if !arrays.len().is_multiple_of(2) {
        return exec_err!("argument list must have even number of elements");
    }
    each(rows, |row, out| {
        let mut members = Members::default();
        for (position, pair) in arrays.chunks(2).enumerate() {
            let Some(key) = key_of(&pair[0], row)? else {
                return exec_err!("argument {}: key must not be null", 2 * position + 1);
            };
            let mut value = String::new();
            write_value(&pair[1], row, &mut value)?;
            members.push((key, value));
        }
        finish_object(members, out);
        Ok(true)
    })
}

/// The array of a list; NULL for none.
fn of_list(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    each(rows, |row, out| {
        if arrays[0].is_null(row) {
            return Ok(false);
        }
        write_value(&arrays[0], row, out)?;
        Ok(true)
    })
}

/// The object of a list of arrays of a key and a value.
fn of_pairs(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    if !matches!(arrays[0].data_type(), DataType::List(_)) {
        return exec_err!("jsonb_of_pairs takes a list");
    }
    let lists = arrays[0].as_list::<i32>();
    each(rows, |row, out| {
        if lists.is_null(row) {
            return Ok(false);
        }
        let pairs = column(&lists.value(row))?;
        let mut members = Members::default();
        for pair in pairs.iter().flatten() {
            let mut parts = elements(pair);
            let key = parts.next().and_then(text_of);
            match (key, parts.next()) {
                (Some(key), Some(value)) => members.push((key.into_owned(), value.to_owned())),
                _ => return exec_err!("field name must not be null"),
            }
        }
        finish_object(members, out);
        Ok(true)
    })
}

fn delete(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let values = column(&arrays[0])?;
    each(rows, |row, out| {
        if !all_valid(arrays, row) {
            return Ok(false);
        }
        let value = values.value(row);
        match arrays[1].data_type() {
            DataType::Int64 => {
                let positions = arrays[1].as_primitive::<arrow::datatypes::Int64Type>();
                delete_element(value, positions.value(row), out)?;
            }
            DataType::List(_) => {
                let keys = texts_at(&arrays[1], row)?;
                let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
                delete_keys(value, &keys, out)?;
            }
            _ => {
                let keys = crate::kernel::texts(&arrays[1])?;
                delete_keys(value, &[keys.value(row)], out)?;
            }
        }
        Ok(true)
    })
}

fn set(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (values, new) = (column(&arrays[0])?, column(&arrays[2])?);
    each(rows, |row, out| {
        if !all_valid(arrays, row) {
            return Ok(false);
        }
        let path = texts_at(&arrays[1], row)?;
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        let create = arrays
            .get(3)
            .is_none_or(|create| create.as_boolean().value(row));
        set_path(values.value(row), &path, new.value(row), create, out)?;
        Ok(true)
    })
}
