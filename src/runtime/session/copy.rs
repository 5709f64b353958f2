//! COPY FROM STDIN and COPY TO STDOUT.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use datafusion::common::ScalarValue;
use futures::StreamExt;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::transaction::{Staged, Transaction};
use super::{Response, Session, TransactionStatus, public};
use crate::base::{Epoch, Error, Result};
use crate::catalog::Object;
use crate::planner::parse::{CopyFormat, CopyFrom, CopyOptions, CopySource, CopyTo};
use crate::runtime::defaults::Defaults;
use crate::runtime::dml::targets;
use crate::runtime::plan::query_of;
use crate::runtime::values::check_not_null;
use crate::runtime::writer::{WriteOptions, Writer};
use crate::sinks::CopyEncoder;
use crate::sources::{self, CopyDecoder};

/// The most bytes of rows that one COPY holds before it is committed.
const COPY_BYTES: usize = 1 << 30;

/// Where the bytes of a COPY FROM STDIN go. Rows are committed all together by [`CopyIn::finish`];
/// dropped without it, nothing is kept.
pub struct CopyIn {
    object: Object,
    writer: Arc<Writer>,
    targets: Vec<usize>,
    /// Of the columns that it does not name.
    defaults: Defaults,
    decoder: CopyDecoder,
    batches: Vec<RecordBatch>,
    bytes: usize,
    transaction: Arc<Mutex<Transaction>>,
    unseen: Arc<Mutex<Vec<oneshot::Receiver<Result<Epoch>>>>>,
}

impl CopyIn {
    /// How many columns a row has.
    pub fn columns(&self) -> usize {
        self.targets.len()
    }

    /// Takes the next bytes; they may end inside a row.
    ///
    /// # Errors
    /// When they are malformed, naming the line, or when the rows take too much memory.
    pub async fn push(&mut self, bytes: Bytes) -> Result<()> {
        let batches = self.decoder.push(&bytes)?;
        self.keep(batches)?;
        tokio::task::consume_budget().await;
        Ok(())
    }

    /// Commits the rows; gives the tag, as in `COPY 7`.
    ///
    /// # Errors
    /// When the last row is cut off, a key is there already or the log cannot write. Then no row
    /// is kept.
    pub async fn finish(mut self) -> Result<String> {
        let batches = self.decoder.finish()?;
        self.keep(batches)?;
        let rows: usize = self.batches.iter().map(RecordBatch::num_rows).sum();
        if rows == 0 {
            return Ok("COPY 0".to_owned());
        }
        {
            let mut transaction = self.transaction.lock();
            if transaction.status == TransactionStatus::InTransaction {
                let table = self.object.name.clone();
                transaction.stage(
                    self.object.id,
                    Staged::Rows {
                        table,
                        batches: self.batches,
                    },
                );
                return Ok(format!("COPY {rows}"));
            }
        }
        let receipt = self
            .writer
            .insert(self.batches, WriteOptions::default())
            .await?;
        self.unseen.lock().push(receipt.visible);
        Ok(format!("COPY {rows}"))
    }

    fn keep(&mut self, batches: Vec<RecordBatch>) -> Result<()> {
        for batch in batches {
            let schema = &self.object.schema;
            let mut columns = self.defaults.columns(schema, batch.num_rows())?;
            for (target, column) in self.targets.iter().zip(batch.columns()) {
                columns[*target] = Arc::clone(column);
            }
            check_not_null(schema, &columns)?;
            let whole = RecordBatch::try_new(Arc::clone(schema), columns)?;
            self.bytes += whole.get_array_memory_size();
            self.batches.push(whole);
        }
        if self.bytes > COPY_BYTES {
            return Err(Error::out_of_memory(format!(
                "COPY into \"{}\" holds more than {} MiB before it is committed",
                self.object.name,
                COPY_BYTES >> 20
            ))
            .with_hint("copy in smaller pieces, or read the file with CREATE TABLE ... WITH (connector = 'file')"));
        }
        Ok(())
    }
}

impl Session {
    pub(super) async fn copy_in(&mut self, copy: &CopyFrom) -> Result<Response> {
        public(&copy.table)?;
        let (object, writer) = Arc::clone(&self.lotic)
            .writable(&copy.table.name, true)
            .await?;
        let places = targets(&object, &copy.columns)?;
        let schema = Arc::new(object.schema.project(&places)?);
        let defaults = self.lotic.defaults_of(&object).await?;
        let decoder = CopyDecoder::new(&object.name, &schema, rules_of(&copy.options)?)?;
        Ok(Response::CopyIn(CopyIn {
            object,
            writer,
            targets: places,
            defaults,
            decoder,
            batches: Vec::new(),
            bytes: 0,
            transaction: Arc::clone(&self.transaction),
            unseen: Arc::clone(&self.unseen),
        }))
    }

    pub(super) async fn copy_out(&mut self, copy: &CopyTo) -> Result<Response> {
        let query = match &copy.source {
            CopySource::Query(query) => query.as_ref().clone(),
            CopySource::Relation { name, columns } => {
                let quote = |name: &String| format!("\"{}\"", name.replace('"', "\"\""));
                let columns = if columns.is_empty() {
                    "*".to_owned()
                } else {
                    columns.iter().map(quote).collect::<Vec<_>>().join(", ")
                };
                let schema = name
                    .schema
                    .as_ref()
                    .map_or(String::new(), |s| quote(s) + ".");
                query_of(&format!(
                    "SELECT {columns} FROM {schema}{}",
                    quote(&name.name)
                ))?
            }
        };
        let none: [ScalarValue; 0] = [];
        let (schema, stream) = self.open(query, &none).await?;
        let encoder = CopyEncoder::new(rules_of(&copy.options)?);
        let head = Ok(encoder.header(&schema));
        let columns = schema.fields().len();
        let binary = copy.options.format == CopyFormat::Binary;
        let body = stream.map(move |batch| encoder.encode(&batch.map_err(Error::from)?));
        let stream = futures::stream::iter([head]).chain(body).boxed();
        Ok(Response::CopyOut {
            stream,
            columns,
            binary,
        })
    }
}

/// The options as decoders and encoders take them.
fn rules_of(options: &CopyOptions) -> Result<sources::CopyOptions> {
    let format = match options.format {
        CopyFormat::Text => sources::CopyFormat::Text,
        CopyFormat::Csv => sources::CopyFormat::Csv,
        CopyFormat::Binary => {
            return Err(Error::unsupported("COPY in binary format is not supported")
                .with_hint("use FORMAT text or FORMAT csv"));
        }
    };
    Ok(sources::CopyOptions {
        format,
        header: options.header,
        delimiter: options.delimiter,
        null: options.null.clone(),
        quote: options.quote,
        escape: options.escape,
        force_quote: false,
    })
}
