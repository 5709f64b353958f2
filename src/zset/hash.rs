//! Row hashes: a fast one that lives in memory only, and a pinned one that may be stored.

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use arrow::row::{RowConverter, SortField};
use datafusion::common::hash_utils::{RandomState, create_hashes};
use xxhash_rust::xxh3::xxh3_64;

use super::canonical::canonical;
use crate::base::{Error, Result};

/// Hashes every row of `columns` into `hashes`, which becomes `rows` long. Equal rows hash alike
/// when the floats are canonical. The function may change with a library: never store these.
///
/// # Errors
/// When a column's type cannot be hashed.
pub fn row_hashes(columns: &[ArrayRef], rows: usize, hashes: &mut Vec<u64>) -> Result<()> {
    hashes.clear();
    hashes.resize(rows, 0);
    create_hashes(columns, &RandomState::with_seed(0), hashes)?;
    // The table takes its seven tag bits from the top, and a product leaves the low bits weak.
    for hash in hashes.iter_mut() {
        *hash ^= *hash >> 32;
    }
    Ok(())
}

/// Hashes every row of `columns` by xxh3 (64 bits, seed 0) over canonical bytes. Pinned for ever:
/// partitions of a topic are chosen by it.
///
/// The bytes of a value: a tag 0 for NULL, else 1 and the value. Booleans are one byte; integers
/// of any width, dates, times and timestamps are their value in 16 little-endian bytes (so a
/// widened column keeps its partitions); floats are the eight little-endian bytes of the double;
/// decimals are 16 bytes of the value and one of the scale; text and binary are their length in
/// eight little-endian bytes and the bytes. Other types take Arrow's row format, behind its length.
///
/// # Errors
/// When a column's type has no canonical bytes.
pub fn partition_hashes(columns: &[ArrayRef], rows: usize) -> Result<Vec<u64>> {
    let mut buffers: Vec<Vec<u8>> = vec![Vec::new(); rows];
    for column in columns {
        append_bytes(&canonical(column)?, &mut buffers)?;
    }
    Ok(buffers.iter().map(|bytes| xxh3_64(bytes)).collect())
}

fn append_bytes(column: &ArrayRef, rows: &mut [Vec<u8>]) -> Result<()> {
    use arrow::datatypes as t;
    match column.data_type() {
        DataType::Boolean => append(rows, column.as_boolean().iter(), |bytes, value| {
            bytes.push(u8::from(value));
        }),
        DataType::Decimal128(_, scale) => {
            let scale = scale.to_le_bytes();
            append(
                rows,
                column.as_primitive::<t::Decimal128Type>().iter(),
                |bytes, value| {
                    bytes.extend_from_slice(&value.to_le_bytes());
                    bytes.extend_from_slice(&scale);
                },
            );
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let column = cast(column, &DataType::Float64)?;
            append(
                rows,
                column.as_primitive::<t::Float64Type>().iter(),
                |bytes, value| {
                    bytes.extend_from_slice(&value.to_bits().to_le_bytes());
                },
            );
        }
        DataType::UInt64 => {
            append(
                rows,
                column.as_primitive::<t::UInt64Type>().iter(),
                |bytes, value| {
                    bytes.extend_from_slice(&i128::from(value).to_le_bytes());
                },
            );
        }
        number if number.is_integer() || number.is_temporal() && cast_to_i64(number) => {
            let column = cast(column, &DataType::Int64)?;
            append(
                rows,
                column.as_primitive::<t::Int64Type>().iter(),
                |bytes, value| {
                    bytes.extend_from_slice(&i128::from(value).to_le_bytes());
                },
            );
        }
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 => {
            let column = cast(column, &DataType::LargeUtf8)?;
            append(rows, column.as_string::<i64>().iter(), |bytes, value| {
                append_sized(bytes, value.as_bytes());
            });
        }
        DataType::Binary | DataType::BinaryView | DataType::LargeBinary => {
            let column = cast(column, &DataType::LargeBinary)?;
            append(rows, column.as_binary::<i64>().iter(), append_sized);
        }
        DataType::Dictionary(_, values) => append_bytes(&cast(column, values)?, rows)?,
        other => {
            let converter =
                RowConverter::new(vec![SortField::new(other.clone())]).map_err(|_| {
                    Error::unsupported(format!("cannot partition by a column of {other}"))
                })?;
            let encoded = converter.convert_columns(std::slice::from_ref(column))?;
            for (bytes, row) in rows.iter_mut().zip(encoded.iter()) {
                append_sized(bytes, row.as_ref());
            }
        }
    }
    Ok(())
}

/// Whether Arrow casts this temporal type to its integer without changing it.
fn cast_to_i64(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Duration(_)
    )
}

fn append<T>(
    rows: &mut [Vec<u8>],
    values: impl Iterator<Item = Option<T>>,
    write: impl Fn(&mut Vec<u8>, T),
) {
    for (bytes, value) in rows.iter_mut().zip(values) {
        match value {
            None => bytes.push(0),
            Some(value) => {
                bytes.push(1);
                write(bytes, value);
            }
        }
    }
}

fn append_sized(bytes: &mut Vec<u8>, value: &[u8]) {
    let length = u64::try_from(value.len()).unwrap_or(u64::MAX);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(value);
}
