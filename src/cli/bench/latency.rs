//! `lotic bench latency`: from acknowledgement to visible, under a steady stream of inserts.

use std::time::Duration;

use clap::Args;

use crate::base::clock::{Clock, SystemClock};
use crate::base::{Error, Result};
use crate::cli::config::Settings;
use crate::cli::output::say;
use crate::runtime::{Lotic, Session};

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct LatencyArgs {
    /// Rows a second.
    #[arg(long, default_value_t = 5_000)]
    rate: u64,
    /// Seconds to measure.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Rows a statement.
    #[arg(long, default_value_t = 50)]
    batch: u64,
}

/// Inserts at the wanted rate into a table with a join and two aggregates over it, in a data
/// folder of its own, and prints how long each acknowledged statement took to be visible in the
/// models.
pub(super) async fn run(args: &LatencyArgs, settings: &Settings) -> Result<()> {
    let folder = std::env::temp_dir().join(format!("lotic-bench-{}", std::process::id()));
    let lotic = Lotic::open(settings.options(Some(folder.clone()), true)).await?;
    let outcome = measure(args, &mut lotic.session("lotic")).await;
    lotic.shutdown().await;
    std::fs::remove_dir_all(&folder)
        .map_err(|error| Error::io(format!("remove {}", folder.display()), &error))?;
    let mut delays = outcome?;
    delays.sort_unstable();
    let at = |part: usize| {
        let position = (delays.len() * part / 1000).min(delays.len().saturating_sub(1));
        delays
            .get(position)
            .map_or(0.0, |delay| delay.as_secs_f64() * 1e3)
    };
    say(&format!(
        "{} statements of {} rows, {} rows/s wanted: acknowledged to visible p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        delays.len(),
        args.batch,
        args.rate,
        at(500),
        at(990),
        at(1000)
    ));
    Ok(())
}

async fn measure(args: &LatencyArgs, session: &mut Session) -> Result<Vec<Duration>> {
    session
        .run(
            "CREATE TABLE places (place INT PRIMARY KEY, name TEXT);
             INSERT INTO places VALUES (0, 'a'), (1, 'b'), (2, 'c'), (3, 'd');
             CREATE TABLE readings (id BIGINT, place INT, value DOUBLE PRECISION);
             CREATE MATERIALIZED VIEW named AS
                 SELECT id, name, value FROM readings JOIN places USING (place);
             CREATE MATERIALIZED VIEW by_place AS
                 SELECT name, count(*) AS n, sum(value) AS total, max(value) AS top
                 FROM named GROUP BY name",
        )
        .await?;
    let clock = SystemClock::new();
    let pause = Duration::from_secs_f64(
        f64::from(u32::try_from(args.batch).unwrap_or(50))
            / f64::from(u32::try_from(args.rate.max(1)).unwrap_or(1)),
    );
    let end = Duration::from_secs(args.seconds);
    let mut delays = Vec::new();
    let (mut id, mut next) = (0_u64, Duration::ZERO);
    while clock.monotonic() < end {
        let rows: Vec<String> = (0..args.batch)
            .map(|row| {
                format!(
                    "({}, {}, {}.5)",
                    id + row,
                    (id + row) % 4,
                    (id + row) % 1000
                )
            })
            .collect();
        id += args.batch;
        session
            .run(&format!("INSERT INTO readings VALUES {}", rows.join(",")))
            .await?;
        let acknowledged = clock.monotonic();
        session.settle().await?;
        delays.push(clock.monotonic().saturating_sub(acknowledged));
        next += pause;
        let now = clock.monotonic();
        if next > now {
            tokio::time::sleep(next - now).await;
        }
    }
    Ok(delays)
}
