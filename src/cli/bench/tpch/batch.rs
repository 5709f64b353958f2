//! Each query once, over the files, as `lotic run` computes a model.

use arrow::array::RecordBatch;

use super::dataset::{Dataset, TABLES};
use super::queries::Query;
use super::report::{Line, Section};
use super::usage::Stopwatch;
use crate::base::Result;
use crate::cli::config::Settings;
use crate::runtime::Lotic;

/// Runs the queries.
///
/// # Errors
/// When one fails.
pub(super) async fn run(
    dataset: &Dataset,
    queries: &[Query],
    settings: &Settings,
) -> Result<Section> {
    let lotic = Lotic::open(settings.options(None, false)).await?;
    let mut session = lotic.session("lotic");
    for table in TABLES {
        let path = dataset.path(table);
        session
            .run(&format!(
                "CREATE SOURCE {table} WITH (connector = 'file', path = '{}', format = 'parquet')",
                path.display()
            ))
            .await?;
    }
    let mut section = Section::new("batch", "each query once, Parquet files read in place");
    for query in queries {
        session
            .run(&format!(
                "CREATE MATERIALIZED VIEW {} AS {}",
                query.name, query.sql
            ))
            .await?;
        let watch = Stopwatch::start();
        let answer = lotic
            .compute_model(&query.name)
            .await
            .map_err(|error| error.at(&query.name))?;
        let mut line = Line::new(&query.name, watch.usage(), input_rows(dataset, query));
        line.rows = answer.batches.iter().map(RecordBatch::num_rows).sum();
        section.lines.push(line);
    }
    lotic.shutdown().await;
    Ok(section)
}

/// How many rows the tables of a query have, each counted once.
pub(super) fn input_rows(dataset: &Dataset, query: &Query) -> u64 {
    let read = TABLES.iter().filter(|table| query.reads(table));
    read.map(|table| dataset.rows(table)).sum()
}
