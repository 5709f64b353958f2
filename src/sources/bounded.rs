//! Sources that end: read in place by batch queries, or from start to end into a table or topic.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::execution::SendableRecordBatchStream;

use super::options::{Connector, Format, SourceOptions};
use super::quarantine::Quarantine;
use super::text_files::TextFiles;
use crate::base::{Error, Result};

/// A source that ends.
///
/// 1. `scan` and the table give the same rows, whatever is projected: a record is bad or good as a whole.
/// 2. Every record that is not a row goes to the quarantine that was given, at every read.
/// 3. Reading again reads what is there then; a file that is gone is an error that names it.
/// 4. Streams must be made inside a tokio runtime.
#[async_trait]
pub trait BoundedSource: Send + Sync + fmt::Debug {
    /// The declared columns, or the inferred ones.
    fn schema(&self) -> SchemaRef;

    /// What is read, for EXPLAIN and SHOW. Holds no secret.
    fn describe(&self) -> String;

    /// The source as a table that batch queries read in place.
    async fn table_provider(
        &self,
        session: &dyn Session,
        quarantine: Arc<dyn Quarantine>,
    ) -> Result<Arc<dyn TableProvider>>;

    /// All rows, once.
    async fn scan(&self, quarantine: Arc<dyn Quarantine>) -> Result<SendableRecordBatchStream>;
}

/// Opens the bounded source that `options` describe; without `declared` its columns are inferred.
///
/// # Errors
/// When the source is away, is not what the options say, or shows no columns.
pub async fn bounded(
    options: &SourceOptions,
    declared: Option<SchemaRef>,
) -> Result<Arc<dyn BoundedSource>> {
    let named = |error: Error| error.at(format!("source \"{}\"", options.name));
    let source: Result<Arc<dyn BoundedSource>> = match options.connector {
        Connector::File => match options.format {
            Some(Format::Csv | Format::Ndjson) => TextFiles::open(options, declared)
                .await
                .map(|source| Arc::new(source) as _),
            Some(Format::Parquet | Format::Arrow) => {
                super::columnar_files::ColumnarFiles::open(options, declared)
                    .await
                    .map(|source| Arc::new(source) as _)
            }
            None => Err(Error::invalid("the format of the files is not known")),
        },
        Connector::Sqlite => open_sqlite(options, declared).await,
        Connector::Postgres => open_postgres(options, declared).await,
    };
    source.map_err(named)
}

#[cfg(feature = "sqlite")]
async fn open_sqlite(
    options: &SourceOptions,
    declared: Option<SchemaRef>,
) -> Result<Arc<dyn BoundedSource>> {
    Ok(Arc::new(
        super::sqlite::SqliteSource::open(options, declared).await?,
    ))
}

#[cfg(not(feature = "sqlite"))]
async fn open_sqlite(_: &SourceOptions, _: Option<SchemaRef>) -> Result<Arc<dyn BoundedSource>> {
    let error = Error::unsupported("this build was made without the feature sqlite");
    std::future::ready(Err(error)).await
}

#[cfg(feature = "postgres")]
async fn open_postgres(
    options: &SourceOptions,
    declared: Option<SchemaRef>,
) -> Result<Arc<dyn BoundedSource>> {
    Ok(Arc::new(
        super::postgres::PostgresSource::open(options, declared).await?,
    ))
}

#[cfg(not(feature = "postgres"))]
async fn open_postgres(_: &SourceOptions, _: Option<SchemaRef>) -> Result<Arc<dyn BoundedSource>> {
    let error = Error::unsupported("this build was made without the feature postgres");
    std::future::ready(Err(error)).await
}
