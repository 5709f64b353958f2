//! Where rows come from: files, SQLite and PostgreSQL databases, followed files, pushed bodies.
//!
//! `options` checks what the user wrote; `bounded` opens a source that ends; `tail` follows files that
//! grow; `decode` turns bytes into rows, the same way for all of them; what cannot become a row goes to
//! the `quarantine` with its bytes, place and reason.

mod bounded;
mod columnar_files;
mod decode;
mod files;
mod options;
mod parquet_table;
#[cfg(feature = "postgres")]
mod postgres;
mod push;
mod quarantine;
#[cfg(feature = "sqlite")]
mod sqlite;
mod stores;
mod stream;
pub mod tail;
mod text_files;

#[cfg(test)]
mod tests;

pub use crate::base::copy_options::{CopyFormat, CopyOptions};
pub use bounded::{BoundedSource, bounded};
pub(crate) use decode::other_value;
pub use decode::{CopyDecoder, CsvDialect, string_type, timestamp_type, timestamptz_type};

pub use options::{Compression, Connector, Format, Location, Mode, SourceOptions, StoreOptions};
pub use push::{PushFormat, PushedRows, decode_push};
pub use quarantine::{BadRecord, MemoryQuarantine, Quarantine};
