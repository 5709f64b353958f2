//! Arrow rows as PostgreSQL's DataRow, in text and binary.
//!
//! For each batch, each column gets one writer for its type and format; a row is then a run over the
//! writers. No value becomes an object on its way. `number` and `base::moments` hold the formats of values,
//! `text` and `binary` choose the writers, `nested` does arrays and JSON.

mod binary;
mod nested;
mod number;
mod text;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Field, SchemaRef};
use arrow::record_batch::RecordBatch;
use bytes::{BufMut, BytesMut};

use super::frontend::Format;
use super::types::PgType;
use crate::base::{Error, Result};

pub(crate) use crate::base::moments::{EPOCH_DAYS, EPOCH_MICROS, Zone};
pub(crate) use number::numeric_from_binary;

/// Writes the value of a row that is not null.
type Writer = Box<dyn Fn(usize, &mut BytesMut) -> Result<()> + Send + Sync>;

/// Writes the rows of one batch.
pub(crate) struct RowWriter {
    columns: Vec<Column>,
    count: u16,
    rows: usize,
}

struct Column {
    nulls: Option<NullBuffer>,
    write: Writer,
}

impl RowWriter {
    /// A writer for a batch of the promised schema.
    ///
    /// # Errors
    /// When the batch is not of that schema, or a type cannot be written.
    pub(crate) fn new(
        batch: &RecordBatch,
        schema: &SchemaRef,
        formats: &[Format],
        zone: &Zone,
    ) -> Result<Self> {
        let fields = schema.fields();
        if batch.num_columns() != fields.len() {
            return Err(Error::internal(format!(
                "a batch has {} columns where {} were described",
                batch.num_columns(),
                fields.len()
            )));
        }
        let mut columns = Vec::with_capacity(fields.len());
        for (index, (array, field)) in batch.columns().iter().zip(fields).enumerate() {
            let array = as_described(array, field)?;
            let write = match Format::of(formats, index) {
                Format::Text => text::writer(&array, field, zone)?,
                Format::Binary => binary::writer(&array, field)?,
            };
            columns.push(Column {
                nulls: array.logical_nulls(),
                write,
            });
        }
        let count = u16::try_from(columns.len())
            .map_err(|_| Error::limit("a result has too many columns"))?;
        Ok(Self {
            columns,
            count,
            rows: batch.num_rows(),
        })
    }

    /// How many rows there are.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Appends the body of the DataRow of one row.
    ///
    /// # Errors
    /// When a value has no form in PostgreSQL's type.
    pub(crate) fn write(&self, row: usize, out: &mut BytesMut) -> Result<()> {
        out.put_u16(self.count);
        for column in &self.columns {
            let null = column
                .nulls
                .as_ref()
                .is_some_and(|nulls| nulls.is_null(row));
            value(null, out, |out| (column.write)(row, out))?;
        }
        Ok(())
    }
}

/// Appends a value with its length before it.
fn value(
    null: bool,
    out: &mut BytesMut,
    write: impl FnOnce(&mut BytesMut) -> Result<()>,
) -> Result<()> {
    if null {
        out.put_i32(-1);
        return Ok(());
    }
    let start = out.len();
    out.put_i32(0);
    write(out)?;
    let length = i32::try_from(out.len() - start - 4)
        .map_err(|_| Error::limit("a value is longer than 2 GiB"))?;
    if let Some(place) = out.get_mut(start..start + 4) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    Ok(())
}

/// The array, cast if its type would be told as another one than was described.
fn as_described(array: &ArrayRef, field: &Field) -> Result<ArrayRef> {
    let told = PgType::of(field);
    let plain = match array.data_type() {
        DataType::RunEndEncoded(_, values) => values.data_type(),
        same => same,
    };
    if plain == array.data_type()
        && (plain == field.data_type() || PgType::of_data(plain).oid == told.oid)
    {
        return Ok(ArrayRef::clone(array));
    }
    let wanted = match field.data_type() {
        DataType::RunEndEncoded(_, values) => values.data_type(),
        wanted => wanted,
    };
    Ok(arrow::compute::cast(array, wanted)?)
}

/// A writer over the values of a primitive array.
fn primitive<T, F>(array: &dyn Array, write: F) -> Result<Writer>
where
    T: ArrowPrimitiveType,
    T::Native: Send + Sync,
    F: Fn(T::Native, &mut BytesMut) -> Result<()> + Send + Sync + 'static,
{
    let values = array
        .as_primitive_opt::<T>()
        .ok_or_else(|| mistyped(array))?
        .clone();
    Ok(Box::new(move |row, out| write(values.value(row), out)))
}

/// A writer over the bytes of a text or bytea array.
fn bytes<F>(array: &ArrayRef, write: F) -> Result<Writer>
where
    F: Fn(&[u8], &mut BytesMut) + Send + Sync + 'static,
{
    let wrong = || mistyped(array);
    macro_rules! over {
        ($cast:ident :: <$type:ty>) => {{
            let values = array.$cast::<$type>().ok_or_else(wrong)?.clone();
            Ok(Box::new(move |row, out: &mut BytesMut| {
                write(values.value(row).as_ref(), out);
                Ok(())
            }))
        }};
    }
    match array.data_type() {
        DataType::Utf8 => over!(as_string_opt::<i32>),
        DataType::LargeUtf8 => over!(as_string_opt::<i64>),
        DataType::Binary => over!(as_binary_opt::<i32>),
        DataType::LargeBinary => over!(as_binary_opt::<i64>),
        DataType::Utf8View => {
            let values = array.as_string_view_opt().ok_or_else(wrong)?.clone();
            Ok(Box::new(move |row, out| {
                write(values.value(row).as_bytes(), out);
                Ok(())
            }))
        }
        DataType::BinaryView => {
            let values = array.as_binary_view_opt().ok_or_else(wrong)?.clone();
            Ok(Box::new(move |row, out| {
                write(values.value(row), out);
                Ok(())
            }))
        }
        DataType::FixedSizeBinary(_) => {
            let values = array.as_fixed_size_binary_opt().ok_or_else(wrong)?.clone();
            Ok(Box::new(move |row, out| {
                write(values.value(row), out);
                Ok(())
            }))
        }
        _ => Err(wrong()),
    }
}

/// A writer over a dictionary, by the writer of its values.
fn dictionary(
    array: &ArrayRef,
    writer: impl FnOnce(&ArrayRef) -> Result<Writer>,
) -> Result<Writer> {
    let dictionary = array
        .as_any_dictionary_opt()
        .ok_or_else(|| mistyped(array))?;
    let keys = dictionary.normalized_keys();
    let write = writer(dictionary.values())?;
    Ok(Box::new(move |row, out| match keys.get(row) {
        Some(key) => write(*key, out),
        None => Ok(()),
    }))
}

fn mistyped(array: &dyn Array) -> Error {
    Error::internal(format!(
        "an array is not of its own type {}",
        array.data_type()
    ))
}

#[cfg(test)]
mod tests;
