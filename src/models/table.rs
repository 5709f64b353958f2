//! A snapshot as a DataFusion table.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Constraint, Constraints, Statistics};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;

use super::Snapshot;

/// A snapshot that queries read.
#[derive(Debug)]
pub struct SnapshotTable {
    snapshot: Arc<Snapshot>,
    table_type: TableType,
    constraints: Constraints,
    rows: usize,
}

impl SnapshotTable {
    /// A table over `snapshot`.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            rows: snapshot.rows(),
            snapshot,
            table_type: TableType::Base,
            constraints: Constraints::default(),
        }
    }

    /// With the columns of a primary key that no two rows share and no row lacks. Plans rely on it: it must be one that is
    /// enforced.
    #[must_use]
    pub fn with_key(mut self, key: &[usize]) -> Self {
        if !key.is_empty() {
            let key = Constraint::PrimaryKey(key.to_vec());
            self.constraints = Constraints::new_unverified(vec![key]);
        }
        self
    }

    /// A table of no rows that a planner takes for one of `rows`.
    pub fn shape(schema: SchemaRef, rows: usize) -> Self {
        Self {
            rows,
            snapshot: Arc::new(Snapshot::empty(schema)),
            table_type: TableType::Base,
            constraints: Constraints::default(),
        }
    }
}

#[async_trait]
impl TableProvider for SnapshotTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(self.snapshot.schema())
    }

    fn table_type(&self) -> TableType {
        self.table_type
    }

    fn constraints(&self) -> Option<&Constraints> {
        Some(&self.constraints)
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(self.snapshot.schema());
        statistics.num_rows = Precision::Inexact(self.rows);
        Some(statistics)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let batches = self.snapshot.batches()?;
        let partitions = split(batches, state.config().target_partitions());
        let config = MemorySourceConfig::try_new(&partitions, self.schema(), projection.cloned())?;
        Ok(DataSourceExec::from_data_source(config))
    }
}

/// Deals whole batches to at most `parts` partitions of similar size.
fn split(batches: Vec<RecordBatch>, parts: usize) -> Vec<Vec<RecordBatch>> {
    let parts = parts.clamp(1, batches.len().max(1));
    let mut partitions: Vec<(usize, Vec<RecordBatch>)> = vec![(0, Vec::new()); parts];
    for batch in batches {
        if let Some((rows, partition)) = partitions.iter_mut().min_by_key(|(rows, _)| *rows) {
            *rows += batch.num_rows();
            partition.push(batch);
        }
    }
    partitions.into_iter().map(|(_, batches)| batches).collect()
}
