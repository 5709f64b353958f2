//! CSV and NDJSON files as a bounded source.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use futures::stream;
use tokio::runtime::Handle;

use super::bounded::BoundedSource;
use super::decode::{Cells, TextFormat, TextReader, TextSplitter};
use super::files::{FileRef, find};
use super::options::{Format, SourceOptions};
use super::quarantine::Quarantine;
use super::stream::{Parts, PartsTable, adapt, from_thread};
use crate::base::meter::Meter;
use crate::base::{Error, Result};

/// The text format that `options` describe.
pub(crate) fn text_format(options: &SourceOptions) -> Result<TextFormat> {
    let nulls = options.nulls.clone();
    match options.format {
        Some(Format::Csv) => Ok(TextFormat::Csv {
            dialect: options.dialect,
            header: options.header,
            nulls,
        }),
        Some(Format::Ndjson) => Ok(TextFormat::Ndjson { nulls }),
        _ => Err(Error::internal(
            "a text format was asked of a source that has none",
        )),
    }
}

/// Files of a text format.
#[derive(Debug)]
pub(crate) struct TextFiles {
    parts: Arc<TextParts>,
    address: String,
}

#[derive(Debug)]
struct TextParts {
    source: String,
    format: TextFormat,
    files: Vec<FileRef>,
    schema: SchemaRef,
    meter: Arc<Meter>,
}

impl TextFiles {
    /// Finds the files and, without `declared`, infers the columns from the first of them.
    pub(crate) async fn open(options: &SourceOptions, declared: Option<SchemaRef>) -> Result<Self> {
        let format = text_format(options)?;
        let files = find(options).await?;
        let schema = match declared {
            Some(schema) => schema,
            None => infer(&format, &files).await?,
        };
        let source = options.name.clone();
        let parts = Arc::new(TextParts {
            source,
            format,
            files,
            schema,
            meter: Arc::clone(&options.meter),
        });
        Ok(Self {
            parts,
            address: options.location.to_string(),
        })
    }
}

async fn infer(format: &TextFormat, files: &[FileRef]) -> Result<SchemaRef> {
    let file = files
        .first()
        .cloned()
        .ok_or_else(|| Error::internal("a source without files"))?;
    let format = format.clone();
    let handle = Handle::current();
    let mut found = from_thread("infer", move |give| {
        let schema = format.infer(&file.name, file.open(&handle)?)?;
        if schema.fields().is_empty() {
            return Err(Error::invalid(format!("{} shows no columns", file.name))
                .with_hint("declare the columns of the source"));
        }
        give.give(schema);
        Ok(())
    })?;
    found
        .next()
        .await
        .unwrap_or_else(|| Err(Error::internal("no schema was inferred")))
}

#[async_trait]
impl BoundedSource for TextFiles {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.parts.schema)
    }

    fn describe(&self) -> String {
        let kind = match self.parts.format {
            TextFormat::Csv { .. } => "csv",
            TextFormat::Ndjson { .. } => "ndjson",
        };
        format!("{kind} {} ({} files)", self.address, self.parts.files.len())
    }

    async fn table_provider(
        &self,
        _session: &dyn Session,
        quarantine: Arc<dyn Quarantine>,
    ) -> Result<Arc<dyn TableProvider>> {
        let parts: Arc<dyn Parts> = Arc::<TextParts>::clone(&self.parts);
        Ok(Arc::new(PartsTable::new(parts, quarantine)))
    }

    async fn scan(&self, quarantine: Arc<dyn Quarantine>) -> Result<SendableRecordBatchStream> {
        Ok(self.parts.open(0, 1, None, quarantine))
    }
}

impl Parts for TextParts {
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
        quarantine: Arc<dyn Quarantine>,
    ) -> SendableRecordBatchStream {
        let projected = match &projection {
            Some(columns) => match self.schema.project(columns) {
                Ok(schema) => Arc::new(schema),
                Err(error) => {
                    return adapt(&self.schema, stream::iter([Err(Error::from(error))]));
                }
            },
            None => Arc::clone(&self.schema),
        };
        let files: Vec<FileRef> = self
            .files
            .iter()
            .skip(part)
            .step_by(count)
            .cloned()
            .collect();
        let sizes = files.iter().filter_map(|file| file.size_bytes);
        self.meter.expect_bytes(sizes.sum());
        let meter = Arc::clone(&self.meter);
        let splitters = files.into_iter().map(|file| {
            let splitter = TextSplitter::new(
                self.format.clone(),
                &self.source,
                &file.name,
                &self.schema,
                projection.clone(),
            );
            (file, splitter)
        });
        let splitters: Vec<_> = splitters.collect();
        let batches = stream::iter(splitters)
            .map(move |(file, splitter)| {
                one_file(file, splitter, Arc::clone(&quarantine), Arc::clone(&meter))
            })
            .flatten();
        adapt(&projected, batches)
    }
}

/// The batches of one file: a thread reads, decompresses and splits; the consumer reads the values.
fn one_file(
    file: FileRef,
    splitter: TextSplitter,
    quarantine: Arc<dyn Quarantine>,
    meter: Arc<Meter>,
) -> impl futures::Stream<Item = Result<RecordBatch>> + Send {
    let handle = Handle::current();
    let work = move |give: &super::stream::Give<(Arc<TextSplitter>, Cells)>| {
        let mut reader = TextReader::new(file.open_counted(&handle, meter)?, splitter);
        let mut shared: Option<Arc<TextSplitter>> = None;
        while let Some(cells) = reader.next_cells()? {
            // The splitter does not change once its first cells are there.
            let splitter = shared.get_or_insert_with(|| Arc::new(reader.splitter().clone()));
            if !give.give((Arc::clone(splitter), cells)) {
                break;
            }
        }
        Ok(())
    };
    match from_thread("read-file", work) {
        Err(error) => stream::iter([Err(error)]).boxed(),
        Ok(blocks) => blocks
            .map(move |item| {
                let (splitter, cells) = item?;
                splitter.read(&cells, quarantine.as_ref())
            })
            .boxed(),
    }
}
