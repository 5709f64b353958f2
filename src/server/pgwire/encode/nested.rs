//! Arrays in PostgreSQL's own forms where it has an array type, everything deeper as JSON.

use std::fmt::Write;
use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, FieldRef};
use bytes::{BufMut, BytesMut};

use super::binary::{self, count};
use super::{Writer, Zone, mistyped, text, value};
use crate::base::Result;
use crate::server::pgwire::types::{JSON, PgType};

/// A list column as its flat values and the range of each row.
struct Lists {
    item: FieldRef,
    values: ArrayRef,
    range: Box<dyn Fn(usize) -> Range<usize> + Send + Sync>,
}

impl Lists {
    fn of(array: &ArrayRef) -> Result<Self> {
        let wrong = || mistyped(array);
        match array.data_type() {
            DataType::List(item) => {
                let list = array.as_list_opt::<i32>().ok_or_else(wrong)?.clone();
                Ok(Self {
                    item: FieldRef::clone(item),
                    values: ArrayRef::clone(list.values()),
                    range: Box::new(move |row| bounds(list.value_offsets(), row)),
                })
            }
            DataType::LargeList(item) => {
                let list = array.as_list_opt::<i64>().ok_or_else(wrong)?.clone();
                Ok(Self {
                    item: FieldRef::clone(item),
                    values: ArrayRef::clone(list.values()),
                    range: Box::new(move |row| bounds(list.value_offsets(), row)),
                })
            }
            DataType::FixedSizeList(item, _) => {
                let list = array.as_fixed_size_list_opt().ok_or_else(wrong)?.clone();
                let size = usize::try_from(list.value_length()).unwrap_or_default();
                Ok(Self {
                    item: FieldRef::clone(item),
                    values: ArrayRef::clone(list.values()),
                    range: Box::new(move |row| row * size..(row + 1) * size),
                })
            }
            DataType::ListView(item) | DataType::LargeListView(item) => {
                let list = DataType::LargeList(FieldRef::clone(item));
                Self::of(&arrow::compute::cast(array, &list)?)
            }
            _ => Err(wrong()),
        }
    }
}

fn bounds<O: Copy + TryInto<usize>>(offsets: &[O], row: usize) -> Range<usize> {
    let at = |index: usize| {
        offsets
            .get(index)
            .and_then(|offset| (*offset).try_into().ok())
    };
    at(row).unwrap_or_default()..at(row + 1).unwrap_or_default()
}

/// `{1,2,NULL,"a b"}`, or JSON when the elements have no array type.
pub(super) fn array_text(array: &ArrayRef, zone: &Zone) -> Result<Writer> {
    if PgType::of_data(array.data_type()).oid == JSON {
        return json(array, zone);
    }
    let Lists {
        item,
        values,
        range,
    } = Lists::of(array)?;
    let nulls = values.logical_nulls();
    let write = text::writer(&values, &item, zone)?;
    Ok(Box::new(move |row, out| {
        let mut element = BytesMut::new();
        out.put_u8(b'{');
        for (place, index) in range(row).enumerate() {
            if place > 0 {
                out.put_u8(b',');
            }
            if nulls.as_ref().is_some_and(|nulls| nulls.is_null(index)) {
                out.put_slice(b"NULL");
                continue;
            }
            element.clear();
            write(index, &mut element)?;
            quote(&element, out);
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

/// An element as it is, or in double quotes where it would read as something else.
fn quote(element: &[u8], out: &mut BytesMut) {
    let special = |byte: &u8| matches!(byte, b'{' | b'}' | b',' | b'"' | b'\\') || is_space(*byte);
    let plain = !element.is_empty()
        && !element.eq_ignore_ascii_case(b"null")
        && !element.iter().any(special);
    if plain {
        out.put_slice(element);
        return;
    }
    out.put_u8(b'"');
    for byte in element {
        if matches!(byte, b'"' | b'\\') {
            out.put_u8(b'\\');
        }
        out.put_u8(*byte);
    }
    out.put_u8(b'"');
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

/// The binary array: dimensions, null flag, element type, length, lower bound, elements.
pub(super) fn array_binary(array: &ArrayRef) -> Result<Writer> {
    if PgType::of_data(array.data_type()).oid == JSON {
        return json(array, &Zone::utc());
    }
    let Lists {
        item,
        values,
        range,
    } = Lists::of(array)?;
    let nulls = values.logical_nulls();
    let write = binary::writer(&values, &item)?;
    let oid = PgType::of(&item).oid;
    Ok(Box::new(move |row, out| {
        let range = range(row);
        let null_at = |index| nulls.as_ref().is_some_and(|nulls| nulls.is_null(index));
        out.put_i32(i32::from(!range.is_empty()));
        out.put_i32(i32::from(range.clone().any(null_at)));
        out.put_u32(oid);
        if range.is_empty() {
            return Ok(());
        }
        out.put_i32(count(range.len())?);
        out.put_i32(1);
        for index in range {
            value(null_at(index), out, |out| write(index, out))?;
        }
        Ok(())
    }))
}

/// Any value as JSON text.
pub(super) fn json(array: &ArrayRef, zone: &Zone) -> Result<Writer> {
    match array.data_type() {
        DataType::Struct(fields) => {
            let columns = array
                .as_struct_opt()
                .ok_or_else(|| mistyped(array))?
                .columns();
            let mut members = Vec::with_capacity(fields.len());
            for (field, column) in fields.iter().zip(columns) {
                let mut key = BytesMut::new();
                string(field.name(), &mut key);
                key.put_u8(b':');
                members.push((key.freeze(), nullable(column, zone)?));
            }
            Ok(Box::new(move |row, out| {
                out.put_u8(b'{');
                for (place, (key, write)) in members.iter().enumerate() {
                    separate(place, out);
                    out.put_slice(key);
                    write(row, out)?;
                }
                out.put_u8(b'}');
                Ok(())
            }))
        }
        DataType::Map(_, _) => map(array, zone),
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(_, _)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => {
            let Lists { values, range, .. } = Lists::of(array)?;
            let write = nullable(&values, zone)?;
            Ok(Box::new(move |row, out| {
                out.put_u8(b'[');
                for (place, index) in range(row).enumerate() {
                    separate(place, out);
                    write(index, out)?;
                }
                out.put_u8(b']');
                Ok(())
            }))
        }
        _ => leaf(array, zone),
    }
}

fn map(array: &ArrayRef, zone: &Zone) -> Result<Writer> {
    let map = array.as_map_opt().ok_or_else(|| mistyped(array))?.clone();
    // A key is a string in JSON, whatever it is in Arrow.
    let keys = arrow::compute::cast(map.keys(), &DataType::Utf8)?;
    let (keys, values) = (leaf(&keys, zone)?, nullable(map.values(), zone)?);
    Ok(Box::new(move |row, out| {
        out.put_u8(b'{');
        for (place, index) in bounds(map.value_offsets(), row).enumerate() {
            separate(place, out);
            keys(index, out)?;
            out.put_u8(b':');
            values(index, out)?;
        }
        out.put_u8(b'}');
        Ok(())
    }))
}

fn nullable(array: &ArrayRef, zone: &Zone) -> Result<Writer> {
    let nulls = array.logical_nulls();
    let write = json(array, zone)?;
    Ok(Box::new(move |row, out| {
        if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            out.put_slice(b"null");
            return Ok(());
        }
        write(row, out)
    }))
}

/// Numbers, booleans and JSON as they are, all else as a string of its text.
fn leaf(array: &ArrayRef, zone: &Zone) -> Result<Writer> {
    let field = arrow::datatypes::Field::new("", array.data_type().clone(), true);
    if let DataType::Boolean = array.data_type() {
        let values = array
            .as_boolean_opt()
            .ok_or_else(|| mistyped(array))?
            .clone();
        return Ok(Box::new(move |row, out| {
            out.put_slice(if values.value(row) { b"true" } else { b"false" });
            Ok(())
        }));
    }
    if *array.data_type() == DataType::LargeUtf8 {
        return text::writer(array, &field, zone);
    }
    let number = array.data_type().is_numeric();
    let write = text::writer(array, &field, zone)?;
    Ok(Box::new(move |row, out| {
        let mut plain = BytesMut::new();
        write(row, &mut plain)?;
        // NaN and Infinity are no JSON numbers.
        if number && plain.last().is_some_and(u8::is_ascii_digit) {
            out.put_slice(&plain);
        } else {
            string(&String::from_utf8_lossy(&plain), out);
        }
        Ok(())
    }))
}

fn separate(place: usize, out: &mut BytesMut) {
    if place > 0 {
        out.put_u8(b',');
    }
}

/// A JSON string (RFC 8259, 7).
fn string(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    for char in text.chars() {
        match char {
            '"' => out.put_slice(b"\\\""),
            '\\' => out.put_slice(b"\\\\"),
            '\n' => out.put_slice(b"\\n"),
            '\r' => out.put_slice(b"\\r"),
            '\t' => out.put_slice(b"\\t"),
            char if char < ' ' => {
                // Writing into a growing buffer does not fail.
                let _always = write!(out, "\\u{:04x}", u32::from(char));
            }
            char => out.put_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.put_u8(b'"');
}
