//! Parquet files as DataFusion's listing table, which also tells the number of its rows before it is scanned:
//! the order of joins is chosen by it.

use std::borrow::Cow;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{ScanArgs, ScanResult, Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, Constraints, Statistics};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::{ListingTable, ListingTableConfig};
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfig, FileScanConfigBuilder};
use datafusion::datasource::source::DataSourceExec;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlan, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;

use crate::zset::canonical::holds_floats;

/// A listing table and its rows.
#[derive(Debug)]
pub(super) struct ParquetTable {
    listing: ListingTable,
    rows: Precision<usize>,
}

impl ParquetTable {
    /// The table of `config`. Reads the ends of its files, which a scan in the same session then finds in the
    /// session's cache.
    ///
    /// # Errors
    /// When the configuration is not whole. Files that cannot be read fail the scan, not this.
    pub(super) async fn open(session: &dyn Session, config: ListingTableConfig) -> Result<Self> {
        let cache = session
            .runtime_env()
            .cache_manager
            .get_file_statistic_cache();
        let listing = ListingTable::try_new(config)?.with_cache(cache);
        let rows = match listing.list_files_for_scan(session, &[], None).await {
            Ok(found) => found.statistics.num_rows.to_inexact(),
            Err(_) => Precision::Absent,
        };
        Ok(Self { listing, rows })
    }
}

#[async_trait]
impl TableProvider for ParquetTable {
    fn schema(&self) -> SchemaRef {
        self.listing.schema()
    }

    fn constraints(&self) -> Option<&Constraints> {
        self.listing.constraints()
    }

    fn table_type(&self) -> TableType {
        self.listing.table_type()
    }

    fn get_logical_plan(&self) -> Option<Cow<'_, LogicalPlan>> {
        self.listing.get_logical_plan()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scan = self.listing.scan(state, projection, filters, limit).await?;
        Ok(without_float_statistics(scan))
    }

    async fn scan_with_args<'a>(
        &self,
        state: &dyn Session,
        args: ScanArgs<'a>,
    ) -> Result<ScanResult> {
        let scan = self.listing.scan_with_args(state, args).await?;
        Ok(without_float_statistics(scan.into_inner()).into())
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        self.listing.supports_filters_pushdown(filters)
    }

    fn statistics(&self) -> Option<Statistics> {
        let mut statistics = Statistics::new_unknown(&self.schema());
        statistics.num_rows = self.rows;
        Some(statistics)
    }
}

/// The scan without the least and greatest of floats: they leave NaN out, and a plan could take an answer from them.
fn without_float_statistics(scan: Arc<dyn ExecutionPlan>) -> Arc<dyn ExecutionPlan> {
    let Some(source) = scan.downcast_ref::<DataSourceExec>() else {
        return scan;
    };
    let Some(config) = source.data_source().downcast_ref::<FileScanConfig>() else {
        return scan;
    };
    let schema = Arc::clone(config.file_source().table_schema().table_schema());
    if !schema
        .fields()
        .iter()
        .any(|field| holds_floats(field.data_type()))
    {
        return scan;
    }
    let strip = |mut statistics: Statistics| {
        let columns = statistics.column_statistics.iter_mut().zip(schema.fields());
        for (column, _) in columns.filter(|(_, field)| holds_floats(field.data_type())) {
            let null_count = column.null_count;
            *column = ColumnStatistics::new_unknown();
            column.null_count = null_count;
        }
        statistics
    };
    let strip_group = |group: FileGroup| {
        let whole = group.file_statistics(None).cloned();
        let files = group.into_inner().into_iter().map(|mut file| {
            let known = file.statistics.take();
            file.statistics = known.map(|known| Arc::new(strip(Arc::unwrap_or_clone(known))));
            file
        });
        let group = FileGroup::new(files.collect());
        match whole {
            Some(whole) => group.with_statistics(Arc::new(strip(whole))),
            None => group,
        }
    };
    let groups = config.file_groups.iter().cloned().map(strip_group);
    let config = FileScanConfigBuilder::from(config.clone())
        .with_statistics(strip(config.statistics()))
        .with_file_groups(groups.collect())
        .build();
    DataSourceExec::from_data_source(config)
}
