//! Results and errors as people and programs read them.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::util::display::FormatOptions;
use arrow::util::pretty::pretty_format_batches_with_options;
use datafusion::parquet::arrow::ArrowWriter;

use super::Format;
use crate::base::{Error, Result};

/// Rows that a table for people shows; more are counted.
const TABLE_ROWS: usize = 1_000;

/// Prints an error as PostgreSQL's clients do.
#[expect(clippy::print_stderr, reason = "this is the terminal")]
pub(crate) fn complain(error: &Error) {
    eprintln!("ERROR: {error}");
}

/// Prints a line for people, on standard error, so that results stay clean.
#[expect(clippy::print_stderr, reason = "this is the terminal")]
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

/// Prints a result that is text.
pub(crate) fn put(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        // whoever reads may stop early, as head does
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::io("write to standard output", &error)),
    }
}

/// Writes rows to standard output.
pub(crate) fn print(schema: &SchemaRef, batches: &[RecordBatch], format: Format) -> Result<()> {
    if format == Format::Parquet && std::io::stdout().is_terminal() {
        return Err(Error::invalid("parquet is not for a terminal").with_hint("add --out FILE"));
    }
    let mut out = std::io::BufWriter::new(std::io::stdout());
    write(&mut out, schema, batches, format)?;
    match out.flush() {
        // whoever reads may stop early, as head does
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Error::io("write to standard output", &error)),
    }
}

/// Writes rows to a file, whole or not at all.
pub(crate) fn save(
    path: &Path,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    format: Format,
) -> Result<()> {
    let temporary = path.with_extension("partial");
    let io = |error: std::io::Error| Error::io(format!("write {}", path.display()), &error);
    let file = std::fs::File::create(&temporary).map_err(io)?;
    let mut out = std::io::BufWriter::new(file);
    write(&mut out, schema, batches, format)?;
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&temporary, path).map_err(io)
}

fn write(
    out: &mut (impl Write + Send),
    schema: &SchemaRef,
    batches: &[RecordBatch],
    format: Format,
) -> Result<()> {
    match format {
        Format::Table => write_table(out, schema, batches),
        Format::Csv => {
            let mut writer = arrow::csv::WriterBuilder::new()
                .with_header(true)
                .build(out);
            if batches.is_empty() {
                writer.write(&RecordBatch::new_empty(Arc::clone(schema)))?;
            }
            for batch in batches {
                writer.write(batch)?;
            }
            Ok(())
        }
        Format::Ndjson => {
            let mut writer = arrow::json::WriterBuilder::new()
                .with_explicit_nulls(true)
                .build::<_, arrow::json::writer::LineDelimited>(out);
            for batch in batches {
                writer.write(batch)?;
            }
            Ok(writer.finish()?)
        }
        Format::Parquet => {
            let mut writer = ArrowWriter::try_new(out, Arc::clone(schema), None)
                .map_err(|error| Error::invalid(error.to_string()))?;
            for batch in batches {
                writer
                    .write(batch)
                    .map_err(|error| Error::invalid(error.to_string()))?;
            }
            writer
                .close()
                .map_err(|error| Error::invalid(error.to_string()))?;
            Ok(())
        }
    }
}

fn write_table(out: &mut impl Write, schema: &SchemaRef, batches: &[RecordBatch]) -> Result<()> {
    let total: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut shown = Vec::new();
    let mut room = TABLE_ROWS;
    for batch in batches {
        let take = batch.num_rows().min(room);
        shown.push(batch.slice(0, take));
        room -= take;
    }
    if shown.is_empty() {
        shown.push(RecordBatch::new_empty(Arc::clone(schema)));
    }
    let options = FormatOptions::default().with_null("");
    let table = pretty_format_batches_with_options(&shown, &options)?;
    let io = |error: std::io::Error| Error::io("write the table", &error);
    match writeln!(out, "{table}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        other => other.map_err(io)?,
    }
    let more = if total > TABLE_ROWS {
        format!(", {TABLE_ROWS} shown")
    } else {
        String::new()
    };
    let s = if total == 1 { "" } else { "s" };
    writeln!(out, "({total} row{s}{more})").or_else(|error| {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Ok(())
        } else {
            Err(io(error))
        }
    })
}
