//! Rows as COPY TO sends them, in PostgreSQL's text and CSV formats.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::Schema;
use bytes::Bytes;

use super::pg_text::{TextStyle, write_value};
use crate::base::Result;
use crate::base::copy_options::{CopyFormat, CopyOptions};

/// Encodes batches, one after the other, into one COPY stream or CSV file.
#[derive(Clone, Debug)]
pub struct CopyEncoder {
    options: CopyOptions,
    style: TextStyle,
}

impl CopyEncoder {
    /// An encoder for COPY TO.
    pub fn new(options: CopyOptions) -> Self {
        Self {
            options,
            style: TextStyle::Postgres,
        }
    }

    /// An encoder for CSV files with a header: NULL is an empty cell, an empty text is `""`.
    pub fn csv_file() -> Self {
        let options = CopyOptions {
            header: true,
            ..CopyOptions::csv()
        };
        Self {
            options,
            style: TextStyle::Plain,
        }
    }

    /// The header line; empty without the option HEADER.
    pub fn header(&self, schema: &Schema) -> Bytes {
        if !self.options.header {
            return Bytes::new();
        }
        let mut out = String::new();
        for (index, field) in schema.fields().iter().enumerate() {
            self.separate(index, &mut out);
            self.push(field.name(), false, schema.fields().len() == 1, &mut out);
        }
        out.push('\n');
        Bytes::from(out)
    }

    /// The lines of a batch.
    ///
    /// # Errors
    /// When a value cannot be shown.
    pub fn encode(&self, batch: &RecordBatch) -> Result<Bytes> {
        let mut out = String::with_capacity(batch.num_rows() * batch.num_columns() * 8);
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            for (index, column) in batch.columns().iter().enumerate() {
                self.separate(index, &mut out);
                if column.is_null(row) {
                    out.push_str(&self.options.null);
                    continue;
                }
                text.clear();
                write_value(column, row, self.style, &mut text)?;
                self.push(
                    &text,
                    self.options.force_quote,
                    batch.num_columns() == 1,
                    &mut out,
                );
            }
            out.push('\n');
        }
        Ok(Bytes::from(out))
    }

    fn separate(&self, index: usize, out: &mut String) {
        if index > 0 {
            out.push(char::from(self.options.delimiter));
        }
    }

    fn push(&self, text: &str, force: bool, alone: bool, out: &mut String) {
        match self.options.format {
            CopyFormat::Text => self.push_escaped(text, out),
            CopyFormat::Csv => self.push_csv(text, force, alone, out),
        }
    }

    fn push_escaped(&self, text: &str, out: &mut String) {
        let delimiter = char::from(self.options.delimiter);
        for char in text.chars() {
            match char {
                '\\' => out.push_str("\\\\"),
                '\u{8}' => out.push_str("\\b"),
                '\u{c}' => out.push_str("\\f"),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                '\u{b}' => out.push_str("\\v"),
                other if other == delimiter => {
                    out.push('\\');
                    out.push(other);
                }
                other => out.push(other),
            }
        }
    }

    fn push_csv(&self, text: &str, force: bool, alone: bool, out: &mut String) {
        let (quote, escape) = (
            char::from(self.options.quote),
            char::from(self.options.escape),
        );
        let delimiter = char::from(self.options.delimiter);
        let special = |c: char| c == delimiter || c == quote || c == '\n' || c == '\r';
        // A line of `\.` alone would end the stream for some readers.
        let marker = alone && text == "\\.";
        let edge = text.starts_with(' ') || text.ends_with(' ');
        if !force && text != self.options.null && !marker && !edge && !text.contains(special) {
            out.push_str(text);
            return;
        }
        out.push(quote);
        for char in text.chars() {
            if char == quote || char == escape {
                out.push(escape);
            }
            out.push(char);
        }
        out.push(quote);
    }
}
