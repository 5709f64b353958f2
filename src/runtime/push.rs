//! Rows pushed by others than SQL: the HTTP port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use bytes::Bytes;

use super::instance::{Lotic, blocking};
use super::values::check_not_null;
use super::writer::{Receipt, WriteOptions};
use crate::base::{Error, Result};
use crate::sources::{BadRecord, PushedRows, Quarantine, decode_push};

pub use crate::sources::PushFormat;

/// What became of a push.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Rows that are on disk.
    pub rows: u64,
    /// Records that could not be read or came too late, and are in the quarantine.
    pub quarantined: u64,
    /// Where the rows lie: partition, first offset, rows.
    pub offsets: Vec<(u32, u64, u64)>,
}

impl Lotic {
    /// Decodes `body` and appends its rows to a table or push topic. Returns when they are on disk.
    ///
    /// # Errors
    /// When there is no such topic, the body as a whole is malformed, or the log cannot write.
    pub async fn push_rows(
        self: &Arc<Self>,
        topic: &str,
        format: PushFormat,
        body: Bytes,
    ) -> Result<Pushed> {
        let (object, writer) = self.writable(topic, true).await?;
        let counting = Arc::new(Counting {
            inner: Arc::clone(self.quarantine()) as _,
            bad: AtomicU64::new(0),
        });
        let defaults = self.defaults_of(&object).await?;
        let (schema, name) = (Arc::clone(&object.schema), object.name.clone());
        let quarantine = Arc::clone(&counting);
        let batches = blocking(move || {
            let rows = PushedRows {
                topic: &name,
                schema: &schema,
                defaults: defaults.by_column(),
            };
            let batches = decode_push(format, body, &rows, quarantine.as_ref())?;
            for batch in &batches {
                check_not_null(&schema, batch.columns())?;
            }
            Ok(batches)
        })
        .await?;
        let quarantined = counting.bad.load(Ordering::Relaxed);
        if batches
            .iter()
            .all(|batch: &RecordBatch| batch.num_rows() == 0)
        {
            return Ok(Pushed {
                rows: 0,
                quarantined,
                offsets: Vec::new(),
            });
        }
        let receipt = writer.insert(batches, WriteOptions::default()).await?;
        Ok(pushed(&receipt, quarantined))
    }

    /// Appends rows that are columns already to a table or push topic: its columns, in their order.
    /// Returns when they are on disk.
    ///
    /// # Errors
    /// When there is no such topic, the columns are not its own, or the log cannot write.
    pub async fn push_batches(
        self: &Arc<Self>,
        topic: &str,
        batches: Vec<RecordBatch>,
    ) -> Result<Pushed> {
        let (object, writer) = self.writable(topic, true).await?;
        let mut rows = Vec::with_capacity(batches.len());
        for batch in batches.into_iter().filter(|batch| batch.num_rows() > 0) {
            check_not_null(&object.schema, batch.columns())?;
            let batch = RecordBatch::try_new(Arc::clone(&object.schema), batch.columns().to_vec())
                .map_err(|error| {
                    Error::invalid(format!("these are not the columns of \"{topic}\""))
                        .with_detail(error.to_string())
                })?;
            rows.push(batch);
        }
        if rows.is_empty() {
            return Ok(Pushed {
                rows: 0,
                quarantined: 0,
                offsets: Vec::new(),
            });
        }
        let receipt = writer.insert(rows, WriteOptions::default()).await?;
        Ok(pushed(&receipt, 0))
    }

    /// Waits until every row that was on disk before the call is visible.
    ///
    /// # Errors
    /// When the engine is stopping.
    pub async fn flush(&self) -> Result<()> {
        self.driver().flush().await.map(drop)
    }
}

fn pushed(receipt: &Receipt, quarantined: u64) -> Pushed {
    let offsets = receipt
        .places
        .iter()
        .map(|(partition, offset, rows)| (partition.0, offset.0, *rows))
        .collect();
    Pushed {
        rows: receipt.rows,
        quarantined: quarantined.saturating_add(receipt.late),
        offsets,
    }
}

/// Counts what goes to the quarantine.
#[derive(Debug)]
struct Counting {
    inner: Arc<dyn Quarantine>,
    bad: AtomicU64,
}

impl Quarantine for Counting {
    fn put(&self, record: BadRecord) -> Result<()> {
        self.bad.fetch_add(1, Ordering::Relaxed);
        self.inner.put(record)
    }
}
