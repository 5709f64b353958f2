//! The models, made and filled over tables that are full.

use super::batch::input_rows;
use super::dataset::{Dataset, TABLES};
use super::live::Live;
use super::queries::Query;
use super::report::{Line, Section};
use super::usage::Usage;
use crate::base::Result;

/// Fills the tables, then makes and fills the models.
///
/// # Errors
/// When a statement fails.
pub(super) async fn run(live: &mut Live, dataset: &Dataset, queries: &[Query]) -> Result<Section> {
    let mut tables = Usage::default();
    for table in TABLES {
        let path = dataset.path(table).display().to_string();
        tables = tables.then(live.insert(table, &path).await?);
    }
    let mut section = Section::new("load", "each query as a model, filled from tables");
    section.note("filling the tables", tables);
    for query in queries {
        let usage = live.create(query).await?;
        let line = Line::new(&query.name, usage, input_rows(dataset, query));
        section.lines.push(line);
    }
    let figures = live.figures().await?;
    for line in &mut section.lines {
        line.recomputed_nodes = live.recomputed_nodes(&line.query).await?;
        if let Some(figures) = figures.get(&line.query) {
            line.rows = figures.rows;
            line.state_bytes = figures.state_bytes;
            line.state_rows = figures.state_rows;
        }
    }
    Ok(section)
}
