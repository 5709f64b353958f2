//! Tables and queries of a PostgreSQL server as a bounded source.
//!
//! Rows come by `COPY (...) TO STDOUT` in the text format and take the way of every text: types are the
//! server's (or the declared ones), and a value that Lotic's type cannot hold (an infinite timestamp, a NaN
//! in a numeric) goes to quarantine. The session is read-only, in UTC, and a COPY is one snapshot.
//! datafusion-table-providers is not used: see the module `sqlite`.
//!
//! TLS: `sslmode=require`, `verify-ca` and `verify-full` all check the server's certificate and name
//! against the system's authorities; there is no unverified TLS. Without `sslmode`, no TLS.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::execution::SendableRecordBatchStream;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::types::{Kind as PgKind, Type};
use tokio_postgres::{Client, Config, NoTls};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::bounded::BoundedSource;
use super::decode::{CopyDecoder, string_type, timestamp_type, timestamptz_type};
use super::options::SourceOptions;
use super::quarantine::Quarantine;
use super::stream::{Parts, PartsTable, adapt};
use crate::base::copy_options::CopyOptions;
use crate::base::{Error, Kind, Result, task};

/// How long a connection may take when the URL names no `connect_timeout`.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Settings that make the server's texts mean one thing.
const SESSION: &str = "-c datestyle=ISO -c timezone=UTC -c extra_float_digits=1 -c bytea_output=hex \
    -c intervalstyle=postgres -c default_transaction_read_only=on";

/// A table or query of a PostgreSQL server.
#[derive(Debug)]
pub(crate) struct PostgresSource {
    reading: Arc<Reading>,
}

struct Reading {
    source: String,
    config: Config,
    /// `host:port/database: table`, for messages and places.
    place: String,
    sql: String,
    schema: SchemaRef,
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading")
            .field("source", &self.source)
            .field("place", &self.place)
            .finish()
    }
}

impl PostgresSource {
    /// Connects once to find the columns.
    pub(crate) async fn open(options: &SourceOptions, declared: Option<SchemaRef>) -> Result<Self> {
        let config = parse(options.location.expose())?;
        let server = server_name(&config);
        let (from, what) = match (&options.table, &options.query) {
            (Some(table), _) => (quoted_path(table), table.clone()),
            (None, Some(query)) => (
                format!("({}) AS q", query.trim().trim_end_matches(';')),
                "query".to_owned(),
            ),
            (None, None) => return Err(Error::invalid("neither a table nor a query is named")),
        };
        let client = connect(&config).await?;
        let statement = client
            .prepare(&format!("SELECT * FROM {from}"))
            .await
            .map_err(|error| failed(&server, &error))?;
        let own: Vec<Field> = statement
            .columns()
            .iter()
            .map(|column| {
                let data_type = column_type(column.type_(), column.type_modifier());
                Field::new(column.name(), data_type, true)
            })
            .collect();
        let schema = match declared {
            Some(declared) => declared,
            None => Arc::new(Schema::new(own.clone())),
        };
        let mut names = Vec::with_capacity(schema.fields().len());
        for field in schema.fields() {
            let found = own
                .iter()
                .find(|column| column.name().eq_ignore_ascii_case(field.name()));
            let Some(column) = found else {
                let text = format!("{server}: {what} has no column \"{}\"", field.name());
                let own: Vec<&str> = own.iter().map(|field| field.name().as_str()).collect();
                return Err(Error::new(Kind::Invalid, "42703", text)
                    .with_detail(format!("it has: {}", own.join(", "))));
            };
            names.push(quoted(column.name()));
        }
        let sql = format!("COPY (SELECT {} FROM {from}) TO STDOUT", names.join(", "));
        let source = options.name.clone();
        let place = format!("{server}: {what}");
        Ok(Self {
            reading: Arc::new(Reading {
                source,
                config,
                place,
                sql,
                schema,
            }),
        })
    }
}

fn parse(url: &str) -> Result<Config> {
    // tokio-postgres has no names for verified TLS, and ours is always verified.
    let url = url.replace("sslmode=verify-full", "sslmode=require");
    let url = url.replace("sslmode=verify-ca", "sslmode=require");
    // The parser's error could repeat a part of the address, and that part could be the password.
    let mut config: Config = url.parse().map_err(|_| {
        Error::invalid("the url is not one of a PostgreSQL server")
            .with_hint("postgres://user:password@host:5432/database?sslmode=require")
    })?;
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    let session = match config.get_options() {
        Some(own) => format!("{own} {SESSION}"),
        None => SESSION.to_owned(),
    };
    config.options(session);
    config.application_name("lotic");
    Ok(config)
}

fn server_name(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(name)) => name.clone(),
        #[cfg(unix)]
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    let database = config
        .get_dbname()
        .or(config.get_user())
        .unwrap_or("postgres");
    format!("{host}:{port}/{database}")
}

async fn connect(config: &Config) -> Result<Client> {
    let server = server_name(config);
    if config.get_ssl_mode() != SslMode::Require {
        let connected = config
            .connect(NoTls)
            .await
            .map_err(|error| failed(&server, &error))?;
        return Ok(drive(connected));
    }
    // The store's single bad certificates are no hindrance; an empty store is.
    let (tls, _bad) = MakeRustlsConnect::with_native_certs().map_err(|_| {
        Error::unavailable(format!(
            "{server}: sslmode asks for TLS and this system has no authorities"
        ))
        .with_hint("install the package ca-certificates, or set SSL_CERT_FILE")
    })?;
    let connected = config
        .connect(tls)
        .await
        .map_err(|error| failed(&server, &error))?;
    Ok(drive(connected))
}

/// Runs the connection's half that moves bytes, until the client is dropped.
fn drive<S, T>(connected: (Client, tokio_postgres::Connection<S, T>)) -> Client
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let (client, connection) = connected;
    drop(task::spawn("postgres-source", async move {
        if let Err(error) = connection.await {
            // The reader of rows gets the error too, and reports it.
            tracing::debug!(%error, "connection of a PostgreSQL source ended");
        }
    }));
    client
}

fn failed(server: &str, error: &tokio_postgres::Error) -> Error {
    if let Some(told) = error.as_db_error() {
        let text = format!("PostgreSQL {server}: {}", told.message());
        return match told.code().code() {
            "28P01" | "28000" | "42501" => {
                Error::denied(text).with_hint("check the user and password of the url")
            }
            "42P01" | "3D000" | "3F000" => Error::new(Kind::Missing, "42P01", text),
            code if code.starts_with("57") || code.starts_with("53") || code.starts_with("08") => {
                Error::unavailable(text).with_hint("try again later")
            }
            _ => Error::invalid(text),
        };
    }
    let cause = std::error::Error::source(error).map(ToString::to_string);
    let reason = cause.unwrap_or_else(|| error.to_string());
    Error::unavailable(format!("PostgreSQL server {server} is away: {reason}"))
        .with_hint("check that it runs, that host and port of the url are right, and that it lets this machine in")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// `schema.table` as two names; a name that was written in quotes stands as it is.
fn quoted_path(table: &str) -> String {
    if table.contains('"') {
        return table.to_owned();
    }
    table.split('.').map(quoted).collect::<Vec<_>>().join(".")
}

/// Lotic's type for a server's. Types without one read as their text: uuid, json, enums, ranges, networks;
/// and a numeric without precision, because no fixed scale would be true to it.
fn column_type(of: &Type, modifier: i32) -> DataType {
    match *of {
        Type::BOOL => DataType::Boolean,
        Type::INT2 => DataType::Int16,
        Type::INT4 => DataType::Int32,
        Type::INT8 => DataType::Int64,
        Type::OID => DataType::UInt32,
        Type::FLOAT4 => DataType::Float32,
        Type::FLOAT8 => DataType::Float64,
        Type::NUMERIC => numeric(modifier),
        Type::BYTEA => DataType::BinaryView,
        Type::DATE => DataType::Date32,
        Type::TIME => DataType::Time64(TimeUnit::Microsecond),
        Type::TIMESTAMP => timestamp_type(),
        Type::TIMESTAMPTZ => timestamptz_type(),
        _ => match of.kind() {
            PgKind::Domain(inner) => column_type(inner, modifier),
            PgKind::Array(inner) => {
                let item = column_type(inner, modifier);
                let supported = !matches!(item, DataType::BinaryView | DataType::Decimal128(..));
                if supported {
                    DataType::List(Arc::new(Field::new_list_field(item, true)))
                } else {
                    string_type()
                }
            }
            _ => string_type(),
        },
    }
}

/// The modifier holds `(precision << 16 | scale) + 4`, the scale in 11 bits with a sign.
fn numeric(modifier: i32) -> DataType {
    if modifier < 4 {
        return string_type();
    }
    let packed = modifier - 4;
    let precision = u8::try_from(packed >> 16);
    let scale = i8::try_from(((packed & 0x7FF) ^ 0x400) - 0x400);
    match (precision, scale) {
        (Ok(precision @ 1..=38), Ok(scale)) if scale >= 0 && scale.unsigned_abs() <= precision => {
            DataType::Decimal128(precision, scale)
        }
        _ => string_type(),
    }
}

#[async_trait]
impl BoundedSource for PostgresSource {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.reading.schema)
    }

    fn describe(&self) -> String {
        format!("postgres {}", self.reading.place)
    }

    async fn table_provider(
        &self,
        _session: &dyn Session,
        quarantine: Arc<dyn Quarantine>,
    ) -> Result<Arc<dyn TableProvider>> {
        let parts = PostgresParts(Arc::clone(&self.reading));
        Ok(Arc::new(PartsTable::new(Arc::new(parts), quarantine)))
    }

    async fn scan(&self, quarantine: Arc<dyn Quarantine>) -> Result<SendableRecordBatchStream> {
        Ok(PostgresParts(Arc::clone(&self.reading)).open(0, 1, None, quarantine))
    }
}

#[derive(Debug)]
struct PostgresParts(Arc<Reading>);

impl Parts for PostgresParts {
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
        let schema = match &projection {
            None => Ok(Arc::clone(&reading.schema)),
            Some(columns) => reading.schema.project(columns).map(Arc::new),
        };
        let schema = match schema {
            Ok(schema) => schema,
            Err(error) => return adapt(&reading.schema, stream::iter([Err(error.into())])),
        };
        let batches = stream::once(rows(reading, quarantine)).try_flatten();
        let projected = batches.map(move |batch: Result<RecordBatch>| match &projection {
            None => batch,
            Some(columns) => Ok(batch?.project(columns)?),
        });
        adapt(&schema, projected)
    }
}

/// Connects, starts the COPY and decodes what comes.
async fn rows(
    reading: Arc<Reading>,
    quarantine: Arc<dyn Quarantine>,
) -> Result<BoxStream<'static, Result<RecordBatch>>> {
    let client = connect(&reading.config).await?;
    let server = server_name(&reading.config);
    let fail = |error: tokio_postgres::Error| failed(&server, &error);
    let bytes = client.copy_out(&reading.sql).await.map_err(fail)?;
    let decoder = CopyDecoder::new(&reading.place, &reading.schema, CopyOptions::text())?
        .lenient(&reading.source, quarantine);
    // The client lives as long as the stream: dropping it would end the connection.
    let state = Some((Box::pin(bytes), decoder, client, server));
    let batches = stream::try_unfold(state, |state| async move {
        let Some((mut bytes, mut decoder, client, server)) = state else {
            return Ok(None);
        };
        loop {
            match bytes.next().await {
                Some(Ok(chunk)) => {
                    let batches = decoder.push(&chunk)?;
                    if !batches.is_empty() {
                        return Ok(Some((batches, Some((bytes, decoder, client, server)))));
                    }
                }
                Some(Err(error)) => return Err(failed(&server, &error)),
                None => return Ok(Some((decoder.finish()?, None))),
            }
        }
    });
    Ok(batches
        .map_ok(|list| stream::iter(list.into_iter().map(Ok)))
        .try_flatten()
        .boxed())
}
