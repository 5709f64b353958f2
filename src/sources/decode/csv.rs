//! Splits CSV bytes into records and cells, with quoted line ends, CRLF, and bad records set apart.
//!
//! The dialect is RFC 4180 as people write it: a quote counts only at the start of a field, so `5" pipe`
//! is text; after a closing quote only a delimiter or a line end may follow. A quote that never closes
//! would swallow the rest of the file: then the line that opened it is bad, and splitting goes on with
//! the next line.

use memchr::{memchr, memchr2};

use super::cells::{CellKind, Cells};

/// A record longer than this is bad: an open quote must not make us hold a whole file.
pub(crate) const MAX_RECORD_BYTES: usize = 16 << 20;

/// The characters of a CSV dialect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvDialect {
    /// Between fields.
    pub delimiter: u8,
    /// Around fields.
    pub quote: u8,
    /// Before a quote or itself inside quotes; equal to `quote` in the usual dialect.
    pub escape: u8,
}

impl Default for CsvDialect {
    fn default() -> Self {
        Self {
            delimiter: b',',
            quote: b'"',
            escape: b'"',
        }
    }
}

enum Ending {
    /// The record ended; the next one starts here.
    At { next: usize, end: usize },
    /// The bytes ended inside the record.
    Open { in_quotes: bool },
    /// The record is malformed: skip to the next line.
    Bad(&'static str),
}

/// Splits whole records from the chunk of `out`, from `from` on, counting lines from `line`.
///
/// Returns the position after the last whole record and the number of its next line. With `last`, the
/// chunk is the end of the file and a record without line end counts. Stops after `limit` records.
pub(crate) fn split_csv(
    out: &mut Cells,
    from: usize,
    line: u64,
    last: bool,
    dialect: CsvDialect,
    limit: usize,
) -> (usize, u64) {
    let chunk = out.chunk.clone();
    let bytes = chunk.as_ref();
    let mut scratch = Vec::new();
    let mut position = from;
    let mut line = line;
    while position < bytes.len() && out.rows() < limit {
        let ending = split_record(out, bytes, position, dialect, last, &mut scratch);
        match ending {
            Ending::At { next, end } => {
                if out.open_is_blank() {
                    out.abandon();
                } else if out.open_cells() != out.width() {
                    let reason = format!(
                        "{} fields where {} are expected",
                        out.open_cells(),
                        out.width()
                    );
                    out.reject(line, position, end, reason);
                } else {
                    out.close(line, position, end);
                }
                line += count_lines(&bytes[position..next]);
                position = next;
            }
            Ending::Open { in_quotes } if last || bytes.len() - position > MAX_RECORD_BYTES => {
                let reason = if in_quotes {
                    "a quote is opened and never closed"
                } else {
                    "the record is longer than 16 MiB"
                };
                position = skip_line(out, bytes, position, line, reason);
                line += 1;
            }
            Ending::Open { .. } => {
                out.abandon();
                break;
            }
            Ending::Bad(reason) => {
                if !last && memchr(b'\n', &bytes[position..]).is_none() {
                    out.abandon();
                    break;
                }
                position = skip_line(out, bytes, position, line, reason);
                line += 1;
            }
        }
    }
    (position, line)
}

fn skip_line(out: &mut Cells, bytes: &[u8], start: usize, line: u64, reason: &str) -> usize {
    let (end, next) = match memchr(b'\n', &bytes[start..]) {
        Some(at) => (start + at, start + at + 1),
        None => (bytes.len(), bytes.len()),
    };
    let trimmed = if end > start && bytes[end - 1] == b'\r' {
        end - 1
    } else {
        end
    };
    out.reject(line, start, trimmed, reason.to_owned());
    next
}

fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

fn split_record(
    out: &mut Cells,
    bytes: &[u8],
    start: usize,
    dialect: CsvDialect,
    last: bool,
    scratch: &mut Vec<u8>,
) -> Ending {
    let mut position = start;
    loop {
        let after = if bytes.get(position) == Some(&dialect.quote) {
            match quoted_field(out, bytes, position + 1, dialect, last, scratch) {
                Ok(after) => after,
                Err(ending) => return ending,
            }
        } else {
            let Some(after) = plain_field(bytes, position, dialect.delimiter, last) else {
                return Ending::Open { in_quotes: false };
            };
            let end = trim_return(bytes, position, after);
            out.push(position, end, CellKind::Plain);
            after
        };
        match bytes.get(after) {
            Some(&byte) if byte == dialect.delimiter => position = after + 1,
            Some(_) => {
                return Ending::At {
                    next: after + 1,
                    end: trim_return(bytes, start, after),
                };
            }
            None => {
                return Ending::At {
                    next: after,
                    end: trim_return(bytes, start, after),
                };
            }
        }
    }
}

/// The end of a bare field: its delimiter, its line end, or the end of the last chunk.
fn plain_field(bytes: &[u8], start: usize, delimiter: u8, last: bool) -> Option<usize> {
    // Fields are short: a plain loop beats a vector search until a field has some length.
    let near = bytes.len().min(start + 16);
    for (at, &byte) in bytes[start..near].iter().enumerate() {
        if byte == delimiter || byte == b'\n' {
            return Some(start + at);
        }
    }
    match memchr2(delimiter, b'\n', &bytes[near..]) {
        Some(at) => Some(near + at),
        None if last => Some(bytes.len()),
        None => None,
    }
}

fn trim_return(bytes: &[u8], start: usize, end: usize) -> usize {
    let at_line_end = bytes.get(end).is_none_or(|&byte| byte == b'\n');
    if at_line_end && end > start && bytes[end - 1] == b'\r' {
        end - 1
    } else {
        end
    }
}

/// Reads a quoted field whose content starts at `start`; returns the place of what ends it.
fn quoted_field(
    out: &mut Cells,
    bytes: &[u8],
    start: usize,
    dialect: CsvDialect,
    last: bool,
    scratch: &mut Vec<u8>,
) -> Result<usize, Ending> {
    let mut from = start;
    let mut copied = false;
    scratch.clear();
    loop {
        let Some(found) = memchr2(dialect.quote, dialect.escape, &bytes[from..]) else {
            return Err(Ending::Open { in_quotes: true });
        };
        let at = from + found;
        let next = bytes.get(at + 1).copied();
        let escapes = bytes[at] == dialect.escape
            && next.is_some_and(|next| next == dialect.quote || next == dialect.escape);
        if escapes {
            scratch.extend_from_slice(&bytes[from..at]);
            scratch.extend(next);
            copied = true;
            from = at + 2;
            continue;
        }
        if bytes[at] != dialect.quote {
            // An escape before anything else stands for itself.
            if next.is_none() && !last {
                return Err(Ending::Open { in_quotes: true });
            }
            scratch.extend_from_slice(&bytes[from..=at]);
            copied = true;
            from = at + 1;
            continue;
        }
        if next.is_none() && !last {
            // The quote may be the first half of a doubled one.
            return Err(Ending::Open { in_quotes: true });
        }
        let after = after_quote(bytes, at + 1, dialect.delimiter, last)?;
        if copied {
            scratch.extend_from_slice(&bytes[from..at]);
            out.push_owned(scratch, CellKind::Quoted);
        } else {
            out.push(start, at, CellKind::Quoted);
        }
        return Ok(after);
    }
}

fn after_quote(bytes: &[u8], at: usize, delimiter: u8, last: bool) -> Result<usize, Ending> {
    match bytes.get(at) {
        None => Ok(at),
        Some(&byte) if byte == delimiter || byte == b'\n' => Ok(at),
        Some(b'\r') => match bytes.get(at + 1) {
            Some(b'\n') => Ok(at + 1),
            None if last => Ok(at + 1),
            None => Err(Ending::Open { in_quotes: false }),
            Some(_) => Err(Ending::Bad("text follows a closing quote")),
        },
        Some(_) => Err(Ending::Bad("text follows a closing quote")),
    }
}

/// The fields of the record at `from`, trimmed of nothing, and the position after it. No fields: the line
/// is blank or cannot be split.
pub(crate) fn first_fields(
    bytes: &bytes::Bytes,
    from: usize,
    dialect: CsvDialect,
) -> (Vec<String>, usize) {
    let mut cells = Cells::new(1, bytes.clone());
    let ending = split_record(&mut cells, bytes, from, dialect, true, &mut Vec::new());
    match ending {
        Ending::At { next, .. } => (cells.open_texts(), next),
        Ending::Open { .. } | Ending::Bad(_) => (
            Vec::new(),
            memchr(b'\n', &bytes[from..]).map_or(bytes.len(), |at| from + at + 1),
        ),
    }
}
