//! CREATE EXTERNAL TABLE in DataFusion's form: bounded files, read in place.

use super::create::{self, Column};
use super::input::{Input, unsupported};
use super::names::Name;
use super::options::{self, Options};
use crate::base::{Error, Result};

/// CREATE EXTERNAL TABLE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateExternalTable {
    /// What to call it.
    pub name: Name,
    /// OR REPLACE was written.
    pub or_replace: bool,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// Declared columns; empty means inferred.
    pub columns: Vec<Column>,
    /// The declared key; nothing enforces it on files.
    pub primary_key: Vec<String>,
    /// Lower case: csv, json, ndjson, parquet, arrow, ...
    pub format: String,
    /// Path, glob or URL.
    pub location: String,
    /// PARTITIONED BY.
    pub partitioned_by: Vec<String>,
    /// OPTIONS (...).
    pub options: Options,
}

/// Reads what follows CREATE EXTERNAL TABLE.
pub(super) fn create(input: &mut Input<'_>, or_replace: bool) -> Result<CreateExternalTable> {
    let if_not_exists = input.if_not_exists();
    let name = input.name()?;
    let body = create::body(input)?;
    if body.watermark.is_some() {
        return unsupported("WATERMARK on an external table");
    }
    if !body.unique.is_empty() {
        return unsupported("UNIQUE on an external table");
    }
    let mut format = None;
    let mut location = None;
    let mut partitioned_by = Vec::new();
    let mut options = Options::new();
    loop {
        if input.accept(&["STORED", "AS"]) {
            once(&mut format, input.ident()?.to_lowercase(), "STORED AS")?;
        } else if input.accept(&["LOCATION"]) {
            once(&mut location, input.string()?, "LOCATION")?;
        } else if input.accept(&["PARTITIONED", "BY"]) {
            partitioned_by = input.ident_list()?;
        } else if input.accept(&["OPTIONS"]) {
            options.extend(options::bracketed(input)?);
        } else if input.accept(&["WITH", "ORDER"]) {
            return unsupported("WITH ORDER on an external table");
        } else {
            break;
        }
    }
    let Some(location) = location else {
        return Err(Error::syntax(format!(
            "external table \"{name}\" has no LOCATION"
        )));
    };
    let Some(format) = format else {
        return Err(Error::syntax(format!(
            "external table \"{name}\" has no STORED AS"
        )));
    };
    Ok(CreateExternalTable {
        name,
        or_replace,
        if_not_exists,
        columns: body.columns,
        primary_key: body.primary_key,
        format,
        location,
        partitioned_by,
        options,
    })
}

fn once(slot: &mut Option<String>, value: String, what: &str) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::syntax(format!("{what} is given twice"))),
    }
}
