//! The runner of the SQL tests, apart from any engine: it knows [`session::Session`], no more.
//!
//! * `batch`: the file as it stands, record by record.
//! * `incremental`: every query becomes a materialized view *before* the rows go in, so that it is filled by
//!   changes alone; it is compared where the query stands. At the end all rows are deleted (each view must
//!   then be what its query gives over nothing) and put back (each view must be what it was).
//!
//! Records are sqllogictest's. Values are compared as the text that PostgreSQL's protocol would send; two
//! numbers are equal when they differ in the last digits of a fraction only, since `1.50` and `1.5` are
//! one number.

pub mod batch;
pub mod checks;
pub mod compare;
pub mod host;
pub mod incremental;
pub mod records;
pub mod session;

/// How a file is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// As it stands.
    Batch,
    /// Queries as materialized views, filled by changes.
    Incremental,
}

impl Mode {
    /// The word for it, in names of tests and after `onlyif` and `skipif`.
    pub fn label(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Incremental => "incremental",
        }
    }
}
