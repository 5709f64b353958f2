//! A table of text cells: what every text format is split into before types are read.
//!
//! CSV, NDJSON and COPY text differ in how bytes become cells and agree in how a cell becomes a value;
//! this is the seam between the two. Cells point into the raw chunk; only cells that had escapes are
//! copied, into `side`.

use bytes::Bytes;

/// How a cell was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CellKind {
    /// Not there, or an explicit null of the format.
    Null,
    /// Written bare: `12`, `abc`, a JSON number or boolean.
    Plain,
    /// Written in quotes: an empty one is an empty text and not a null.
    Quoted,
    /// A JSON array or object, as its text.
    Nested,
}

#[derive(Clone, Copy, Debug)]
struct Cell {
    start: u32,
    len: u32,
    kind: CellKind,
    in_side: bool,
}

const NULL_CELL: Cell = Cell {
    start: 0,
    len: 0,
    kind: CellKind::Null,
    in_side: false,
};

/// One record: its line and its raw bytes in the chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) line: u64,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// A record that could not be split.
#[derive(Clone, Debug)]
pub(crate) struct BadSplit {
    pub(crate) line: u64,
    pub(crate) bytes: Bytes,
    pub(crate) reason: String,
}

/// Cells of the records of one chunk, row by row.
#[derive(Debug)]
pub(crate) struct Cells {
    /// Raw bytes that the cells and records point into. At most 4 GiB.
    pub(crate) chunk: Bytes,
    side: Vec<u8>,
    width: usize,
    cells: Vec<Cell>,
    /// Where the cells of the record being written start.
    open: usize,
    pub(crate) records: Vec<Record>,
    pub(crate) bad: Vec<BadSplit>,
}

impl Cells {
    /// An empty table of `width` columns over `chunk`.
    pub(crate) fn new(width: usize, chunk: Bytes) -> Self {
        let rows = chunk.len() / (width.max(1) * 5);
        Self {
            chunk,
            side: Vec::new(),
            width,
            cells: Vec::with_capacity(rows.saturating_mul(width)),
            open: 0,
            records: Vec::with_capacity(rows),
            bad: Vec::new(),
        }
    }

    pub(crate) fn width(&self) -> usize {
        self.width
    }

    pub(crate) fn rows(&self) -> usize {
        self.records.len()
    }

    /// The kind and bytes of a cell.
    #[inline]
    pub(crate) fn get(&self, row: usize, column: usize) -> (CellKind, &[u8]) {
        let cell = self.cells[row * self.width + column];
        let buffer: &[u8] = if cell.in_side {
            &self.side
        } else {
            &self.chunk
        };
        let start = cell.start as usize;
        (cell.kind, &buffer[start..start + cell.len as usize])
    }

    /// Raw bytes of a record.
    pub(crate) fn raw(&self, row: usize) -> Bytes {
        let record = self.records[row];
        self.chunk.slice(record.start as usize..record.end as usize)
    }

    /// Adds the next cell of the open record: `start..end` of the chunk.
    #[inline]
    pub(crate) fn push(&mut self, start: usize, end: usize, kind: CellKind) {
        self.cells.push(Cell {
            start: narrow(start),
            len: narrow(end - start),
            kind,
            in_side: false,
        });
    }

    /// Adds the next cell of the open record, copied.
    pub(crate) fn push_owned(&mut self, bytes: &[u8], kind: CellKind) {
        let cell = self.own(bytes, kind);
        self.cells.push(cell);
    }

    fn own(&mut self, bytes: &[u8], kind: CellKind) -> Cell {
        let start = narrow(self.side.len());
        self.side.extend_from_slice(bytes);
        Cell {
            start,
            len: narrow(bytes.len()),
            kind,
            in_side: true,
        }
    }

    /// Opens a record whose cells come by [`Self::set`], all null at first.
    pub(crate) fn open_nulls(&mut self) {
        self.cells.resize(self.open + self.width, NULL_CELL);
    }

    /// Sets a cell of a record opened by [`Self::open_nulls`].
    pub(crate) fn set(&mut self, column: usize, start: usize, end: usize, kind: CellKind) {
        self.cells[self.open + column] = Cell {
            start: narrow(start),
            len: narrow(end - start),
            kind,
            in_side: false,
        };
    }

    /// Sets a cell of a record opened by [`Self::open_nulls`], copied.
    pub(crate) fn set_owned(&mut self, column: usize, bytes: &[u8], kind: CellKind) {
        let cell = self.own(bytes, kind);
        self.cells[self.open + column] = cell;
    }

    /// Sets a cell that [`Self::open_nulls`] opened and nothing has set. A null that was written has the
    /// length of its word.
    pub(crate) fn set_where_unset(&mut self, column: usize, bytes: &[u8], kind: CellKind) {
        let cell = self.cells[self.open + column];
        if cell.kind == CellKind::Null && cell.len == 0 {
            self.set_owned(column, bytes, kind);
        }
    }

    /// Cells of the open record so far.
    pub(crate) fn open_cells(&self) -> usize {
        self.cells.len() - self.open
    }

    /// Whether the open record is one cell, bare and empty: a blank line.
    pub(crate) fn open_is_blank(&self) -> bool {
        self.open_cells() == 1 && {
            let cell = self.cells[self.open];
            cell.kind == CellKind::Plain && cell.len == 0
        }
    }

    /// The texts of the open record; none for a blank line.
    pub(crate) fn open_texts(&self) -> Vec<String> {
        if self.open_is_blank() {
            return Vec::new();
        }
        let cells = self.cells[self.open..].iter();
        let texts = cells.map(|cell| {
            let buffer: &[u8] = if cell.in_side {
                &self.side
            } else {
                &self.chunk
            };
            let start = cell.start as usize;
            String::from_utf8_lossy(&buffer[start..start + cell.len as usize]).into_owned()
        });
        texts.collect()
    }

    /// Ends the open record; it must have `width` cells.
    pub(crate) fn close(&mut self, line: u64, start: usize, end: usize) {
        debug_assert_eq!(self.open_cells(), self.width);
        self.open = self.cells.len();
        self.records.push(Record {
            line,
            start: narrow(start),
            end: narrow(end),
        });
    }

    /// Forgets the cells of the open record.
    pub(crate) fn abandon(&mut self) {
        self.cells.truncate(self.open);
    }

    /// Ends the open record as a bad one.
    pub(crate) fn reject(&mut self, line: u64, start: usize, end: usize, reason: String) {
        self.abandon();
        self.bad.push(BadSplit {
            line,
            bytes: self.chunk.slice(start..end),
            reason,
        });
    }
}

/// Chunks are far below 4 GiB (`MAX_RECORD_BYTES` bounds them); a larger position would be a defect and
/// saturates into an out-of-range slice, never into another cell's bytes.
#[inline]
fn narrow(position: usize) -> u32 {
    u32::try_from(position).unwrap_or(u32::MAX)
}
