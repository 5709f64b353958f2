//! The functions that look into a value. Operators are calls of them.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, LargeStringArray, StringViewArray,
};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::{Result, exec_err};

use super::call::Argument::{Json, Step, Text, Texts};
use super::call::{Answer, Function, all_valid, each, each_text, texts_at};
use super::change;
use super::column;
use super::contain::contains;
use super::walk::{Kind, at_path, element, elements, member, shown, text_of};

pub(super) fn functions() -> Vec<Function> {
    let mut all = tests();
    all.extend(parts());
    all
}

/// What gives a part of a value, or says what it is.
fn parts() -> Vec<Function> {
    vec![
        Function::new("jsonb", &[Json], Answer::Json, |a, _| super::parsed(&a[0]))
            .with_alias("json"),
        Function::new("jsonb_get", &[Json, Step], Answer::Json, get),
        Function::new("jsonb_get_text", &[Json, Step], Answer::Text, get_text),
        Function::new("jsonb_at_path", &[Json, Texts], Answer::Json, |a, _| {
            path(a, &|row| texts_at(&a[1], row))
        }),
        Function::new(
            "jsonb_text_at_path",
            &[Json, Texts],
            Answer::Text,
            |a, _| path_text(a, &|row| texts_at(&a[1], row)),
        ),
        Function::new("jsonb_extract_path", &[Json], Answer::Json, |a, _| {
            path(a, &steps(a)?)
        })
        .with_rest(Text),
        Function::new("jsonb_extract_path_text", &[Json], Answer::Text, |a, _| {
            path_text(a, &steps(a)?)
        })
        .with_rest(Text),
        Function::new("jsonb_typeof", &[Json], Answer::Text, |a, rows| {
            let values = column(&a[0])?;
            each_text(rows, |row| {
                Ok(values
                    .is_valid(row)
                    .then(|| Kind::of(values.value(row)).name()))
            })
        }),
        Function::new("jsonb_array_length", &[Json], Answer::Number, length),
        Function::new(
            "jsonb_scalar_text",
            &[Json, Text],
            Answer::Text,
            scalar_text,
        ),
        Function::new("jsonb_strip_nulls", &[Json], Answer::Json, |a, rows| {
            let values = column(&a[0])?;
            each(rows, |row, out| {
                if values.is_null(row) {
                    return Ok(false);
                }
                change::strip_nulls(values.value(row), out);
                Ok(true)
            })
        }),
    ]
}

/// What is true or false of a value.
fn tests() -> Vec<Function> {
    vec![
        Function::new("jsonb_contains", &[Json, Json], Answer::Flag, |a, _| {
            let (whole, part) = (column(&a[0])?, column(&a[1])?);
            flags(a, |row| Ok(contains(whole.value(row), part.value(row))))
        }),
        Function::new("jsonb_contained", &[Json, Json], Answer::Flag, |a, _| {
            let (part, whole) = (column(&a[0])?, column(&a[1])?);
            flags(a, |row| Ok(contains(whole.value(row), part.value(row))))
        }),
        Function::new("jsonb_exists", &[Json, Text], Answer::Flag, |a, _| {
            let (values, keys) = (column(&a[0])?, crate::kernel::texts(&a[1])?);
            flags(a, |row| Ok(has(values.value(row), keys.value(row))))
        }),
        Function::new("jsonb_exists_any", &[Json, Texts], Answer::Flag, |a, _| {
            let values = column(&a[0])?;
            flags(a, |row| {
                let keys = texts_at(&a[1], row)?;
                Ok(keys.iter().any(|key| has(values.value(row), key)))
            })
        }),
        Function::new("jsonb_exists_all", &[Json, Texts], Answer::Flag, |a, _| {
            let values = column(&a[0])?;
            flags(a, |row| {
                let keys = texts_at(&a[1], row)?;
                Ok(keys.iter().all(|key| has(values.value(row), key)))
            })
        }),
    ]
}

/// The value behind `->`, if there is one.
enum Steps {
    Keys(StringViewArray),
    Positions(arrow::array::Int64Array),
}

impl Steps {
    fn of(array: &ArrayRef) -> Result<Self> {
        Ok(match array.data_type() {
            DataType::Int64 => Self::Positions(array.as_primitive::<Int64Type>().clone()),
            _ => Self::Keys(crate::kernel::texts(array)?),
        })
    }

    fn of_row<'a>(&self, values: &'a LargeStringArray, row: usize) -> Option<&'a str> {
        if values.is_null(row) {
            return None;
        }
        let value = values.value(row);
        match self {
            Self::Keys(keys) if keys.is_valid(row) => member(value, keys.value(row)),
            Self::Positions(positions) if positions.is_valid(row) => {
                element(value, positions.value(row))
            }
            _ => None,
        }
    }
}

fn get(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (values, steps) = (column(&arrays[0])?, Steps::of(&arrays[1])?);
    let found: LargeStringArray = (0..rows).map(|row| steps.of_row(&values, row)).collect();
    Ok(Arc::new(found))
}

fn get_text(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (values, steps) = (column(&arrays[0])?, Steps::of(&arrays[1])?);
    each_text(rows, |row| Ok(steps.of_row(&values, row).and_then(shown)))
}

/// The steps of a row's path.
type PathOf<'a> = dyn Fn(usize) -> Result<Vec<String>> + 'a;

/// The steps that stand in columns of their own.
fn steps(arrays: &[ArrayRef]) -> Result<impl Fn(usize) -> Result<Vec<String>> + use<>> {
    let columns = arrays
        .iter()
        .skip(1)
        .map(crate::kernel::texts)
        .collect::<Result<Vec<_>>>()?;
    Ok(move |row| {
        Ok(columns
            .iter()
            .map(|column| column.value(row).to_owned())
            .collect())
    })
}

fn path(arrays: &[ArrayRef], path_of: &PathOf<'_>) -> Result<ArrayRef> {
    let values = column(&arrays[0])?;
    each(values.len(), |row, out| {
        if !all_valid(arrays, row) {
            return Ok(false);
        }
        let path = path_of(row)?;
        let found = at_path(values.value(row), path.iter().map(String::as_str));
        out.push_str(found.unwrap_or_default());
        Ok(found.is_some())
    })
}

fn path_text(arrays: &[ArrayRef], path_of: &PathOf<'_>) -> Result<ArrayRef> {
    let values = column(&arrays[0])?;
    each_text(values.len(), |row| {
        if !all_valid(arrays, row) {
            return Ok(None);
        }
        let path = path_of(row)?;
        let found = at_path(values.value(row), path.iter().map(String::as_str));
        Ok(found.and_then(shown).map(Cow::into_owned))
    })
}

/// `?`: a key of an object, or a string of an array.
fn has(value: &str, key: &str) -> bool {
    match Kind::of(value) {
        Kind::Object => member(value, key).is_some(),
        _ => elements(value).any(|element| text_of(element).is_some_and(|text| text == key)),
    }
}

/// True or false where no argument is NULL.
fn flags(arrays: &[ArrayRef], flag: impl Fn(usize) -> Result<bool>) -> Result<ArrayRef> {
    let rows = arrays.first().map_or(0, |array| array.len());
    let flags = (0..rows).map(|row| match all_valid(arrays, row) {
        true => flag(row).map(Some),
        false => Ok(None),
    });
    Ok(Arc::new(flags.collect::<Result<BooleanArray>>()?))
}

fn length(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let values = column(&arrays[0])?;
    let lengths = (0..rows).map(|row| {
        if values.is_null(row) {
            return Ok(None);
        }
        let value = values.value(row);
        match Kind::of(value) {
            Kind::Array => Ok(i32::try_from(elements(value).count()).ok()),
            Kind::Object => exec_err!("cannot get array length of a non-array"),
            _ => exec_err!("cannot get array length of a scalar"),
        }
    });
    Ok(Arc::new(lengths.collect::<Result<Int32Array>>()?))
}

/// The text of a scalar that a cast to the type named by the second argument reads. A number that becomes an integer is
/// rounded, half away from zero.
fn scalar_text(arrays: &[ArrayRef], rows: usize) -> Result<ArrayRef> {
    let (values, types) = (column(&arrays[0])?, crate::kernel::texts(&arrays[1])?);
    each_text(rows, |row| {
        if !all_valid(arrays, row) {
            return Ok(None);
        }
        let (value, wanted) = (values.value(row), types.value(row));
        let kind = Kind::of(value);
        let fits = match wanted {
            "boolean" => kind == Kind::Boolean,
            _ => kind == Kind::Number,
        };
        if !fits {
            let name = match kind {
                Kind::Array | Kind::Object => "array or object",
                Kind::Number => "numeric",
                kind => kind.name(),
            };
            return exec_err!("cannot cast jsonb {name} to type {wanted}");
        }
        Ok(Some(match wanted {
            "smallint" | "integer" | "bigint" => rounded(value),
            _ => value.to_owned(),
        }))
    })
}

fn rounded(number: &str) -> String {
    let Some((whole, fraction)) = number.split_once('.') else {
        return number.to_owned();
    };
    let up = fraction
        .as_bytes()
        .first()
        .is_some_and(|digit| *digit >= b'5');
    let parsed: Option<i128> = whole.trim_start_matches('-').parse().ok();
    match parsed.and_then(|whole| whole.checked_add(i128::from(up))) {
        Some(0) => "0".to_owned(),
        Some(size) if whole.starts_with('-') => format!("-{size}"),
        Some(size) => size.to_string(),
        None => whole.to_owned(),
    }
}
