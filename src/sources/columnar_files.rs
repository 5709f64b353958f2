//! Parquet and Arrow IPC files as a bounded source.
//!
//! Batch queries read Parquet through DataFusion's own listing table, with its pruning and pushdown. A full
//! scan (into a topic, or for REFRESH) uses the plain reader, which needs no query session. Arrow files have
//! one reader for both, because DataFusion's does not convert types. All give Lotic's types: one string
//! type, whatever the file holds.

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, RecordBatchReader};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::ipc::reader::{FileReader, StreamReader};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::file_format::parquet::ParquetFormat;
use datafusion::datasource::listing::{ListingOptions, ListingTableConfig, ListingTableUrl};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use futures::StreamExt;
use futures::stream;
use lotic_udfs::json;
use object_store::local::LocalFileSystem;
use tokio::runtime::Handle;

use super::bounded::BoundedSource;
use super::decode::string_type;
use super::files::{FilePlace, FileRef, find};
use super::options::{Compression, Format, SourceOptions};
use super::parquet_table::ParquetTable;
use super::quarantine::Quarantine;
use super::stream::{Parts, PartsTable, adapt, from_thread};
use crate::base::{Error, Kind, Result};

/// The private scheme under which listing tables find the user's files: SQL text cannot name it.
const SCHEME: &str = "lotic-source";
const BATCH_ROWS: usize = 8192;

/// Files of a columnar format.
#[derive(Debug)]
pub(crate) struct ColumnarFiles {
    address: String,
    parts: Arc<ColumnarParts>,
}

#[derive(Debug)]
struct ColumnarParts {
    format: Format,
    files: Vec<FileRef>,
    schema: SchemaRef,
}

impl ColumnarFiles {
    /// Finds the files; without `declared`, the columns are those of the first.
    pub(crate) async fn open(options: &SourceOptions, declared: Option<SchemaRef>) -> Result<Self> {
        let format = options.format.unwrap_or(Format::Parquet);
        let files = find(options).await?;
        let first = files
            .first()
            .cloned()
            .ok_or_else(|| Error::internal("a source without files"))?;
        let handle = Handle::current();
        let mut found = from_thread("read-schema", move |give| {
            give.give(open_file(&first, format, &handle)?.schema());
            Ok(())
        })?;
        let own = found
            .next()
            .await
            .unwrap_or_else(|| Err(Error::internal("no schema was read")))?;
        let schema = match declared {
            Some(declared) => {
                column_map(&own, &declared, &files[0].name)?;
                declared
            }
            None => Arc::new(normal(&own, files.len() == 1)),
        };
        let parts = Arc::new(ColumnarParts {
            format,
            files,
            schema,
        });
        Ok(Self {
            address: options.location.to_string(),
            parts,
        })
    }

    /// The table path of a file, its store registered with the session under the private scheme.
    fn listing_url(&self, session: &dyn Session, file: &FileRef) -> Result<ListingTableUrl> {
        let (store, host, path): (Arc<dyn object_store::ObjectStore>, String, String) =
            match &file.place {
                FilePlace::Local(path) => {
                    let absolute = std::path::absolute(path)
                        .map_err(|error| Error::io(format!("find {}", file.name), &error))?;
                    let path = object_store::path::Path::from_absolute_path(absolute)
                        .map_err(|error| Error::invalid(format!("{}: {error}", file.name)))?;
                    (
                        Arc::new(LocalFileSystem::new()),
                        "local".to_owned(),
                        path.to_string(),
                    )
                }
                FilePlace::Remote(file) => {
                    let host = format!(
                        "remote-{:016x}",
                        xxhash_rust::xxh3::xxh3_64(self.address.as_bytes())
                    );
                    (Arc::clone(&file.store), host, file.path.to_string())
                }
            };
        let base = format!("{SCHEME}://{host}");
        let invalid = |error: url::ParseError| Error::invalid(format!("{}: {error}", file.name));
        let store_url = url::Url::parse(&base).map_err(invalid)?;
        session
            .runtime_env()
            .register_object_store(&store_url, store);
        // Set as a path, so that `?`, `#` and glob characters in a name stand for themselves.
        let mut url = url::Url::parse(&format!("{base}/")).map_err(invalid)?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.clear().extend(path.split('/'));
        }
        Ok(ListingTableUrl::try_new(url, None)?)
    }
}

#[async_trait]
impl BoundedSource for ColumnarFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.parts.schema)
    }

    fn describe(&self) -> String {
        let kind = if self.parts.format == Format::Parquet {
            "parquet"
        } else {
            "arrow"
        };
        format!("{kind} {} ({} files)", self.address, self.parts.files.len())
    }

    async fn table_provider(
        &self,
        session: &dyn Session,
        quarantine: Arc<dyn Quarantine>,
    ) -> Result<Arc<dyn TableProvider>> {
        let whole = self
            .parts
            .files
            .iter()
            .all(|file| file.compression == Compression::None);
        if self.parts.format != Format::Parquet || !whole {
            let parts: Arc<dyn Parts> = Arc::<ColumnarParts>::clone(&self.parts);
            return Ok(Arc::new(PartsTable::new(parts, quarantine)));
        }
        let urls = self
            .parts
            .files
            .iter()
            .map(|file| self.listing_url(session, file));
        let urls = urls.collect::<Result<Vec<_>>>()?;
        let options =
            ListingOptions::new(Arc::new(ParquetFormat::default())).with_file_extension("");
        let config = ListingTableConfig::new_with_multi_paths(urls)
            .with_listing_options(options)
            .with_schema(Arc::clone(&self.parts.schema));
        Ok(Arc::new(ParquetTable::open(session, config).await?))
    }

    async fn scan(&self, quarantine: Arc<dyn Quarantine>) -> Result<SendableRecordBatchStream> {
        Ok(self.parts.open(0, 1, None, quarantine))
    }
}

impl Parts for ColumnarParts {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn count(&self, target: usize) -> usize {
        self.files.len().min(target).max(1)
    }

    fn open(
        &self,
        part: usize,
        count: usize,
        projection: Option<Vec<usize>>,
        _quarantine: Arc<dyn Quarantine>,
    ) -> SendableRecordBatchStream {
        let files: Vec<FileRef> = self
            .files
            .iter()
            .skip(part)
            .step_by(count)
            .cloned()
            .collect();
        let format = self.format;
        let schema = match &projection {
            None => Ok(Arc::clone(&self.schema)),
            Some(columns) => self.schema.project(columns).map(Arc::new),
        };
        let schema = match schema {
            Ok(schema) => schema,
            Err(error) => return adapt(&self.schema, stream::iter([Err(error.into())])),
        };
        let (target, handle) = (Arc::clone(&schema), Handle::current());
        let batches = from_thread("read-file", move |give| {
            for file in &files {
                let reader = open_file(file, format, &handle)?;
                let map = column_map(&reader.schema(), &target, &file.name)?;
                for batch in reader {
                    let batch = batch.map_err(|error| damaged(file, &error))?;
                    if !give.give(conform(&batch, &map, &target, file)?) {
                        return Ok(());
                    }
                }
            }
            Ok(())
        });
        match batches {
            Ok(batches) => adapt(&schema, batches),
            Err(error) => adapt(&schema, stream::iter([Err(error)])),
        }
    }
}

type Reader = Box<dyn RecordBatchReader + Send>;

fn open_file(file: &FileRef, format: Format, handle: &Handle) -> Result<Reader> {
    match (&file.place, file.compression) {
        (FilePlace::Local(path), Compression::None) => {
            let input = File::open(path)
                .map_err(|error| Error::io(format!("open {}", file.name), &error))?;
            if format == Format::Parquet {
                return parquet(file, input);
            }
            ipc(file, BufReader::new(input))
        }
        _ => {
            let mut bytes = Vec::new();
            file.open(handle)?
                .read_to_end(&mut bytes)
                .map_err(|error| Error::io(format!("read {}", file.name), &error))?;
            if format == Format::Parquet {
                return parquet(file, Bytes::from(bytes));
            }
            ipc(file, Cursor::new(bytes))
        }
    }
}

fn parquet<R>(file: &FileRef, input: R) -> Result<Reader>
where
    R: datafusion::parquet::file::reader::ChunkReader + 'static,
{
    let built = ParquetRecordBatchReaderBuilder::try_new(input)
        .and_then(|builder| builder.with_batch_size(BATCH_ROWS).build());
    Ok(Box::new(built.map_err(|error| damaged(file, &error))?))
}

/// An IPC file, or an IPC stream when it has not a file's magic bytes.
fn ipc<R: Read + Seek + Send + 'static>(file: &FileRef, mut input: R) -> Result<Reader> {
    let mut magic = [0; 6];
    let read = input
        .read(&mut magic)
        .and_then(|count| input.rewind().map(|()| count));
    let count = read.map_err(|error| Error::io(format!("read {}", file.name), &error))?;
    if count == magic.len() && &magic == b"ARROW1" {
        return Ok(Box::new(
            FileReader::try_new(input, None).map_err(|error| damaged(file, &error))?,
        ));
    }
    Ok(Box::new(
        StreamReader::try_new(input, None).map_err(|error| damaged(file, &error))?,
    ))
}

fn damaged(file: &FileRef, error: &dyn std::fmt::Display) -> Error {
    Error::new(
        Kind::Invalid,
        "22000",
        format!("{} cannot be read: {error}", file.name),
    )
}

/// Lotic's types for a file's: one string type, no dictionaries. A column without NULLs in the first file may have some in the next.
fn normal(schema: &Schema, is_only_one: bool) -> Schema {
    let fields: Vec<Field> = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = normal_type(field.data_type());
            Field::new(field.name(), data_type, field.is_nullable() || !is_only_one)
        })
        .collect();
    Schema::new(fields)
}

fn normal_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 => string_type(),
        DataType::Binary | DataType::LargeBinary => DataType::BinaryView,
        DataType::Dictionary(_, value) => normal_type(value),
        other => other.clone(),
    }
}

/// For each declared column, its place in the file.
fn column_map(own: &Schema, declared: &Schema, file: &str) -> Result<Vec<usize>> {
    let map = declared
        .fields()
        .iter()
        .map(|field| match own.index_of(field.name()) {
            Ok(index) => Ok(index),
            Err(_) => {
                let names: Vec<&str> = own
                    .fields()
                    .iter()
                    .map(|field| field.name().as_str())
                    .collect();
                let text = format!("{file} has no column \"{}\"", field.name());
                Err(Error::new(Kind::Invalid, "42703", text)
                    .with_detail(format!("it has: {}", names.join(", "))))
            }
        });
    map.collect()
}

fn conform(
    batch: &RecordBatch,
    map: &[usize],
    schema: &SchemaRef,
    file: &FileRef,
) -> Result<RecordBatch> {
    // A value that its declared type cannot hold is an error, as in the listing table: such files have
    // types of their own, so the declaration is wrong and not the row.
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let columns = schema
        .fields()
        .iter()
        .zip(map)
        .map(|(field, &from)| -> Result<ArrayRef> {
            let column = batch.column(from);
            if *field.data_type() == json::TYPE {
                // A file's own text of this Arrow type is any text.
                let texts = cast_with_options(column, &DataType::Utf8View, &options)?;
                return json::parsed(&texts).map_err(|error| {
                    Error::from(error).at(format!("{}, column \"{}\"", file.name, field.name()))
                });
            }
            if column.data_type() == field.data_type() {
                return Ok(Arc::clone(column));
            }
            cast_with_options(column, field.data_type(), &options).map_err(|error| {
                Error::from(error).at(format!("{}, column \"{}\"", file.name, field.name()))
            })
        });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::from(error).at(&file.name))
}
