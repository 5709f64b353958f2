//! Cells built value by value: how a database's rows take the same way to columns as text does.

use std::fmt;
use std::io::Write;

use arrow::array::RecordBatch;
use arrow::datatypes::DataType;
use bytes::Bytes;

use super::cells::{CellKind, Cells};
use super::columns::{Faults, Layout, Rules, read_batch};
use crate::base::Result;

/// Rows whose values came typed, kept as text until their columns' types read them.
#[derive(Debug)]
pub(crate) struct TypedCells {
    cells: Cells,
    scratch: Vec<u8>,
}

impl TypedCells {
    pub(crate) fn new(width: usize) -> Self {
        Self {
            cells: Cells::new(width, Bytes::new()),
            scratch: Vec::new(),
        }
    }

    pub(crate) fn null(&mut self) {
        self.cells.push(0, 0, CellKind::Null);
    }

    /// A number.
    pub(crate) fn text(&mut self, text: fmt::Arguments<'_>) {
        self.scratch.clear();
        // Writing to memory does not fail.
        if self.scratch.write_fmt(text).is_ok() {
            self.cells.push_owned(&self.scratch, CellKind::Plain);
        }
    }

    /// A text.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.cells.push_owned(bytes, CellKind::Quoted);
    }

    /// Bytes: as they are for a binary column, and as hexadecimal text, which no other type but text reads.
    pub(crate) fn blob(&mut self, bytes: &[u8], data_type: &DataType) {
        let binary = matches!(
            data_type,
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView
        );
        if binary && !bytes.starts_with(b"\\x") {
            self.cells.push_owned(bytes, CellKind::Quoted);
            return;
        }
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        self.cells
            .push_owned(format!("\\x{digits}").as_bytes(), CellKind::Quoted);
    }

    /// Ends a row of `width` values.
    pub(crate) fn close(&mut self) {
        self.cells.close(0, 0, 0);
    }

    pub(crate) fn read(&self, layout: &Layout, rules: &Rules) -> Result<(RecordBatch, Faults)> {
        read_batch(&self.cells, layout, rules)
    }

    /// A row as a JSON list of texts, for the quarantine.
    pub(crate) fn shown(&self, row: usize) -> String {
        let values = (0..self.cells.width()).map(|column| match self.cells.get(row, column) {
            (CellKind::Null, _) => serde_json::Value::Null,
            (_, bytes) => String::from_utf8_lossy(bytes).into_owned().into(),
        });
        serde_json::Value::Array(values.collect()).to_string()
    }
}
