//! Where rows go to: COPY TO, files of a sink, results of the command line.
//!
//! `pg_text` writes one value as PostgreSQL does, `encode` makes COPY lines of it, `output` writes whole
//! files in three formats, and `file` puts a model's snapshot into a file, atomically.

mod encode;
mod file;
mod output;
mod pg_text;

#[cfg(test)]
mod tests;

pub use encode::CopyEncoder;
pub use file::{FileSink, SinkOptions, write_file};
pub use output::{BatchWriter, OutputFormat};
pub use pg_text::{TextStyle, write_value};
