//! Decodes a body that a client pushed: NDJSON, CSV or an Arrow IPC stream.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::ipc::reader::StreamReader;
use bytes::Bytes;
use datafusion::common::ScalarValue;

use super::decode::{CsvDialect, TextFormat, TextReader, TextSplitter, header_of};
use super::quarantine::Quarantine;
use crate::base::{Error, Kind, Result};

/// The format of a pushed body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushFormat {
    /// CSV with a header line.
    Csv,
    /// One JSON object a line; a missing key is the column's default.
    Ndjson,
    /// An Arrow IPC stream; columns are found by name.
    ArrowIpc,
}

/// What a body is decoded into.
#[derive(Clone, Copy, Debug)]
pub struct PushedRows<'a> {
    /// Where the rows go.
    pub topic: &'a str,
    /// Its columns.
    pub schema: &'a SchemaRef,
    /// By column, the value that a row has where it gives none: arrays of one row.
    pub defaults: &'a BTreeMap<usize, ArrayRef>,
}

/// Decodes `body` into rows. Bad records of text formats go to `quarantine` as from the topic,
/// with the place `body:LINE`.
///
/// # Errors
/// When the body as a whole cannot be read: a CSV header without a column, a damaged IPC stream, a column of
/// it with a type that does not fit.
pub fn decode_push(
    format: PushFormat,
    body: Bytes,
    rows: &PushedRows<'_>,
    quarantine: &dyn Quarantine,
) -> Result<Vec<RecordBatch>> {
    let format = match format {
        PushFormat::ArrowIpc => return ipc(body, rows),
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
    // A missing key is a matter of each row; a missing column of CSV is one of the whole body.
    let given = match &format {
        TextFormat::Csv { dialect, .. } => {
            let header = header_of(&body, *dialect);
            rows.columns(|column, name| {
                let named = header.iter().any(|field| field.eq_ignore_ascii_case(name));
                named || !rows.defaults.contains_key(&column)
            })
        }
        TextFormat::Ndjson { .. } => rows.columns(|_, _| true),
    };
    let schema = Arc::new(rows.schema.project(&given)?);
    let missing = if given.len() == rows.schema.fields().len() {
        rows.texts()?
    } else {
        Vec::new()
    };
    let splitter =
        TextSplitter::new(format, rows.topic, "body", &schema, None).with_missing(missing);
    let mut reader = TextReader::new(Cursor::new(body), splitter);
    let mut batches = Vec::new();
    while let Some(cells) = reader.next_cells()? {
        let batch = reader.splitter().read(&cells, quarantine)?;
        if batch.num_rows() > 0 {
            batches.push(rows.widen(&batch, &given)?);
        }
    }
    Ok(batches)
}

impl PushedRows<'_> {
    fn columns(&self, wanted: impl Fn(usize, &str) -> bool) -> Vec<usize> {
        let fields = self.schema.fields().iter().enumerate();
        fields
            .filter(|(column, field)| wanted(*column, field.name()))
            .map(|(column, _)| column)
            .collect()
    }

    /// The defaults as cells are written: column, text, and whether it stands in quotes.
    fn texts(&self) -> Result<Vec<(usize, Vec<u8>, bool)>> {
        let mut texts = Vec::new();
        for (column, value) in self.defaults {
            if value.is_null(0) {
                continue;
            }
            let text = cast_with_options(value, &DataType::Utf8, &strict())?;
            let text = text.as_string::<i32>().value(0).as_bytes().to_vec();
            let data_type = value.data_type();
            let quoted = !data_type.is_numeric() && *data_type != DataType::Boolean;
            texts.push((*column, text, quoted));
        }
        Ok(texts)
    }

    fn default(&self, column: usize, rows: usize) -> Result<ArrayRef> {
        match self.defaults.get(&column) {
            Some(value) => Ok(ScalarValue::try_from_array(value, 0)?.to_array_of_size(rows)?),
            None => Ok(new_null_array(self.schema.field(column).data_type(), rows)),
        }
    }

    /// The batch, whose columns are `given`, with the defaults of the others.
    fn widen(&self, batch: &RecordBatch, given: &[usize]) -> Result<RecordBatch> {
        if given.len() == self.schema.fields().len() {
            return Ok(batch.clone());
        }
        let columns = (0..self.schema.fields().len()).map(|column| {
            match given.iter().position(|from| *from == column) {
                Some(from) => Ok(Arc::clone(batch.column(from))),
                None => self.default(column, batch.num_rows()),
            }
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(Arc::clone(self.schema), columns)?)
    }
}

/// A value that does not fit is an error.
fn strict() -> CastOptions<'static> {
    CastOptions {
        safe: false,
        ..CastOptions::default()
    }
}

fn ipc(body: Bytes, rows: &PushedRows<'_>) -> Result<Vec<RecordBatch>> {
    let damaged = |error: arrow::error::ArrowError| {
        Error::new(
            Kind::Invalid,
            "22000",
            format!("the Arrow IPC stream cannot be read: {error}"),
        )
    };
    let reader = StreamReader::try_new(Cursor::new(body), None).map_err(damaged)?;
    let own = reader.schema();
    let mut map = Vec::with_capacity(rows.schema.fields().len());
    for (column, field) in rows.schema.fields().iter().enumerate() {
        let found = own.index_of(field.name()).ok();
        if found.is_none() && !field.is_nullable() && !rows.defaults.contains_key(&column) {
            let text = format!("the stream has no column \"{}\"", field.name());
            return Err(Error::new(Kind::Invalid, "42703", text));
        }
        map.push(found);
    }
    let mut batches = Vec::new();
    for batch in reader {
        batches.push(conform(&batch.map_err(damaged)?, &map, rows)?);
    }
    Ok(batches)
}

fn conform(
    batch: &RecordBatch,
    map: &[Option<usize>],
    rows: &PushedRows<'_>,
) -> Result<RecordBatch> {
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(map.len());
    for (index, (field, from)) in rows.schema.fields().iter().zip(map).enumerate() {
        let column = match from {
            None => rows.default(index, batch.num_rows())?,
            Some(from) => cast_with_options(batch.column(*from), field.data_type(), &strict())
                .map_err(|error| Error::from(error).at(format!("column \"{}\"", field.name())))?,
        };
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(rows.schema),
        columns,
        &options,
    )?)
}
