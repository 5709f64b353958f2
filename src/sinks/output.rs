//! Writes batches as CSV, NDJSON or Parquet to anything that takes bytes: sinks and the results of the
//! command line.

use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::json::writer::LineDelimited;
use arrow::json::{Writer as JsonWriter, WriterBuilder};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::{Compression, ZstdLevel};
use datafusion::parquet::errors::ParquetError;
use datafusion::parquet::file::properties::WriterProperties;

use super::encode::CopyEncoder;
use crate::base::{Error, Result};

/// The format of a file that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputFormat {
    /// CSV with a header; NULL is an empty cell, an empty text is `""`.
    Csv,
    /// One JSON object a line; NULL is `null`. A NaN or infinite float, which JSON lacks, is `null` too.
    Ndjson,
    /// Apache Parquet, compressed with Zstandard.
    Parquet,
}

impl OutputFormat {
    /// The format called `name`, or that a file with that ending has.
    ///
    /// # Errors
    /// When it is none of the known ones.
    pub fn from_name(name: &str) -> Result<Self> {
        let lower = name.to_ascii_lowercase();
        match lower.rsplit('.').next().unwrap_or_default() {
            "csv" => Ok(Self::Csv),
            "ndjson" | "jsonl" | "json" => Ok(Self::Ndjson),
            "parquet" => Ok(Self::Parquet),
            _ => Err(Error::invalid(format!("\"{name}\" names no output format"))
                .with_hint("one of csv, ndjson, parquet")),
        }
    }
}

/// Writes batches of one schema in one format.
pub struct BatchWriter<W: Write + Send> {
    inner: Inner<W>,
    rows: u64,
}

enum Inner<W: Write + Send> {
    Csv(W, CopyEncoder),
    Ndjson(JsonWriter<W, LineDelimited>),
    Parquet(Box<ArrowWriter<W>>),
}

impl<W: Write + Send> std::fmt::Debug for BatchWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchWriter")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl<W: Write + Send> BatchWriter<W> {
    /// Starts to write: a CSV header is written at once.
    ///
    /// # Errors
    /// When `out` fails, or the format cannot hold a type of the schema.
    pub fn new(format: OutputFormat, schema: &SchemaRef, mut out: W) -> Result<Self> {
        let inner = match format {
            OutputFormat::Csv => {
                let encoder = CopyEncoder::csv_file();
                out.write_all(&encoder.header(schema))
                    .map_err(|error| failed(&error))?;
                Inner::Csv(out, encoder)
            }
            OutputFormat::Ndjson => {
                Inner::Ndjson(WriterBuilder::new().with_explicit_nulls(true).build(out))
            }
            OutputFormat::Parquet => {
                let level = ZstdLevel::try_new(3).map_err(parquet)?;
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(level))
                    .build();
                let writer = ArrowWriter::try_new(out, SchemaRef::clone(schema), Some(properties));
                Inner::Parquet(Box::new(writer.map_err(parquet)?))
            }
        };
        Ok(Self { inner, rows: 0 })
    }

    /// Writes the rows of a batch.
    ///
    /// # Errors
    /// When the output fails or a value cannot be written.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match &mut self.inner {
            Inner::Csv(out, encoder) => {
                out.write_all(&encoder.encode(batch)?)
                    .map_err(|error| failed(&error))?;
            }
            Inner::Ndjson(writer) => writer.write(batch)?,
            Inner::Parquet(writer) => writer.write(batch).map_err(parquet)?,
        }
        self.rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        Ok(())
    }

    /// Ends the file: returns the output and the number of rows written.
    ///
    /// # Errors
    /// When the output fails.
    pub fn finish(self) -> Result<(W, u64)> {
        let mut out = match self.inner {
            Inner::Csv(out, _) => out,
            Inner::Ndjson(mut writer) => {
                writer.finish()?;
                writer.into_inner()
            }
            Inner::Parquet(writer) => writer.into_inner().map_err(parquet)?,
        };
        out.flush().map_err(|error| failed(&error))?;
        Ok((out, self.rows))
    }
}

fn failed(error: &std::io::Error) -> Error {
    Error::io("write the output", error)
}

fn parquet(error: ParquetError) -> Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<std::io::Error>() {
            Ok(error) => failed(&error),
            Err(other) => Error::invalid(format!("could not write Parquet: {other}")),
        },
        other => Error::invalid(format!("could not write Parquet: {other}")),
    }
}
