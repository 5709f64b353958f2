//! Tables and queries of SQLite files as a bounded source.
//!
//! datafusion-table-providers is not used, on purpose: for PostgreSQL it wants OpenSSL's headers, and it
//! coerces values in silence. Here the declared type of a column decides (or the user's), and a value that
//! does not fit it, which SQLite allows in any column, goes to quarantine.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::catalog::{Session, TableProvider};
use datafusion::execution::SendableRecordBatchStream;
use futures::{StreamExt, stream};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row};

use super::bounded::BoundedSource;
use super::decode::{Layout, Rules, TypedCells, string_type, timestamp_type};
use super::options::SourceOptions;
use super::quarantine::{BadRecord, Quarantine};
use super::stream::{Give, Parts, PartsTable, adapt, from_thread};
use crate::base::{Error, Kind, Result};

const BATCH_ROWS: usize = 8192;
/// How long a lock held by a writer is waited for.
const BUSY_MS: u64 = 5_000;

/// A table or query of a SQLite file.
#[derive(Debug)]
pub(crate) struct SqliteSource {
    reading: Arc<Reading>,
}

#[derive(Debug)]
struct Reading {
    source: String,
    /// The file as messages name it.
    file: String,
    path: PathBuf,
    /// The table, or the word `query`, for places.
    what: String,
    /// Reads the columns of `schema` in order, with the row's id behind them where there is one.
    sql: String,
    has_rowid: bool,
    nulls: Vec<String>,
    schema: SchemaRef,
}

impl SqliteSource {
    /// Opens the file read-only and finds the columns.
    pub(crate) async fn open(options: &SourceOptions, declared: Option<SchemaRef>) -> Result<Self> {
        let options = options.clone();
        let mut found = from_thread("sqlite-open", move |give| {
            give.give(describe(&options, declared)?);
            Ok(())
        })?;
        let reading = found
            .next()
            .await
            .unwrap_or_else(|| Err(Error::internal("no schema was read")))?;
        Ok(Self {
            reading: Arc::new(reading),
        })
    }
}

fn describe(options: &SourceOptions, declared: Option<SchemaRef>) -> Result<Reading> {
    let path = options.resolve(options.location.expose());
    let file = options.location.to_string();
    let connection = connect(&path, &file)?;
    let (base, what, table) = match (&options.table, &options.query) {
        (Some(table), _) => (
            format!("SELECT * FROM {}", quoted(table)),
            table.clone(),
            true,
        ),
        (None, Some(query)) => (
            query.trim().trim_end_matches(';').to_owned(),
            "query".to_owned(),
            false,
        ),
        (None, None) => return Err(Error::invalid("neither a table nor a query is named")),
    };
    let own = columns(&connection, &base, &file)?;
    let schema = match declared {
        Some(declared) => {
            check_columns(&own, &declared, &file, &what)?;
            declared
        }
        None => Arc::new(Schema::new(own)),
    };
    let names: Vec<String> = schema
        .fields()
        .iter()
        .map(|field| quoted(field.name()))
        .collect();
    let list = names.join(", ");
    let with_rowid = format!("SELECT {list}, rowid FROM {}", quoted(&what));
    // Views and WITHOUT ROWID tables have none.
    let has_rowid = table && connection.prepare(&with_rowid).is_ok();
    let sql = match (has_rowid, table) {
        (true, _) => with_rowid,
        (false, true) => format!("SELECT {list} FROM {}", quoted(&what)),
        (false, false) => format!("SELECT {list} FROM ({base})"),
    };
    let nulls = options.nulls.clone();
    Ok(Reading {
        source: options.name.clone(),
        file,
        path,
        what,
        sql,
        has_rowid,
        nulls,
        schema,
    })
}

fn connect(path: &Path, file: &str) -> Result<Connection> {
    let found = path
        .try_exists()
        .map_err(|error| Error::io(format!("look for {file}"), &error))?;
    if !found {
        return Err(Error::new(
            Kind::Missing,
            "58P01",
            format!("SQLite file {file} does not exist"),
        )
        .with_hint(format!("it was looked for at {}", path.display())));
    }
    // Read-only, and not `immutable`: a WAL that a writer has open is honoured.
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| failed(file, &error))?;
    let wait = std::time::Duration::from_millis(BUSY_MS);
    connection
        .busy_timeout(wait)
        .map_err(|error| failed(file, &error))?;
    Ok(connection)
}

fn failed(file: &str, error: &rusqlite::Error) -> Error {
    let text = format!("SQLite file {file}: {error}");
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked) => {
            Error::unavailable(text).with_hint("a writer holds its lock: try again")
        }
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt) => {
            Error::new(Kind::Invalid, "22000", text)
        }
        _ => Error::invalid(text),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn columns(connection: &Connection, sql: &str, file: &str) -> Result<Vec<Field>> {
    let statement = connection
        .prepare(sql)
        .map_err(|error| failed(file, &error))?;
    if !statement.readonly() {
        return Err(Error::invalid(format!(
            "SQLite file {file}: the query of a source must only read"
        )));
    }
    let columns = statement.columns();
    Ok(columns
        .iter()
        .map(|column| Field::new(column.name(), column_type(column.decl_type()), true))
        .collect())
}

/// The type of a declared SQLite type, by its words and then by SQLite's affinity rules. An expression has
/// no declared type and reads as text.
fn column_type(declared: Option<&str>) -> DataType {
    let word = declared.unwrap_or_default().to_ascii_uppercase();
    let has = |part: &str| word.contains(part);
    if has("BOOL") {
        DataType::Boolean
    } else if has("TIMESTAMP") || has("DATETIME") {
        timestamp_type()
    } else if word == "DATE" {
        DataType::Date32
    } else if has("INT") {
        DataType::Int64
    } else if has("CHAR") || has("CLOB") || has("TEXT") || word.is_empty() {
        string_type()
    } else if has("BLOB") {
        DataType::BinaryView
    } else if has("REAL") || has("FLOA") || has("DOUB") {
        DataType::Float64
    } else if has("NUMERIC") || has("DECIMAL") {
        decimal_type(&word)
    } else {
        string_type()
    }
}

/// `NUMERIC(10,2)` is exact; a bare NUMERIC holds integers and floats, so it reads as double precision.
fn decimal_type(word: &str) -> DataType {
    let inside = word
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .map(|(list, _)| list);
    let Some(inside) = inside else {
        return DataType::Float64;
    };
    let mut parts = inside.split(',').map(str::trim);
    let precision = parts.next().and_then(|text| text.parse::<u8>().ok());
    let scale = parts.next().map_or(Some(0), |text| text.parse::<i8>().ok());
    match (precision, scale) {
        (Some(precision @ 1..=38), Some(scale @ 0..=38)) => DataType::Decimal128(precision, scale),
        _ => DataType::Float64,
    }
}

fn check_columns(own: &[Field], declared: &Schema, file: &str, what: &str) -> Result<()> {
    for field in declared.fields() {
        if !own
            .iter()
            .any(|column| column.name().eq_ignore_ascii_case(field.name()))
        {
            let names: Vec<&str> = own.iter().map(|field| field.name().as_str()).collect();
            let text = format!(
                "SQLite file {file}: {what} has no column \"{}\"",
                field.name()
            );
            return Err(Error::new(Kind::Invalid, "42703", text)
                .with_detail(format!("it has: {}", names.join(", "))));
        }
    }
    Ok(())
}

#[async_trait]
impl BoundedSource for SqliteSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.reading.schema)
    }

    fn describe(&self) -> String {
        format!("sqlite {} {}", self.reading.file, self.reading.what)
    }

    async fn table_provider(
        &self,
        _session: &dyn Session,
        quarantine: Arc<dyn Quarantine>,
    ) -> Result<Arc<dyn TableProvider>> {
        let parts = SqliteParts(Arc::clone(&self.reading));
        Ok(Arc::new(PartsTable::new(Arc::new(parts), quarantine)))
    }

    async fn scan(&self, quarantine: Arc<dyn Quarantine>) -> Result<SendableRecordBatchStream> {
        Ok(SqliteParts(Arc::clone(&self.reading)).open(0, 1, None, quarantine))
    }
}

#[derive(Debug)]
struct SqliteParts(Arc<Reading>);

impl Parts for SqliteParts {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.0.schema)
    }

    fn count(&self, _target: usize) -> usize {
        1
    }

    fn open(
        &self,
        _part: usize,
        _count: usize,
        projection: Option<Vec<usize>>,
        quarantine: Arc<dyn Quarantine>,
    ) -> SendableRecordBatchStream {
        let reading = Arc::clone(&self.0);
        let cells = (0..reading.schema.fields().len()).collect();
        let layout = match Layout::new(&reading.schema, cells, projection.as_deref()) {
            Ok(layout) => layout,
            Err(error) => return adapt(&reading.schema, stream::iter([Err(error)])),
        };
        let projected = Arc::clone(&layout.projected);
        let work =
            move |give: &Give<RecordBatch>| read(&reading, &layout, quarantine.as_ref(), give);
        match from_thread("sqlite-read", work) {
            Ok(batches) => adapt(&projected, batches),
            Err(error) => adapt(&projected, stream::iter([Err(error)])),
        }
    }
}

fn read(
    reading: &Reading,
    layout: &Layout,
    quarantine: &dyn Quarantine,
    give: &Give<RecordBatch>,
) -> Result<()> {
    let fail = |error: rusqlite::Error| failed(&reading.file, &error);
    let connection = connect(&reading.path, &reading.file)?;
    let mut statement = connection.prepare(&reading.sql).map_err(fail)?;
    let mut rows = statement.query([]).map_err(fail)?;
    let rules = Rules {
        nulls: reading
            .nulls
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect(),
        quoted_markers: true,
        ..Rules::default()
    };
    let mut batch = Batch::new(reading, layout, &rules);
    let mut number = 0_i64;
    while let Some(row) = rows.next().map_err(fail)? {
        number += 1;
        let id = if reading.has_rowid {
            row.get(reading.schema.fields().len()).map_err(fail)?
        } else {
            number
        };
        batch.push(row, id).map_err(fail)?;
        if batch.ids.len() == BATCH_ROWS && !give.give(batch.finish(quarantine)?) {
            return Ok(());
        }
    }
    if !batch.ids.is_empty() {
        give.give(batch.finish(quarantine)?);
    }
    Ok(())
}

/// Rows on their way to a batch.
struct Batch<'a> {
    reading: &'a Reading,
    layout: &'a Layout,
    rules: &'a Rules,
    cells: TypedCells,
    ids: Vec<i64>,
}

impl<'a> Batch<'a> {
    fn new(reading: &'a Reading, layout: &'a Layout, rules: &'a Rules) -> Self {
        let cells = TypedCells::new(reading.schema.fields().len());
        Self {
            reading,
            layout,
            rules,
            cells,
            ids: Vec::new(),
        }
    }

    fn push(&mut self, row: &Row<'_>, id: i64) -> rusqlite::Result<()> {
        for (column, field) in self.reading.schema.fields().iter().enumerate() {
            match row.get_ref(column)? {
                ValueRef::Null => self.cells.null(),
                ValueRef::Integer(value) => self.cells.text(format_args!("{value}")),
                // SQLite keeps whole REALs as `5.0`; the shortest text reads back to the same bits.
                ValueRef::Real(value) => self.cells.text(format_args!("{value:?}")),
                ValueRef::Text(bytes) => self.cells.bytes(bytes),
                ValueRef::Blob(bytes) => self.cells.blob(bytes, field.data_type()),
            }
        }
        self.cells.close();
        self.ids.push(id);
        Ok(())
    }

    fn finish(&mut self, quarantine: &dyn Quarantine) -> Result<RecordBatch> {
        let width = self.reading.schema.fields().len();
        let cells = std::mem::replace(&mut self.cells, TypedCells::new(width));
        let ids = std::mem::take(&mut self.ids);
        let (batch, faults) = cells.read(self.layout, self.rules)?;
        for (row, fault) in faults {
            quarantine.put(BadRecord {
                source: self.reading.source.clone(),
                place: format!("{}:{}:{}", self.reading.file, self.reading.what, ids[row]),
                bytes: Bytes::from(cells.shown(row)),
                reason: fault.reason,
            })?;
        }
        Ok(batch)
    }
}
