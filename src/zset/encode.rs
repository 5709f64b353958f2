//! Deltas as bytes: one Arrow IPC record batch without its schema, and the weights.
//!
//! | bytes | what |
//! |---|---|
//! | 1 | format, 1 |
//! | 1 | 1 when weights follow, else 0 (every row counts +1) |
//! | 2 | 0 |
//! | 4 | rows |
//! | 4 | length of the message; the padding that Arrow gives it may be counted |
//! | 4 | length of the body, in units of 16 bytes |
//! | .. | the IPC message, padded to 16 bytes |
//! | .. | the IPC body, not compressed (the log compresses), padded to 16 bytes |
//! | 8 a row | weights, when there are any |
//!
//! All numbers are little-endian. Dictionary columns are written plain.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::buffer::Buffer;
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{IpcWriteOptions, StreamEncoder};
use arrow::ipc::{Message, MetadataVersion, root_as_message};
use bytes::Bytes;

use super::delta::{Delta, Weights, batch_of};
use crate::base::{Error, Result};

const FORMAT: u8 = 1;
const HEADER: usize = 16;
/// Everything begins at a multiple of this, so that a reader need not copy to align.
const ALIGN: usize = 16;
/// A buffer of fewer bytes is copied: a piece of its own would cost as much.
const SHARED_BYTES: usize = 4096;

/// The bytes of `delta`, in pieces that follow one another. Large columns are not copied: their pieces share the columns' memory.
///
/// # Errors
/// When it is too large for the format (2^32 rows, 64 GiB).
pub fn encode_delta(delta: &Delta) -> Result<Vec<Bytes>> {
    let batch = plain_batch(delta.batch())?;
    let options = IpcWriteOptions::try_new(ALIGN, false, MetadataVersion::V5)?;
    let mut encoder = StreamEncoder::try_new_with_options(&batch.schema(), options)?;
    // the schema goes ahead of the first batch, and is not kept
    encoder.encode(&RecordBatch::new_empty(batch.schema()))?;
    let encoded = encoder.encode(&batch)?;
    let (prefix, encoded) = encoded
        .split_first()
        .ok_or_else(|| Error::internal("a batch became no message"))?;
    let message = message_length(prefix)?;
    let total = encoded.iter().map(Buffer::len).sum::<usize>();
    let body = total
        .checked_sub(message)
        .filter(|body| body.is_multiple_of(ALIGN))
        .ok_or_else(|| Error::internal("a message whose lengths do not add up"))?;
    let weights = match delta.weights() {
        Weights::Ones => None,
        Weights::Each(weights) => Some(weights),
    };
    let mut pieces = Pieces::default();
    pieces.copy(&[FORMAT, u8::from(weights.is_some()), 0, 0]);
    pieces.copy(&length(delta.rows())?.to_le_bytes());
    pieces.copy(&length(message)?.to_le_bytes());
    pieces.copy(&length(body / ALIGN)?.to_le_bytes());
    let mut left = message;
    for buffer in encoded {
        pieces.share(buffer);
        if left > 0 {
            left = left.saturating_sub(buffer.len());
            if left == 0 {
                pieces.copy(&[0; ALIGN][..message.next_multiple_of(ALIGN) - message]);
            }
        }
    }
    if let Some(weights) = weights {
        pieces.share(weights.values().inner());
    }
    Ok(pieces.finish())
}

/// The length of an IPC message, its padding included, as the bytes before it tell.
fn message_length(prefix: &[u8]) -> Result<usize> {
    let length = prefix
        .last_chunk::<4>()
        .map(|bytes| u32::from_le_bytes(*bytes));
    let length = length.filter(|_| prefix.len() == 8);
    length
        .and_then(|length| usize::try_from(length).ok())
        .ok_or_else(|| Error::internal("a message without its length"))
}

/// Bytes in pieces: small ones are put together, large ones stay where they are.
#[derive(Default)]
struct Pieces {
    done: Vec<Bytes>,
    small: Vec<u8>,
}

impl Pieces {
    fn copy(&mut self, bytes: &[u8]) {
        self.small.extend_from_slice(bytes);
    }

    fn share(&mut self, buffer: &Buffer) {
        if buffer.len() < SHARED_BYTES {
            return self.copy(buffer);
        }
        self.end();
        self.done.push(Bytes::from_owner(Shared(buffer.clone())));
    }

    fn end(&mut self) {
        if !self.small.is_empty() {
            self.done.push(Bytes::from(std::mem::take(&mut self.small)));
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.end();
        self.done
    }
}

/// A buffer of a column, as the owner of its bytes.
struct Shared(Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// The delta of `bytes`, which [`encode_delta`] made from one of the same schema. Bytes from
/// anywhere else are refused or read as some delta, but never do harm.
///
/// # Errors
/// When the bytes are damaged or of another schema.
pub fn decode_delta(schema: &SchemaRef, bytes: &[u8]) -> Result<Delta> {
    // The lengths are checked below, before anything is read by them. Arrow still asserts here and
    // there about what a message says, so a panic in it counts as damage too.
    match std::panic::catch_unwind(AssertUnwindSafe(|| decode(schema, bytes))) {
        Ok(result) => result,
        Err(_) => Err(damaged("a message that contradicts itself")),
    }
}

fn decode(schema: &SchemaRef, bytes: &[u8]) -> Result<Delta> {
    let (header, rest) = bytes
        .split_first_chunk::<HEADER>()
        .ok_or_else(|| damaged("fewer bytes than a header"))?;
    let [format, weighted, 0, 0, lengths @ ..] = header else {
        return Err(damaged("an unknown header"));
    };
    if *format != FORMAT || *weighted > 1 {
        return Err(damaged("an unknown format"));
    }
    let lengths: [u32; 3] = std::array::from_fn(|index| {
        let mut number = [0; 4];
        number.copy_from_slice(&lengths[index * 4..index * 4 + 4]);
        u32::from_le_bytes(number)
    });
    let [rows, message, body] = lengths.map(|length| usize::try_from(length).unwrap_or(usize::MAX));
    let body_at = message.checked_next_multiple_of(ALIGN);
    let weights_at = body_at.and_then(|at| at.checked_add(body.checked_mul(ALIGN)?));
    let end = weights_at.and_then(|at| {
        at.checked_add(if *weighted == 1 {
            rows.checked_mul(8)?
        } else {
            0
        })
    });
    let (Some(body_at), Some(weights_at), Some(end)) = (body_at, weights_at, end) else {
        return Err(damaged("lengths past all bounds"));
    };
    if end != rest.len() {
        return Err(damaged("lengths that do not add up"));
    }
    // One copy into aligned memory, which the columns then share.
    let buffer = Buffer::from(rest);
    let body = buffer.slice_with_length(body_at, weights_at - body_at);
    let batch = read_batch(schema, &buffer[..message], &body, rows)?;
    if *weighted == 0 {
        return Ok(Delta::inserts(batch));
    }
    let (weights, _) = rest[weights_at..].as_chunks::<8>();
    Delta::new(
        batch,
        weights
            .iter()
            .map(|weight| i64::from_le_bytes(*weight))
            .collect::<Int64Array>(),
    )
}

fn read_batch(
    schema: &SchemaRef,
    message: &[u8],
    body: &Buffer,
    rows: usize,
) -> Result<RecordBatch> {
    let message = root_as_message(message).map_err(|_| damaged("a malformed message"))?;
    let header = checked_header(&message, body.len(), rows)?;
    let plain = plain_schema(schema);
    let version = message.version();
    let batch = read_record_batch(
        body,
        header,
        Arc::clone(&plain),
        &HashMap::new(),
        None,
        &version,
    )
    .map_err(|error| damaged(&error.to_string()))?;
    if Arc::ptr_eq(&plain, schema) {
        return Ok(batch);
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| Ok(cast(column, field.data_type())?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    batch_of(schema, columns, batch.num_rows())
}

/// The message's record batch, when every length in it lies inside the body.
fn checked_header<'a>(
    message: &Message<'a>,
    body: usize,
    rows: usize,
) -> Result<arrow::ipc::RecordBatch<'a>> {
    let header = message
        .header_as_record_batch()
        .ok_or_else(|| damaged("a message of another kind"))?;
    if message.version() != MetadataVersion::V5 || header.compression().is_some() {
        return Err(damaged("a message of another version"));
    }
    if usize::try_from(header.length()) != Ok(rows) {
        return Err(damaged("a message of another number of rows"));
    }
    for buffer in header.buffers().into_iter().flatten() {
        let end = buffer
            .offset()
            .checked_add(buffer.length())
            .filter(|_| buffer.offset() >= 0 && buffer.length() >= 0);
        if end
            .and_then(|end| usize::try_from(end).ok())
            .is_none_or(|end| end > body)
        {
            return Err(damaged("a buffer outside of the body"));
        }
    }
    for node in header.nodes().into_iter().flatten() {
        if node.length() < 0 || !(0..=node.length()).contains(&node.null_count()) {
            return Err(damaged("a column of impossible length"));
        }
    }
    let buffers = header.buffers().map_or(0, |buffers| buffers.len());
    for count in header.variadicBufferCounts().into_iter().flatten() {
        if usize::try_from(count).is_ok_and(|count| count <= buffers) {
            continue;
        }
        return Err(damaged("a column of impossible width"));
    }
    Ok(header)
}

/// `batch` without dictionaries at the top.
fn plain_batch(batch: &RecordBatch) -> Result<RecordBatch> {
    let schema = batch.schema();
    let plain = plain_schema(&schema);
    if Arc::ptr_eq(&plain, &schema) {
        return Ok(batch.clone());
    }
    let columns = batch
        .columns()
        .iter()
        .zip(plain.fields())
        .map(|(column, field)| Ok(cast(column, field.data_type())?))
        .collect::<Result<Vec<ArrayRef>>>()?;
    batch_of(&plain, columns, batch.num_rows())
}

fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let is_dictionary =
        |field: &Arc<Field>| matches!(field.data_type(), DataType::Dictionary(_, _));
    if !schema.fields().iter().any(is_dictionary) {
        return Arc::clone(schema);
    }
    let fields: Vec<Arc<Field>> = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Dictionary(_, values) => Arc::new(
                field
                    .as_ref()
                    .clone()
                    .with_data_type(values.as_ref().clone()),
            ),
            _ => Arc::clone(field),
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn length(value: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| Error::limit("a delta is too large to be stored in one piece"))
}

fn damaged(what: &str) -> Error {
    Error::corrupt(format!("the bytes of a delta hold {what}"))
}
