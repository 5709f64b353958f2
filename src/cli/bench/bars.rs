//! `lotic bench bars`: figures that must stay below a bar, whatever else is made faster.
//!
//! One row through many models; one row into a join with much state; the memory of a stored row; and the memory of the
//! process once all rows are gone.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use clap::Args;

use super::process;
use crate::base::{Error, Result, memory};
use crate::cli::config::Settings;
use crate::cli::output::say;
use crate::runtime::{Lotic, Session};

/// Rows of one statement.
const STATEMENT_ROWS: u64 = 100_000;
/// Models of the first bar.
const MODELS: u64 = 20;
/// Arrow's bytes of a row of `wide`: two numbers, and a view of a text of 20 bytes.
const WIDE_BYTES: u64 = 8 + 8 + 16 + 20;

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct BarsArgs {
    /// Rows of the large side of the join.
    #[arg(long, default_value_t = 10_000_000)]
    join_rows: u64,
    /// Rows that come and go.
    #[arg(long, default_value_t = 1_000_000)]
    gone_rows: u64,
    /// Epochs of one row each.
    #[arg(long, default_value_t = 200)]
    epochs: u64,
}

/// Models that keep the rows of `wide` in different ways.
const KEEPERS: [(&str, &str); 4] = [
    (
        "joined",
        "SELECT w.k, w.s, o.k AS other FROM wide w JOIN narrow o ON w.g = o.k",
    ),
    ("different", "SELECT DISTINCT k, g, s FROM wide"),
    (
        "first_rows",
        "SELECT k, g, s FROM (SELECT *, row_number() OVER (PARTITION BY g ORDER BY k) AS place FROM wide) AS r
         WHERE place <= 3",
    ),
    (
        "neighbours",
        "SELECT k, g, s, lag(k) OVER (PARTITION BY g ORDER BY k) AS before FROM wide",
    ),
];

/// Measures one bar after the other, each in an engine of its own.
///
/// # Errors
/// When a statement fails.
pub(super) async fn run(args: &BarsArgs, settings: &Settings) -> Result<()> {
    let mut bench = Bench::open(settings).await?;
    let outcome = bench.many_models(args.epochs).await;
    bench.close(outcome).await?;
    let mut bench = Bench::open(settings).await?;
    let outcome = bench.large_join(args).await;
    bench.close(outcome).await?;
    let mut bench = Bench::open(settings).await?;
    let outcome = bench.memory(args.gone_rows).await;
    bench.close(outcome).await
}

/// The memory that is resident once the process rests: when it falls no more, or after ten seconds.
async fn resting_bytes() -> Option<u64> {
    memory::give_back();
    let mut lowest = process::resident_bytes()?;
    let mut same = 0;
    for _ in 0..40 {
        tokio::time::sleep(Duration::from_millis(250)).await;
        let now = process::resident_bytes()?;
        same = if now < lowest { 0 } else { same + 1 };
        lowest = lowest.min(now);
        if same == 10 {
            break;
        }
    }
    process::resident_bytes()
}

/// An engine in a folder of its own.
struct Bench {
    folder: std::path::PathBuf,
    lotic: Arc<Lotic>,
    session: Session,
}

impl Bench {
    async fn open(settings: &Settings) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("lotic-bench-{}", std::process::id()));
        let lotic = Lotic::open(settings.options(Some(folder.clone()), true)).await?;
        let session = lotic.session("lotic");
        Ok(Self {
            folder,
            lotic,
            session,
        })
    }

    async fn close(self, outcome: Result<()>) -> Result<()> {
        self.lotic.shutdown().await;
        std::fs::remove_dir_all(&self.folder)
            .map_err(|error| Error::io(format!("remove {}", self.folder.display()), &error))?;
        outcome
    }

    /// Runs a statement and waits until all models have seen it.
    async fn change(&mut self, sql: &str) -> Result<()> {
        self.session.run(sql).await?;
        self.session.settle().await?;
        Ok(())
    }

    /// The one number that a query answers.
    async fn number(&mut self, sql: &str) -> Result<u64> {
        let answers = self.session.run(sql).await?;
        let batch = answers.iter().rev().find_map(|(_, rows, _)| rows.first());
        batch
            .and_then(|batch| batch.column(0).as_primitive_opt::<Int64Type>())
            .and_then(|column| column.iter().next().flatten())
            .and_then(|number| u64::try_from(number).ok())
            .ok_or_else(|| Error::internal(format!("no number came from {sql}")))
    }

    /// Inserts the rows `1..=rows` of a SELECT over `n`.
    async fn fill(&mut self, table: &str, columns: &str, rows: u64) -> Result<()> {
        for from in (0..rows).step_by(usize::try_from(STATEMENT_ROWS).unwrap_or(1)) {
            let (first, last) = (from + 1, (from + STATEMENT_ROWS).min(rows));
            self.session
                .run(&format!(
                    "INSERT INTO {table} SELECT {columns} FROM generate_series({first}, {last}) AS s(n)"
                ))
                .await?;
        }
        self.session.settle().await?;
        Ok(())
    }

    /// The time that all epochs took so far, in microseconds.
    fn epochs_us(&self) -> u64 {
        let figures = self.lotic.figures();
        let figure = figures.iter().find(|figure| figure.name == "epochs_us");
        figure.map_or(0, |figure| figure.value)
    }

    /// Inserts a row an epoch, and tells how long an epoch took, what all models took of it, and the processor time of its threads.
    async fn epochs(&mut self, what: &str, epochs: u64, row: impl Fn(u64) -> String) -> Result<()> {
        const BUSY: &str = "SELECT sum(busy_us)::BIGINT FROM lotic.models";
        let (busy, driver) = (self.number(BUSY).await?, process::driver_cpu());
        let began = self.epochs_us();
        for epoch in 0..epochs {
            self.change(&row(epoch)).await?;
        }
        let took = self.epochs_us().saturating_sub(began);
        let driver = process::driver_cpu().saturating_sub(driver);
        let busy = self.number(BUSY).await?.saturating_sub(busy);
        let epochs = epochs.max(1);
        say(&format!(
            "{what}: {} us an epoch, {} us of steps in it, {} us of processor time",
            took / epochs,
            busy / epochs,
            driver.as_micros() / u128::from(epochs)
        ));
        Ok(())
    }

    async fn many_models(&mut self, epochs: u64) -> Result<()> {
        self.change(
            "CREATE TABLE facts (k BIGINT, g BIGINT, v BIGINT);
             CREATE TABLE names (g BIGINT, name TEXT);
             CREATE TABLE zones (g BIGINT, zone TEXT)",
        )
        .await?;
        self.fill("names", "n, 'name ' || n", 1_000).await?;
        self.fill("zones", "n, 'zone ' || n % 10", 1_000).await?;
        self.fill("facts", "n, n % 1000 + 1, n % 100", 100_000)
            .await?;
        for model in 0..MODELS {
            self.change(&format!(
                "CREATE MATERIALIZED VIEW m{model} AS
                 SELECT n.name, z.zone, count(*) AS rows, sum(f.v) AS total, max(f.v) AS most
                 FROM facts f JOIN names n ON f.g = n.g JOIN zones z ON n.g = z.g
                 WHERE f.v >= {model} GROUP BY n.name, z.zone HAVING count(*) > {model}"
            ))
            .await?;
        }
        let operators = self.number("SELECT count(*) FROM lotic.operators").await?;
        let what = format!("one row through {MODELS} models of {operators} operators");
        self.epochs(&what, epochs, |epoch| {
            format!(
                "INSERT INTO facts VALUES ({epoch}, {}, 99)",
                epoch % 1000 + 1
            )
        })
        .await
    }

    async fn large_join(&mut self, args: &BarsArgs) -> Result<()> {
        self.change(
            "CREATE TABLE large (k BIGINT, v BIGINT); CREATE TABLE small (k BIGINT, w BIGINT)",
        )
        .await?;
        self.fill("large", "n, n * 7", args.join_rows).await?;
        self.change(
            "CREATE MATERIALIZED VIEW joined AS
             SELECT l.k, l.v, s.w FROM large l JOIN small s ON l.k = s.k",
        )
        .await?;
        let rows = args.join_rows;
        let what = format!("one row into a join with {rows} rows of state");
        self.epochs(&what, args.epochs, |epoch| {
            let key = (epoch + 1) * 7_919 % rows.max(1) + 1;
            format!("INSERT INTO small VALUES ({key}, {epoch})")
        })
        .await
    }

    async fn memory(&mut self, rows: u64) -> Result<()> {
        self.change(
            "CREATE TABLE wide (k BIGINT, g BIGINT, s TEXT); CREATE TABLE narrow (k BIGINT);
             INSERT INTO narrow VALUES (1), (2)",
        )
        .await?;
        for (name, query) in KEEPERS {
            self.change(&format!("CREATE MATERIALIZED VIEW {name} AS {query}"))
                .await?;
        }
        let empty = resting_bytes().await;
        self.fill(
            "wide",
            "n, n % 50000, 'text of ' || (n + 100000000000)",
            rows,
        )
        .await?;
        for (name, _) in KEEPERS {
            let of = format!("FROM lotic.operators WHERE model = '{name}'");
            let bytes = self
                .number(&format!("SELECT sum(state_bytes)::BIGINT {of}"))
                .await?;
            let held = self
                .number(&format!("SELECT sum(state_rows)::BIGINT {of}"))
                .await?;
            say(&format!(
                "{name}: {} bytes of state a row; a row is {WIDE_BYTES} bytes in Arrow, the bar {}",
                bytes / held.max(1),
                WIDE_BYTES * 3 / 2 + 40
            ));
        }
        let full = process::resident_bytes();
        self.change("DELETE FROM wide").await?;
        let held = self
            .number("SELECT sum(state_bytes)::BIGINT FROM lotic.operators")
            .await?;
        say(&format!(
            "{held} bytes of state in all once the rows are deleted"
        ));
        let left = resting_bytes().await;
        if let (Some(empty), Some(full), Some(left)) = (empty, full, left) {
            let mib = |bytes: u64| bytes >> 20;
            say(&format!(
                "resident: {} MiB without rows, {} MiB with {rows}, {} MiB once they are deleted",
                mib(empty),
                mib(full),
                mib(left)
            ));
        }
        Ok(())
    }
}
