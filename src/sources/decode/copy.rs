//! Decodes COPY FROM STDIN, text and CSV, by PostgreSQL's rules, piece by piece as the bytes arrive.
//!
//! COPY is strict where files are lenient: the first record that does not fit fails the whole statement,
//! with its line and column. Rules: the documentation of PostgreSQL's COPY, "File Formats".

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;

use super::cells::{CellKind, Cells};
use super::columns::{Fault, Layout, Rules, read_batch};
use crate::base::copy_options::{CopyFormat, CopyOptions};
use crate::base::{Error, Kind, Result};
use crate::sources::quarantine::{BadRecord, Quarantine};

/// Clients send a message a line; decoding waits for this much, so that batches are of some size.
const DECODE_BYTES: usize = 256 << 10;
/// A line longer than this is refused: an open quote must not make us hold all that follows.
const LINE_BYTES_MAX: usize = 64 << 20;

#[derive(Debug)]
struct Lenient {
    source: String,
    quarantine: Arc<dyn Quarantine>,
}

/// Decodes one COPY into rows of the target columns.
#[derive(Debug)]
pub struct CopyDecoder {
    table: String,
    options: CopyOptions,
    layout: Layout,
    rules: Rules,
    pending: Vec<u8>,
    /// Bytes of `pending` known to hold no line end: they are not searched again.
    searched: usize,
    in_quotes: bool,
    line: u64,
    header_due: bool,
    /// Where records that do not fit go; none: the first one fails the COPY.
    lenient: Option<Lenient>,
    /// The end marker `\.` was read; what follows is ignored.
    ended: bool,
}

impl CopyDecoder {
    /// A decoder for rows of `schema`: the columns that COPY names, in its order.
    ///
    /// # Errors
    /// When the schema cannot be laid out.
    pub fn new(table: &str, schema: &SchemaRef, options: CopyOptions) -> Result<Self> {
        let layout = Layout::new(schema, (0..schema.fields().len()).collect(), None)?;
        Ok(Self {
            table: table.to_owned(),
            header_due: options.header,
            options,
            layout,
            rules: Rules {
                exact: true,
                ..Rules::default()
            },
            pending: Vec::new(),
            searched: 0,
            in_quotes: false,
            line: 1,
            lenient: None,
            ended: false,
        })
    }

    /// Sends records with values that do not fit to `quarantine`, as from `source`, instead of failing:
    /// for rows that another server wrote.
    pub(crate) fn lenient(mut self, source: &str, quarantine: Arc<dyn Quarantine>) -> Self {
        self.lenient = Some(Lenient {
            source: source.to_owned(),
            quarantine,
        });
        self
    }

    /// The columns of the batches.
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.layout.schema)
    }

    /// Takes the next bytes; returns the rows that are complete, once there are enough of them.
    ///
    /// # Errors
    /// The first record that does not fit, by its line. The decoder is of no use after that.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<RecordBatch>> {
        if self.ended {
            return Ok(Vec::new());
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() < DECODE_BYTES {
            return Ok(Vec::new());
        }
        self.decode(false)
    }

    /// The rows that are left.
    ///
    /// # Errors
    /// As for [`Self::push`]; and when a quoted field is open.
    pub fn finish(&mut self) -> Result<Vec<RecordBatch>> {
        if self.ended {
            return Ok(Vec::new());
        }
        let batches = self.decode(true)?;
        self.ended = true;
        Ok(batches)
    }

    fn decode(&mut self, last: bool) -> Result<Vec<RecordBatch>> {
        let ends = self.line_ends(last)?;
        let Some(&end) = ends.last() else {
            return Ok(Vec::new());
        };
        let rest = self.pending.split_off(end);
        let chunk = Bytes::from(std::mem::replace(&mut self.pending, rest));
        self.searched = self.searched.saturating_sub(end);
        let mut cells = Cells::new(self.layout.cells.len(), chunk.clone());
        let mut start = 0;
        for end in ends {
            let record = &chunk[start..end];
            let newlines = memchr::memchr_iter(b'\n', record).count().max(1);
            let content = record.strip_suffix(b"\n").unwrap_or(record);
            let content = content.strip_suffix(b"\r").unwrap_or(content);
            if self.options.format == CopyFormat::Text && content == b"\\." {
                self.ended = true;
                break;
            }
            if self.header_due {
                self.header_due = false;
            } else {
                self.split(&mut cells, start, start + content.len())?;
                cells.close(self.line, start, end);
            }
            self.line = self
                .line
                .saturating_add(u64::try_from(newlines).unwrap_or(u64::MAX));
            start = end;
        }
        if cells.rows() == 0 {
            return Ok(Vec::new());
        }
        let (batch, faults) = read_batch(&cells, &self.layout, &self.rules)?;
        for (row, fault) in faults {
            let line = cells.records[row].line;
            let Some(lenient) = &self.lenient else {
                return Err(self.fault(line, &fault));
            };
            lenient.quarantine.put(BadRecord {
                source: lenient.source.clone(),
                place: format!("{}:{line}", self.table),
                bytes: Bytes::copy_from_slice(cells.raw(row).trim_ascii_end()),
                reason: fault.reason,
            })?;
        }
        Ok(vec![batch])
    }

    fn fault(&self, line: u64, fault: &Fault) -> Error {
        let text = format!("COPY {}, line {line}, {}", self.table, fault.reason);
        if fault.missing {
            Error::new(Kind::Invalid, "23502", text)
        } else {
            Error::bad_value(text)
        }
    }

    fn fail(&self, line: u64, text: &str) -> Error {
        Error::new(
            Kind::Invalid,
            "22P04",
            format!("COPY {}, line {line}: {text}", self.table),
        )
    }

    /// The ends of the whole lines in `pending`, each after its line feed.
    fn line_ends(&mut self, last: bool) -> Result<Vec<usize>> {
        let (quote, escape) = (self.options.quote, self.options.escape);
        let csv = self.options.format == CopyFormat::Csv;
        let bytes = &self.pending;
        let mut ends = Vec::new();
        let mut at = self.searched;
        let mut in_quotes = self.in_quotes;
        while let Some(&byte) = bytes.get(at) {
            // What an escape does may depend on the next byte: wait for it.
            let escapes = if csv {
                in_quotes && byte == escape
            } else {
                byte == b'\\'
            };
            if escapes {
                match bytes.get(at + 1) {
                    None if !last => break,
                    Some(&next) if !csv || next == quote || next == escape => {
                        at += 2;
                        // `\.` before a line end is the end marker, and its line ends there.
                        continue;
                    }
                    _ => {}
                }
            }
            if csv && byte == quote {
                in_quotes = !in_quotes;
            } else if byte == b'\n' && !in_quotes {
                ends.push(at + 1);
            }
            at += 1;
        }
        self.searched = at.min(bytes.len());
        self.in_quotes = in_quotes;
        if last {
            if in_quotes {
                return Err(self.fail(self.line, "unterminated CSV quoted field"));
            }
            if ends.last().copied().unwrap_or(0) < bytes.len() {
                ends.push(bytes.len());
            }
        } else if bytes.len() - ends.last().copied().unwrap_or(0) > LINE_BYTES_MAX {
            return Err(self.fail(self.line, "a line is longer than 64 MiB"));
        }
        Ok(ends)
    }

    fn split(&self, cells: &mut Cells, start: usize, end: usize) -> Result<()> {
        let chunk = cells.chunk.clone();
        let bytes = &chunk[..end];
        match self.options.format {
            CopyFormat::Text => self.split_text(cells, bytes, start),
            CopyFormat::Csv => self.split_csv(cells, bytes, start),
        }
        let width = cells.width();
        if cells.open_cells() > width {
            return Err(self.fail(self.line, "extra data after last expected column"));
        }
        if let Some(field) = self.layout.schema.fields().get(cells.open_cells()) {
            let text = format!("missing data for column \"{}\"", field.name());
            return Err(self.fail(self.line, &text));
        }
        Ok(())
    }

    fn split_text(&self, cells: &mut Cells, bytes: &[u8], start: usize) {
        let delimiter = self.options.delimiter;
        let mut from = start;
        loop {
            let mut at = from;
            let mut escaped = false;
            while let Some(&byte) = bytes.get(at) {
                if byte == delimiter {
                    break;
                }
                if byte == b'\\' {
                    escaped = true;
                    at += 1;
                }
                at += 1;
            }
            let end = at.min(bytes.len());
            let raw = &bytes[from..end];
            if raw == self.options.null.as_bytes() {
                cells.push(from, from, CellKind::Null);
            } else if escaped {
                cells.push_owned(&unescape(raw), CellKind::Plain);
            } else {
                cells.push(from, end, CellKind::Plain);
            }
            if end >= bytes.len() {
                return;
            }
            from = end + 1;
        }
    }

    fn split_csv(&self, cells: &mut Cells, bytes: &[u8], start: usize) {
        let (quote, escape) = (self.options.quote, self.options.escape);
        let mut from = start;
        let mut text = Vec::new();
        loop {
            text.clear();
            let (mut at, mut in_quotes, mut quoted) = (from, false, false);
            while let Some(&byte) = bytes.get(at) {
                if !in_quotes && byte == self.options.delimiter {
                    break;
                }
                let next = bytes.get(at + 1).copied();
                if in_quotes && byte == escape && next.is_some_and(|n| n == quote || n == escape) {
                    text.extend(next);
                    at += 2;
                    continue;
                }
                if byte == quote {
                    in_quotes = !in_quotes;
                    quoted = true;
                } else {
                    text.push(byte);
                }
                at += 1;
            }
            if !quoted && text == self.options.null.as_bytes() {
                cells.push(from, from, CellKind::Null);
            } else if quoted {
                cells.push_owned(&text, CellKind::Quoted);
            } else {
                cells.push(from, at, CellKind::Plain);
            }
            if at >= bytes.len() {
                return;
            }
            from = at + 1;
        }
    }
}

/// Takes the backslash escapes of the text format away.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        let Some((&escaped, after)) = rest.split_first() else {
            out.push(b'\\');
            break;
        };
        rest = after;
        match escaped {
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'n' => out.push(b'\n'),
            b'r' => out.push(b'\r'),
            b't' => out.push(b'\t'),
            b'v' => out.push(11),
            b'0'..=b'7' => {
                let mut value = u32::from(escaped - b'0');
                for _ in 0..2 {
                    let Some((&digit @ b'0'..=b'7', after)) = rest.split_first() else {
                        break;
                    };
                    value = value * 8 + u32::from(digit - b'0');
                    rest = after;
                }
                out.push(u8::try_from(value & 0xFF).unwrap_or(0));
            }
            b'x' => match hex_prefix(rest) {
                (Some(value), after) => {
                    out.push(value);
                    rest = after;
                }
                (None, _) => out.push(b'x'),
            },
            other => out.push(other),
        }
    }
    out
}

fn hex_prefix(bytes: &[u8]) -> (Option<u8>, &[u8]) {
    let digit = |byte: Option<&u8>| {
        byte.and_then(|&byte| char::from(byte).to_digit(16))
            .and_then(|d| u8::try_from(d).ok())
    };
    match (digit(bytes.first()), digit(bytes.get(1))) {
        (Some(high), Some(low)) => (Some(high * 16 + low), &bytes[2..]),
        (Some(only), None) => (Some(only), &bytes[1..]),
        _ => (None, bytes),
    }
}
