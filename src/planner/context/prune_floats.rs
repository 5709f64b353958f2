//! Keeps conditions on floats away from the statistics of Parquet files.
//!
//! The least and the greatest value of a file, a row group or a page leave NaN out, which is greater than every number: `x > 5`
//! would skip a group of 1 and NaN. What a scan is told of conditions only skips; the filter that decides stands above it and stays.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::datasource::physical_plan::{
    FileScanConfig, FileScanConfigBuilder, FileSource, ParquetSource,
};
use datafusion::datasource::source::DataSourceExec;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_expr::{PhysicalExpr, conjunction, split_conjunction};
use datafusion::physical_plan::ExecutionPlan;

use super::each_node::EachNode;
use crate::zset::canonical::holds_floats;

/// The rule. It runs when all filters are where they belong.
pub(super) const PRUNE_FLOATS: EachNode = EachNode {
    name: "lotic_prune_floats",
    change: |node| {
        Ok(match without_floats(&node) {
            Some(scan) => Transformed::yes(scan),
            None => Transformed::no(node),
        })
    },
};

/// The scan with less to skip by; `None` where no condition reads a float.
fn without_floats(node: &Arc<dyn ExecutionPlan>) -> Option<Arc<dyn ExecutionPlan>> {
    let scan = node.downcast_ref::<DataSourceExec>()?;
    let config = scan.data_source().downcast_ref::<FileScanConfig>()?;
    let source = config.file_source().downcast_ref::<ParquetSource>()?;
    let predicate = source.filter()?;
    let conditions = split_conjunction(&predicate);
    let schema = config.file_source().table_schema().table_schema();
    let reads_float = |condition: &Arc<dyn PhysicalExpr>| {
        collect_columns(condition).iter().any(|column| {
            // a column that is not in the table says nothing about itself
            schema
                .field_with_name(column.name())
                .map_or(true, |field| holds_floats(field.data_type()))
        })
    };
    let all = conditions.len();
    let kept: Vec<_> = conditions
        .into_iter()
        .filter(|condition| !reads_float(condition))
        .map(Arc::clone)
        .collect();
    if kept.len() == all {
        return None;
    }
    let source = source.with_predicate(conjunction(kept));
    let config = FileScanConfigBuilder::from(config.clone())
        .with_source(Arc::new(source))
        .build();
    Some(DataSourceExec::from_data_source(config))
}
