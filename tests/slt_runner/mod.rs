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

pub(crate) mod batch;
pub(crate) mod checks;
pub(crate) mod compare;
pub(crate) mod engine;
pub(crate) mod host;
pub(crate) mod incremental;
pub(crate) mod records;
pub(crate) mod session;

/// How a file is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// As it stands.
    Batch,
    /// Queries as materialized views, filled by changes.
    Incremental,
}

impl Mode {
    /// The word for it, in names of tests and after `onlyif` and `skipif`.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Batch => "batch",
            Self::Incremental => "incremental",
        }
    }
}
