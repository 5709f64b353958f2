//! An engine with the tables in it, and what it says of its models.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;

use super::queries::Query;
use super::report::OperatorLine;
use super::usage::{Stopwatch, Usage};
use crate::base::{Error, Result};
use crate::runtime::{Lotic, Options, Session};

/// Makes the tables.
const TABLES: &str = include_str!("tables.sql");

/// An engine whose models follow.
pub(super) struct Live {
    /// The engine.
    pub(super) lotic: Arc<Lotic>,
    /// For statements.
    pub(super) session: Session,
}

/// What a model holds and how long its steps took.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    /// Memory of the states of its operators.
    pub(super) state_bytes: u64,
    /// Rows in them.
    pub(super) state_rows: u64,
    /// Time of all its steps, in microseconds.
    pub(super) busy_us: u64,
    /// Its rows.
    pub(super) rows: usize,
}

impl Live {
    /// Opens an engine with empty tables.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) async fn open(options: Options) -> Result<Self> {
        let lotic = Lotic::open(options).await?;
        let session = lotic.session("lotic");
        let mut live = Self { lotic, session };
        live.run(TABLES).await?;
        Ok(live)
    }

    async fn source(&mut self, name: &str, path: &str) -> Result<()> {
        self.run(&format!(
            "CREATE SOURCE {name} WITH (connector = 'file', path = '{path}', format = 'parquet')"
        ))
        .await
        .map(drop)
    }

    /// Puts the rows of a Parquet file into `table` and waits until all models have them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(super) async fn insert(&mut self, table: &str, path: &str) -> Result<Usage> {
        self.source("coming", path).await?;
        let usage = self
            .change(&format!("INSERT INTO {table} SELECT * FROM coming"))
            .await?;
        self.run("DROP SOURCE coming").await?;
        Ok(usage)
    }

    /// Runs a statement and waits until all models have seen it.
    ///
    /// # Errors
    /// When it fails.
    pub(super) async fn change(&mut self, sql: &str) -> Result<Usage> {
        let watch = Stopwatch::start();
        self.run(sql).await?;
        self.session.settle().await?;
        Ok(watch.usage())
    }

    /// Makes and fills the model of a query.
    ///
    /// # Errors
    /// When it cannot be.
    pub(super) async fn create(&mut self, query: &Query) -> Result<Usage> {
        self.change(&format!(
            "CREATE MATERIALIZED VIEW {} AS {}",
            query.name, query.sql
        ))
        .await
        .map_err(|error| error.at(&query.name))
    }

    /// How many nodes of a model's plan are recomputed.
    ///
    /// # Errors
    /// When there is no such model.
    pub(super) async fn recomputed_nodes(&mut self, name: &str) -> Result<usize> {
        let plan = self
            .run(&format!("EXPLAIN MATERIALIZED VIEW {name}"))
            .await?;
        let mut nodes = 0;
        for batch in &plan {
            let lines = texts(batch, 0)?;
            nodes += lines
                .iter()
                .filter(|line| line.starts_with("recomputed"))
                .count();
        }
        Ok(nodes)
    }

    /// The figures of all models, by name.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub(super) async fn figures(&mut self) -> Result<BTreeMap<String, Figures>> {
        let answer = self
            .run(
                "SELECT m.name, m.rows, m.busy_us, sum(o.state_bytes)::BIGINT, sum(o.state_rows)::BIGINT
                 FROM lotic.models m JOIN lotic.operators o ON o.model = m.name
                 GROUP BY m.name, m.rows, m.busy_us",
            )
            .await?;
        let mut figures = BTreeMap::new();
        for batch in &answer {
            let numbers: Vec<_> = (1..=4)
                .map(|column| numbers(batch, column))
                .collect::<Result<_>>()?;
            for (row, name) in texts(batch, 0)?.into_iter().enumerate() {
                let number = |column: usize| numbers[column][row];
                let known = Figures {
                    rows: usize::try_from(number(0)).unwrap_or(usize::MAX),
                    busy_us: number(1),
                    state_bytes: number(2),
                    state_rows: number(3),
                };
                figures.insert(name, known);
            }
        }
        Ok(figures)
    }

    /// Where the time of all models' operators went.
    ///
    /// # Errors
    /// When the engine cannot be asked.
    pub(super) async fn operators(&mut self) -> Result<Vec<OperatorLine>> {
        let answer = self
            .run(
                "SELECT model, operator, position, busy_us, rows_in, rows_out, state_bytes, state_rows
                 FROM lotic.operators ORDER BY model, position",
            )
            .await?;
        let mut lines = Vec::new();
        for batch in &answer {
            let (models, names) = (texts(batch, 0)?, texts(batch, 1)?);
            let numbers: Vec<_> = (2..=7)
                .map(|column| numbers(batch, column))
                .collect::<Result<_>>()?;
            for (row, (model, name)) in models.into_iter().zip(names).enumerate() {
                let number = |column: usize| numbers[column][row];
                lines.push(OperatorLine {
                    model,
                    operator: format!("{} {name}", number(0)),
                    busy_seconds: std::time::Duration::from_micros(number(1)).as_secs_f64(),
                    rows_in: number(2),
                    rows_out: number(3),
                    state_bytes: number(4),
                    state_rows: number(5),
                });
            }
        }
        Ok(lines)
    }

    /// Runs statements and gives the rows of the last.
    ///
    /// # Errors
    /// When one fails.
    pub(super) async fn run(&mut self, sql: &str) -> Result<Vec<RecordBatch>> {
        let answers = self.session.run(sql).await?;
        Ok(answers
            .into_iter()
            .next_back()
            .map(|(_, batches, _)| batches)
            .unwrap_or_default())
    }
}

fn texts(batch: &RecordBatch, column: usize) -> Result<Vec<String>> {
    let column = arrow::compute::cast(batch.column(column), &arrow::datatypes::DataType::Utf8View)?;
    let column = column.as_string_view();
    Ok(column
        .iter()
        .map(|text| text.unwrap_or_default().to_owned())
        .collect())
}

fn numbers(batch: &RecordBatch, column: usize) -> Result<Vec<u64>> {
    let column = batch
        .column(column)
        .as_primitive_opt::<Int64Type>()
        .ok_or_else(|| Error::internal("a figure is no number"))?;
    Ok(column
        .iter()
        .map(|number| number.unwrap_or(0).unsigned_abs())
        .collect())
}
