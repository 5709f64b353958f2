//! Rows pushed by others than SQL: the HTTP port.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use bytes::Bytes;

use super::instance::{Lotic, blocking};
use super::values::check_not_null;
use super::writer::WriteOptions;
use crate::base::Result;
use crate::sources::{BadRecord, PushedRows, Quarantine, decode_push};

pub use crate::sources::PushFormat;

/// What became of a push.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Rows that are on disk.
    pub rows: u64,
    /// Records that could not be read, and are in the quarantine.
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
        let offsets = receipt
            .places
            .iter()
            .map(|(partition, offset, rows)| (partition.0, offset.0, *rows))
            .collect();
        Ok(Pushed {
            rows: receipt.rows,
            quarantined,
            offsets,
        })
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
