//! The one path of CSV and NDJSON: a reader that cuts bytes into blocks of whole records, and a splitter
//! that turns each block into a batch and sends its bad records to the quarantine.

use std::io::Read;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::cells::Cells;
use super::columns::{Layout, Rules, read_batch};
use super::csv::{CsvDialect, MAX_RECORD_BYTES, split_csv};
use super::infer::{SAMPLE_ROWS, infer_cells, infer_lines};
use super::json::{JsonColumns, split_ndjson};
use crate::base::{Error, Result};
use crate::sources::quarantine::{BadRecord, Quarantine};

/// Bytes read at a time: about ten thousand rows of a usual file.
const BLOCK_BYTES: usize = 1 << 20;
/// Rows of a batch at most.
const BLOCK_ROWS: usize = 16_384;
/// Bytes that a schema is inferred from at most.
const SAMPLE_BYTES: usize = 4 << 20;

/// A text format with all that decides how its bytes read.
#[derive(Clone, Debug)]
pub(crate) enum TextFormat {
    Csv {
        dialect: CsvDialect,
        header: bool,
        nulls: Vec<String>,
    },
    Ndjson {
        nulls: Vec<String>,
    },
}

impl TextFormat {
    fn rules(&self) -> Rules {
        let (nulls, quoted_markers) = match self {
            Self::Csv { nulls, .. } => (nulls, false),
            Self::Ndjson { nulls } => (nulls, true),
        };
        Rules {
            nulls: nulls.iter().map(|text| text.as_bytes().to_vec()).collect(),
            empty_is_null: !quoted_markers,
            quoted_markers,
            exact: false,
        }
    }

    /// The schema that a sample of a file called `file` suggests.
    pub(crate) fn infer(&self, file: &str, input: impl Read) -> Result<SchemaRef> {
        let mut sample = Vec::new();
        let cut = u64::try_from(SAMPLE_BYTES).unwrap_or(u64::MAX);
        let mut input = input.take(cut);
        input
            .read_to_end(&mut sample)
            .map_err(|error| Error::io(format!("read {file}"), &error))?;
        let whole = sample.len() < SAMPLE_BYTES;
        if !whole {
            let end = memchr::memrchr(b'\n', &sample).map_or(0, |at| at + 1);
            sample.truncate(end);
        }
        let sample = Bytes::from(sample);
        let start = bom(&sample);
        match self {
            Self::Ndjson { .. } => Ok(infer_lines(&sample[start..], &self.rules())),
            Self::Csv {
                dialect, header, ..
            } => {
                let (first, next) = first_record(&sample, start, *dialect);
                let names = column_names(&first, *header);
                if names.is_empty() {
                    return Err(
                        Error::invalid(format!("{file} is empty, so it shows no columns"))
                            .with_hint("declare the columns of the source"),
                    );
                }
                let mut cells = Cells::new(names.len(), sample);
                let from = if *header { next } else { start };
                split_csv(&mut cells, from, 1, whole, *dialect, SAMPLE_ROWS);
                Ok(infer_cells(&cells, &names, &self.rules()))
            }
        }
    }
}

/// Bytes of a byte-order mark at the start of a file.
fn bom(bytes: &[u8]) -> usize {
    if bytes.starts_with(b"\xEF\xBB\xBF") {
        3
    } else {
        0
    }
}

/// The fields of the first record that is not blank, and the position after it.
fn first_record(bytes: &Bytes, from: usize, dialect: CsvDialect) -> (Vec<String>, usize) {
    let mut from = from;
    while from < bytes.len() {
        // The width is what is asked for here: with no width every record is "bad" but whole.
        let (fields, next) = super::csv::first_fields(bytes, from, dialect);
        if !fields.is_empty() {
            return (fields, next);
        }
        from = next;
    }
    (Vec::new(), from)
}

/// The names in the header of a whole CSV body.
pub(crate) fn header_of(body: &Bytes, dialect: CsvDialect) -> Vec<String> {
    column_names(&first_record(body, bom(body), dialect).0, true)
}

fn column_names(first: &[String], header: bool) -> Vec<String> {
    let mut names: Vec<String> = Vec::with_capacity(first.len());
    for (index, field) in first.iter().enumerate() {
        let field = field.trim();
        let mut name = if header && !field.is_empty() {
            field.to_owned()
        } else {
            format!("column_{}", index + 1)
        };
        while names.contains(&name) {
            name.push_str("_2");
        }
        names.push(name);
    }
    names
}

/// Whole records of a file, in order.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) bytes: Bytes,
    /// The number of the first line.
    pub(crate) line: u64,
    /// Whether the file ends here, so that a record without line end counts.
    pub(crate) last: bool,
}

/// Decodes the blocks of one file in order.
#[derive(Clone, Debug)]
pub(crate) struct TextSplitter {
    format: TextFormat,
    rules: Rules,
    source: String,
    file: String,
    schema: SchemaRef,
    projection: Option<Vec<usize>>,
    missing: Vec<(usize, Vec<u8>, bool)>,
    /// Known from the first block on.
    layout: Option<(Layout, JsonColumns)>,
}

impl TextSplitter {
    /// A decoder for `file` of `source`, whose rows are `schema`, of which `projection` is returned.
    pub(crate) fn new(
        format: TextFormat,
        source: &str,
        file: &str,
        schema: &SchemaRef,
        projection: Option<Vec<usize>>,
    ) -> Self {
        Self {
            rules: format.rules(),
            format,
            source: source.to_owned(),
            file: file.to_owned(),
            schema: Arc::clone(schema),
            projection,
            missing: Vec::new(),
            layout: None,
        }
    }

    /// Gives keys that an NDJSON line does not have these texts: column, text, in quotes or bare.
    pub(crate) fn with_missing(mut self, missing: Vec<(usize, Vec<u8>, bool)>) -> Self {
        self.missing = missing;
        self
    }

    /// Reads the head of a file: the byte-order mark and the header. Returns the position and line after it,
    /// or none when `bytes` does not hold the whole header yet.
    pub(crate) fn open(&mut self, bytes: &Bytes, last: bool) -> Result<Option<(usize, u64)>> {
        let start = bom(bytes);
        let TextFormat::Csv {
            dialect, header, ..
        } = &self.format
        else {
            let columns = JsonColumns::new(&self.schema).with_missing(&self.missing);
            let cells = (0..columns.len()).collect();
            let layout = Layout::new(&self.schema, cells, self.projection.as_deref())?;
            self.layout = Some((layout, columns));
            return Ok(Some((start, 1)));
        };
        if !header {
            let cells = (0..self.schema.fields().len()).collect();
            let layout = Layout::new(&self.schema, cells, self.projection.as_deref())?;
            let width = JsonColumns::from_names(vec![String::new(); self.schema.fields().len()]);
            self.layout = Some((layout, width));
            return Ok(Some((start, 1)));
        }
        let (first, next) = first_record(bytes, start, *dialect);
        let whole = next > start && bytes.get(next - 1) == Some(&b'\n');
        if !whole && !last {
            if bytes.len() > MAX_RECORD_BYTES {
                return Err(Error::invalid(format!(
                    "{}:1: no header in 16 MiB",
                    self.file
                )));
            }
            return Ok(None);
        }
        let names = column_names(&first, true);
        if names.is_empty() {
            if bytes[start..].trim_ascii().is_empty() {
                // An empty file has no rows and no header to miss; one that grows may get both.
                return Ok(last.then_some((bytes.len(), 1)));
            }
            return Err(Error::invalid(format!(
                "{}:1: the header cannot be read",
                self.file
            )));
        }
        let cells = self.map_header(&names)?;
        let layout = Layout::new(&self.schema, cells, self.projection.as_deref())?;
        self.layout = Some((layout, JsonColumns::from_names(names)));
        let lines = memchr::memchr_iter(b'\n', &bytes[..next]).count();
        Ok(Some((next, 1 + u64::try_from(lines).unwrap_or(u64::MAX))))
    }

    fn map_header(&self, names: &[String]) -> Result<Vec<usize>> {
        let find = |wanted: &str| {
            names.iter().position(|name| name == wanted).or_else(|| {
                names
                    .iter()
                    .position(|name| name.eq_ignore_ascii_case(wanted))
            })
        };
        let mut cells = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            match find(field.name()) {
                Some(cell) => cells.push(cell),
                None => {
                    let text = format!("{} has no column \"{}\"", self.file, field.name());
                    return Err(Error::new(crate::base::Kind::Invalid, "42703", text)
                        .with_detail(format!("its header names: {}", names.join(", ")))
                        .with_hint("mend the declared columns, or say header = 'false'"));
                }
            }
        }
        Ok(cells)
    }

    /// Splits a block without reading its values: the cheap half, for the reading thread.
    pub(crate) fn split(&self, block: &Block, from: usize) -> Result<(Cells, usize, u64)> {
        let Some((_, columns)) = &self.layout else {
            return Err(Error::internal(
                "a block was split before its file was opened",
            ));
        };
        let mut cells = Cells::new(columns.len(), block.bytes.clone());
        let (consumed, line) = match &self.format {
            TextFormat::Csv { dialect, .. } => split_csv(
                &mut cells, from, block.line, block.last, *dialect, BLOCK_ROWS,
            ),
            TextFormat::Ndjson { .. } => split_ndjson(
                &mut cells, from, block.line, block.last, columns, BLOCK_ROWS,
            ),
        };
        Ok((cells, consumed, line))
    }

    /// Reads the values of split cells; bad records go to `quarantine`.
    pub(crate) fn read(&self, cells: &Cells, quarantine: &dyn Quarantine) -> Result<RecordBatch> {
        let Some((layout, _)) = &self.layout else {
            return Err(Error::internal(
                "cells were read before their file was opened",
            ));
        };
        let (batch, faults) = read_batch(cells, layout, &self.rules)?;
        for bad in &cells.bad {
            quarantine.put(self.record(bad.line, &bad.bytes, bad.reason.clone()))?;
        }
        for (row, fault) in faults {
            quarantine.put(self.record(cells.records[row].line, &cells.raw(row), fault.reason))?;
        }
        Ok(batch)
    }

    fn record(&self, line: u64, bytes: &Bytes, reason: String) -> BadRecord {
        // The copy lets go of the block, which is much larger than the record.
        let bytes = Bytes::copy_from_slice(bytes.strip_suffix(b"\r").unwrap_or(bytes));
        let place = format!("{}:{line}", self.file);
        BadRecord {
            source: self.source.clone(),
            place,
            bytes,
            reason,
        }
    }
}

/// Reads a stream of bytes and gives split cells, carrying half records over.
#[derive(Debug)]
pub(crate) struct TextReader<R> {
    input: R,
    splitter: TextSplitter,
    pending: Bytes,
    /// Position of the next record in `pending`.
    position: usize,
    line: u64,
    opened: bool,
    ended: bool,
}

impl<R: Read> TextReader<R> {
    /// Reads `input` from its start.
    pub(crate) fn new(input: R, splitter: TextSplitter) -> Self {
        Self {
            input,
            splitter,
            pending: Bytes::new(),
            position: 0,
            line: 1,
            opened: false,
            ended: false,
        }
    }

    /// The decoder of this file's cells.
    pub(crate) fn splitter(&self) -> &TextSplitter {
        &self.splitter
    }

    /// The next cells, none at the end.
    pub(crate) fn next_cells(&mut self) -> Result<Option<Cells>> {
        let mut want = BLOCK_BYTES;
        loop {
            let rest = self.pending.len() - self.position;
            if self.ended && rest == 0 {
                return Ok(None);
            }
            if !self.opened && (self.ended || rest > 0) {
                if let Some((position, line)) = self.splitter.open(&self.pending, self.ended)? {
                    (self.position, self.line, self.opened) = (position, line, true);
                    continue;
                }
            } else if self.opened {
                let block = Block {
                    bytes: self.pending.clone(),
                    line: self.line,
                    last: self.ended,
                };
                let (cells, consumed, line) = self.splitter.split(&block, self.position)?;
                let moved = consumed > self.position;
                (self.position, self.line) = (consumed, line);
                if cells.rows() > 0 || !cells.bad.is_empty() {
                    return Ok(Some(cells));
                }
                if moved {
                    continue;
                }
            }
            if self.ended {
                return Ok(None);
            }
            self.fill(want)?;
            want = want.saturating_mul(2);
        }
    }

    /// Puts what is left of the block and at least one more byte, up to `want`, into a new block.
    fn fill(&mut self, want: usize) -> Result<()> {
        let rest = self.pending.slice(self.position..);
        let mut buffer = Vec::with_capacity(rest.len() + want);
        buffer.extend_from_slice(&rest);
        let limit = u64::try_from(want).unwrap_or(u64::MAX);
        let read = self
            .input
            .by_ref()
            .take(limit)
            .read_to_end(&mut buffer)
            .map_err(|error| {
                Error::io(
                    format!("read {} near line {}", self.splitter.file, self.line),
                    &error,
                )
            })?;
        self.ended = read < want;
        self.pending = Bytes::from(buffer);
        self.position = 0;
        Ok(())
    }
}
