//! Decodes a body that a client pushed: NDJSON, CSV or an Arrow IPC stream.

use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;

use super::decode::{CsvDialect, TextFormat, TextReader, TextSplitter};
use super::quarantine::Quarantine;
use crate::base::{Error, Kind, Result};

/// The format of a pushed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushFormat {
    /// CSV with a header line.
    Csv,
    /// One JSON object a line; a missing key is NULL.
    Ndjson,
    /// An Arrow IPC stream; columns are found by name.
    ArrowIpc,
}

/// Decodes `body` into rows of `schema`. Bad records of text formats go to `quarantine` as from `topic`,
/// with the place `body:LINE`.
///
/// # Errors
/// When the body as a whole cannot be read: a CSV header without a column, a damaged IPC stream, a column of
/// it with a type that does not fit.
pub fn decode_push(
    format: PushFormat,
    body: Bytes,
    topic: &str,
    schema: &SchemaRef,
    quarantine: &dyn Quarantine,
) -> Result<Vec<RecordBatch>> {
    let format = match format {
        PushFormat::ArrowIpc => return ipc(body, schema),
        PushFormat::Ndjson => TextFormat::Ndjson { nulls: Vec::new() },
        PushFormat::Csv => {
            let dialect = CsvDialect::default();
            TextFormat::Csv {
                dialect,
                header: true,
                nulls: Vec::new(),
            }
        }
    };
    let splitter = TextSplitter::new(format, topic, "body", schema, None);
    let mut reader = TextReader::new(Cursor::new(body), splitter);
    let mut batches = Vec::new();
    while let Some(cells) = reader.next_cells()? {
        let batch = reader.splitter().read(&cells, quarantine)?;
        if batch.num_rows() > 0 {
            batches.push(batch);
        }
    }
    Ok(batches)
}

fn ipc(body: Bytes, schema: &SchemaRef) -> Result<Vec<RecordBatch>> {
    let damaged = |error: arrow::error::ArrowError| {
        Error::new(
            Kind::Invalid,
            "22000",
            format!("the Arrow IPC stream cannot be read: {error}"),
        )
    };
    let reader = StreamReader::try_new(Cursor::new(body), None).map_err(damaged)?;
    let own = reader.schema();
    let mut map = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let found = own.index_of(field.name()).ok();
        if found.is_none() && !field.is_nullable() {
            let text = format!("the stream has no column \"{}\"", field.name());
            return Err(Error::new(Kind::Invalid, "42703", text));
        }
        map.push(found);
    }
    let mut batches = Vec::new();
    for batch in reader {
        batches.push(conform(&batch.map_err(damaged)?, &map, schema)?);
    }
    Ok(batches)
}

fn conform(batch: &RecordBatch, map: &[Option<usize>], schema: &SchemaRef) -> Result<RecordBatch> {
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(map.len());
    for (field, from) in schema.fields().iter().zip(map) {
        let column = match from {
            None => new_null_array(field.data_type(), batch.num_rows()),
            Some(from) => cast_with_options(batch.column(*from), field.data_type(), &options)
                .map_err(|error| Error::from(error).at(format!("column \"{}\"", field.name())))?,
        };
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}
