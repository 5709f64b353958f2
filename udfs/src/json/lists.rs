//! The functions that make lists of a value's parts: opened by `unnest`, they are the functions that give rows.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, LargeStringBuilder, ListBuilder, StringViewBuilder};
use datafusion_common::{Result, exec_err};

use super::call::{Answer, Argument, Function};
use super::column;
use super::walk::{Kind, elements, members, shown, text_of};

pub(super) fn functions() -> Vec<Function> {
    let one = &[Argument::Json];
    vec![
        Function::new("jsonb_list_elements", one, Answer::Jsons, |a, rows| {
            jsons(&a[0], rows, elements_of)
        }),
        Function::new("jsonb_list_element_texts", one, Answer::Texts, |a, rows| {
            texts(&a[0], rows, |value| {
                let elements = elements_of(value)?;
                Ok(elements
                    .into_iter()
                    .map(|e| shown(e).map(Into::into))
                    .collect())
            })
        }),
        Function::new("jsonb_list_keys", one, Answer::Texts, |a, rows| {
            texts(&a[0], rows, |value| keys_of(value, "jsonb_object_keys"))
        }),
        Function::new("jsonb_list_member_keys", one, Answer::Texts, |a, rows| {
            texts(&a[0], rows, |value| keys_of(value, "jsonb_each"))
        }),
        Function::new("jsonb_list_member_values", one, Answer::Jsons, |a, rows| {
            jsons(&a[0], rows, |value| {
                Ok(members(value).map(|(_, member)| member).collect())
            })
        }),
        Function::new("jsonb_list_member_texts", one, Answer::Texts, |a, rows| {
            texts(&a[0], rows, |value| {
                Ok(members(value)
                    .map(|(_, member)| shown(member).map(Into::into))
                    .collect())
            })
        }),
    ]
}

fn elements_of(value: &str) -> Result<Vec<&str>> {
    match Kind::of(value) {
        Kind::Array => Ok(elements(value).collect()),
        Kind::Object => exec_err!("cannot extract elements from an object"),
        _ => exec_err!("cannot extract elements from a scalar"),
    }
}

/// The keys of an object; `function` is the one that asks.
fn keys_of(value: &str, function: &str) -> Result<Vec<Option<String>>> {
    match Kind::of(value) {
        Kind::Object => Ok(members(value)
            .map(|(key, _)| text_of(key).map(Into::into))
            .collect()),
        _ if function == "jsonb_each" => exec_err!("cannot call jsonb_each on a non-object"),
        Kind::Array => exec_err!("cannot call {function} on an array"),
        _ => exec_err!("cannot call {function} on a scalar"),
    }
}

fn jsons(
    values: &ArrayRef,
    rows: usize,
    parts: impl Fn(&str) -> Result<Vec<&str>>,
) -> Result<ArrayRef> {
    let values = column(values)?;
    let mut builder = ListBuilder::new(LargeStringBuilder::new());
    for row in 0..rows {
        if values.is_valid(row) {
            for part in parts(values.value(row))? {
                builder.values().append_value(part);
            }
        }
        builder.append(values.is_valid(row));
    }
    Ok(Arc::new(builder.finish()))
}

fn texts(
    values: &ArrayRef,
    rows: usize,
    parts: impl Fn(&str) -> Result<Vec<Option<String>>>,
) -> Result<ArrayRef> {
    let values = column(values)?;
    let mut builder = ListBuilder::new(StringViewBuilder::new());
    for row in 0..rows {
        if values.is_valid(row) {
            for part in parts(values.value(row))? {
                builder.values().append_option(part);
            }
        }
        builder.append(values.is_valid(row));
    }
    Ok(Arc::new(builder.finish()))
}
