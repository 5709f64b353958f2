//! Bytes to rows: one decoder for every mode.
//!
//! A text format is *split* into cells (`csv`, `json`, `copy`), and cells are *read* into columns by their
//! declared types (`columns`, `values`). Bounded scans, tailed files and pushed bodies go the same way, so
//! a row means the same in batch and live, and a bad record is set apart the same way: malformed, with a
//! wrong number of fields, or with a value that does not fit its type.

mod arrays;
mod cells;
mod columns;
mod copy;
mod csv;
mod infer;
mod json;
mod text;
mod typed;
mod values;

#[cfg(test)]
mod tests;

pub use copy::CopyDecoder;
pub use csv::CsvDialect;
pub use infer::{string_type, timestamp_type, timestamptz_type};

pub(crate) use cells::Cells;
pub(crate) use columns::{Layout, Rules, other_value};
pub(crate) use text::{Block, TextFormat, TextReader, TextSplitter, header_of};
pub(crate) use typed::TypedCells;
