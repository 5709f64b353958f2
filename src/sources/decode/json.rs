//! Splits NDJSON lines into cells: a strict scanner that keeps the text of every value, so that a
//! number is read by the type of its column and never through a float.

use std::borrow::Cow;

use arrow::datatypes::Schema;
use memchr::memchr;

use super::cells::{CellKind, Cells};
use super::csv::MAX_RECORD_BYTES;

/// Values nested deeper than this are malformed: the scanner recurses.
const MAX_DEPTH: u32 = 128;

/// Splits whole lines from the chunk of `out`, as [`super::csv::split_csv`] does for CSV.
pub(crate) fn split_ndjson(
    out: &mut Cells,
    from: usize,
    line: u64,
    last: bool,
    columns: &JsonColumns,
    limit: usize,
) -> (usize, u64) {
    let chunk = out.chunk.clone();
    let bytes = chunk.as_ref();
    let mut position = from;
    let mut line = line;
    while position < bytes.len() && out.rows() < limit {
        let (end, next) = match memchr(b'\n', &bytes[position..]) {
            Some(at) => (position + at, position + at + 1),
            None if last || bytes.len() - position > MAX_RECORD_BYTES => (bytes.len(), bytes.len()),
            None => break,
        };
        let trimmed = bytes[position..end].trim_ascii();
        if !trimmed.is_empty() {
            out.open_nulls();
            let mut scan = Scan {
                bytes: &bytes[..end],
                at: position,
            };
            match scan.record(columns, out) {
                Ok(()) => {
                    for (column, text, kind) in &columns.missing {
                        out.set_where_unset(*column, text, *kind);
                    }
                    out.close(line, position, end);
                }
                Err(reason) => {
                    let column = scan.at - position + 1;
                    out.reject(
                        line,
                        position,
                        end,
                        format!("{reason} at character {column}"),
                    );
                }
            }
        }
        position = next;
        line += 1;
    }
    (position, line)
}

/// Which key goes to which cell.
#[derive(Clone, Debug)]
pub(crate) struct JsonColumns {
    names: Vec<String>,
    /// Columns that a line without their key still has: the text, and how it is written.
    missing: Vec<(usize, Vec<u8>, CellKind)>,
}

impl JsonColumns {
    pub(crate) fn new(schema: &Schema) -> Self {
        Self {
            names: schema
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect(),
            missing: Vec::new(),
        }
    }

    pub(crate) fn from_names(names: Vec<String>) -> Self {
        Self {
            names,
            missing: Vec::new(),
        }
    }

    pub(crate) fn with_missing(mut self, missing: &[(usize, Vec<u8>, bool)]) -> Self {
        let kind = |quoted| match quoted {
            true => CellKind::Quoted,
            false => CellKind::Plain,
        };
        let missing = missing.iter();
        self.missing = missing
            .map(|(column, text, quoted)| (*column, text.clone(), kind(*quoted)))
            .collect();
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.names.len()
    }

    /// Keys nearly always come in the order of the columns, so the search starts at `expected`.
    fn find(&self, key: &[u8], expected: usize) -> Option<usize> {
        if self
            .names
            .get(expected)
            .is_some_and(|name| name.as_bytes() == key)
        {
            return Some(expected);
        }
        self.names.iter().position(|name| name.as_bytes() == key)
    }
}

type Scanned<T> = Result<T, &'static str>;

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// A scanned value: its kind and the bytes that hold it (a string without its quotes).
struct Value<'a> {
    start: usize,
    end: usize,
    kind: CellKind,
    /// The text of a string that had escapes.
    unescaped: Option<Cow<'a, [u8]>>,
}

impl<'a> Scan<'a> {
    fn record(&mut self, columns: &JsonColumns, out: &mut Cells) -> Scanned<()> {
        let mut expected = 0;
        self.object(&mut |key, value| {
            if let Some(column) = columns.find(key, expected) {
                expected = column + 1;
                match &value.unescaped {
                    Some(text) => out.set_owned(column, text, value.kind),
                    None => out.set(column, value.start, value.end, value.kind),
                }
            }
        })?;
        self.space();
        if self.at == self.bytes.len() {
            Ok(())
        } else {
            Err("text follows the object")
        }
    }

    fn object(&mut self, visit: &mut dyn FnMut(&[u8], &Value<'a>)) -> Scanned<()> {
        self.space();
        if self.next() != Some(b'{') {
            return Err("a line must be one JSON object");
        }
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return Err("a key in double quotes is expected");
            }
            let key = self.string()?;
            self.space();
            if self.next() != Some(b':') {
                return Err("a colon is expected after the key");
            }
            self.space();
            let value = self.value(0)?;
            match &key.unescaped {
                Some(text) => visit(text, &value),
                None => visit(&self.bytes[key.start..key.end], &value),
            }
            self.space();
            match self.next() {
                Some(b',') => {}
                Some(b'}') => return Ok(()),
                _ => return Err("a comma or a closing brace is expected"),
            }
        }
    }

    fn value(&mut self, depth: u32) -> Scanned<Value<'a>> {
        if depth > MAX_DEPTH {
            return Err("values are nested deeper than 128");
        }
        let start = self.at;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{' | b'[') => {
                self.nested(depth)?;
                Ok(Value {
                    start,
                    end: self.at,
                    kind: CellKind::Nested,
                    unescaped: None,
                })
            }
            Some(b't') => self.word(b"true", CellKind::Plain),
            Some(b'f') => self.word(b"false", CellKind::Plain),
            Some(b'n') => self.word(b"null", CellKind::Null),
            Some(b'-' | b'0'..=b'9') => self.number(),
            None => Err("the line ends where a value is expected"),
            Some(_) => Err("a JSON value is expected"),
        }
    }

    fn nested(&mut self, depth: u32) -> Scanned<()> {
        let close = if self.next() == Some(b'{') {
            b'}'
        } else {
            b']'
        };
        self.space();
        if self.peek() == Some(close) {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            if close == b'}' {
                if self.peek() != Some(b'"') {
                    return Err("a key in double quotes is expected");
                }
                self.string()?;
                self.space();
                if self.next() != Some(b':') {
                    return Err("a colon is expected after the key");
                }
                self.space();
            }
            self.value(depth + 1)?;
            self.space();
            match self.next() {
                Some(b',') => {}
                Some(byte) if byte == close => return Ok(()),
                _ => return Err("a comma or a closing bracket is expected"),
            }
        }
    }

    fn word(&mut self, word: &[u8], kind: CellKind) -> Scanned<Value<'a>> {
        let start = self.at;
        if !self.bytes[start..].starts_with(word) {
            return Err("a JSON value is expected");
        }
        self.at += word.len();
        Ok(Value {
            start,
            end: self.at,
            kind,
            unescaped: None,
        })
    }

    fn number(&mut self) -> Scanned<Value<'a>> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err("a digit is expected"),
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        Ok(Value {
            start,
            end: self.at,
            kind: CellKind::Plain,
            unescaped: None,
        })
    }

    fn some_digits(&mut self) -> Scanned<()> {
        if !matches!(self.peek(), Some(b'0'..=b'9')) {
            return Err("a digit is expected");
        }
        self.digits();
        Ok(())
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn string(&mut self) -> Scanned<Value<'a>> {
        self.at += 1;
        let start = self.at;
        let mut copy: Option<Vec<u8>> = None;
        loop {
            let run = self.at;
            while self
                .peek()
                .is_some_and(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
            {
                self.at += 1;
            }
            if let Some(copy) = &mut copy {
                copy.extend_from_slice(&self.bytes[run..self.at]);
            }
            let read = self.at;
            match self.peek() {
                Some(b'"') => {
                    let end = self.at;
                    self.at += 1;
                    let unescaped = copy.map(Cow::Owned);
                    return Ok(Value {
                        start,
                        end,
                        kind: CellKind::Quoted,
                        unescaped,
                    });
                }
                Some(b'\\') => {
                    let copy = copy.get_or_insert_with(|| self.bytes[start..read].to_vec());
                    self.at += 1;
                    let mut buffer = [0; 4];
                    let text = self.escape()?.encode_utf8(&mut buffer);
                    copy.extend_from_slice(text.as_bytes());
                }
                Some(_) => return Err("a control character in a string must be escaped"),
                None => return Err("a string is opened and never closed"),
            }
        }
    }

    fn escape(&mut self) -> Scanned<char> {
        let escaped = match self.next() {
            Some(byte @ (b'"' | b'\\' | b'/')) => char::from(byte),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(),
            _ => return Err("an unknown escape in a string"),
        };
        Ok(escaped)
    }

    fn unicode(&mut self) -> Scanned<char> {
        let high = self.hex4()?;
        let code = if (0xD800..0xDC00).contains(&high) {
            if self.next() != Some(b'\\') || self.next() != Some(b'u') {
                return Err("half of a surrogate pair in a string");
            }
            let low = self.hex4()?;
            if !(0xDC00..0xE000).contains(&low) {
                return Err("half of a surrogate pair in a string");
            }
            0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00)
        } else {
            high
        };
        char::from_u32(code).ok_or("half of a surrogate pair in a string")
    }

    fn hex4(&mut self) -> Scanned<u32> {
        let mut code = 0;
        for _ in 0..4 {
            let digit = self.next().and_then(|byte| char::from(byte).to_digit(16));
            code = code * 16 + digit.ok_or("four hexadecimal digits are expected after \\u")?;
        }
        Ok(code)
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek();
        self.at += usize::from(byte.is_some());
        byte
    }
}

/// Takes a key, and the kind and text of its value.
pub(crate) type Visit<'a> = dyn FnMut(&[u8], CellKind, &[u8]) + 'a;

/// The keys of one line with the kind and text of each value, or why the line is malformed.
pub(crate) fn read_object(line: &[u8], visit: &mut Visit<'_>) -> Scanned<()> {
    let mut scan = Scan { bytes: line, at: 0 };
    scan.object(&mut |key, value| match &value.unescaped {
        Some(text) => visit(key, value.kind, text),
        None => visit(key, value.kind, &line[value.start..value.end]),
    })
}
