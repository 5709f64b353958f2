//! A topic as a table: its rows with `_partition`, `_offset`, `_timestamp` and `_weight`, read from
//! the log itself.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result as DfResult};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchReceiverStream;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use super::writer::holds_rows;
use crate::base::{Offset, PartitionId, Result};
use crate::transport::{ReadRecord, Topic};
use crate::zset::encode::decode_delta;

/// The log of one table or stream.
#[derive(Debug)]
pub(crate) struct TopicTable {
    topic: Arc<Topic>,
    rows: SchemaRef,
    schema: SchemaRef,
}

impl TopicTable {
    /// The log in `topic`, whose rows have schema `rows`.
    pub(crate) fn new(topic: Arc<Topic>, rows: &SchemaRef) -> Self {
        let mut fields: Vec<Arc<Field>> = rows.fields().iter().map(Arc::clone).collect();
        let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        for (name, data_type) in [
            ("_partition", DataType::Int32),
            ("_offset", DataType::Int64),
            ("_timestamp", utc),
            ("_weight", DataType::Int64),
        ] {
            fields.push(Arc::new(Field::new(name, data_type, false)));
        }
        Self {
            topic,
            rows: Arc::clone(rows),
            schema: Arc::new(Schema::new(fields)),
        }
    }
}

#[async_trait]
impl TableProvider for TopicTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        _state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        limit: Option<usize>,
    ) -> DfResult<Arc<dyn ExecutionPlan>> {
        let partitions = (0..self.topic.partitions())
            .map(|partition| {
                Arc::new(TopicPartition {
                    topic: Arc::clone(&self.topic),
                    partition: PartitionId(partition),
                    rows: Arc::clone(&self.rows),
                    schema: Arc::clone(&self.schema),
                }) as Arc<dyn PartitionStream>
            })
            .collect();
        Ok(Arc::new(StreamingTableExec::try_new(
            Arc::clone(&self.schema),
            partitions,
            projection,
            None,
            false,
            limit,
        )?))
    }
}

#[derive(Clone, Debug)]
struct TopicPartition {
    topic: Arc<Topic>,
    partition: PartitionId,
    rows: SchemaRef,
    schema: SchemaRef,
}

impl PartitionStream for TopicPartition {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder = RecordBatchReceiverStream::builder(Arc::clone(&self.schema), 2);
        let sender = builder.tx();
        let this = self.clone();
        builder.spawn_blocking(move || {
            let (first, _) = this.topic.bounds(this.partition);
            let reader = this
                .topic
                .read(this.partition, first)
                .map_err(DataFusionError::from)?;
            for record in reader {
                let record = record.map_err(DataFusionError::from)?;
                if !holds_rows(record.flags) {
                    continue;
                }
                let batch = this.batch(&record).map_err(DataFusionError::from);
                if sender.blocking_send(batch).is_err() {
                    return Ok(());
                }
            }
            Ok(())
        });
        builder.build()
    }
}

impl TopicPartition {
    fn batch(&self, record: &ReadRecord) -> Result<RecordBatch> {
        let delta = decode_delta(&self.rows, &record.payload)?;
        let count = delta.rows();
        let mut columns: Vec<ArrayRef> = delta.batch().columns().to_vec();
        let partition = i32::try_from(self.partition.0).unwrap_or(i32::MAX);
        columns.push(Arc::new(Int32Array::from_value(partition, count)));
        let Offset(first) = record.first_offset;
        let first = i64::try_from(first).unwrap_or(i64::MAX);
        let rows = i64::try_from(count).unwrap_or(0);
        columns.push(Arc::new(Int64Array::from_iter_values(
            first..first.saturating_add(rows),
        )));
        let times = TimestampMicrosecondArray::from_value(record.timestamp_us, count);
        columns.push(Arc::new(times.with_timezone("UTC")));
        columns.push(Arc::new(Int64Array::from_iter_values(
            (0..count).map(|row| delta.weight(row)),
        )));
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }
}
