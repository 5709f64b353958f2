//! The command: its arguments, and the runs that they ask for.

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::generator::{Generator, Stream};
use super::measure::{self, Outcome, Plan};
use super::query::{self, Query};
use super::report::{Line, report};
use crate::base::clock::{Clock, SystemClock};
use crate::base::{Error, Result};
use crate::cli::Format;
use crate::cli::config::Settings;
use crate::cli::output::{print, say};

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct NexmarkArgs {
    /// Events to make, of which 92 in 100 are bids.
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    /// Queries, as in `q5`, `q0..q4`, `q1,q3` or `all`. May be given again.
    #[arg(long = "query", default_value = "all", value_name = "QUERY")]
    queries: Vec<String>,
    /// Runs of each query; the middle one and the fastest are shown.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// One JSON object a query instead of a table.
    #[arg(long)]
    json: bool,
    /// When a write is acknowledged.
    #[arg(long, value_enum, default_value_t = DurabilityArg::Disk)]
    durability: DurabilityArg,
    /// Events of one push.
    #[arg(long, default_value_t = 10_000, value_name = "EVENTS")]
    block: u64,
    /// What the events depend on.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Seconds after which a run sends no more events; what came in till then counts.
    #[arg(long, default_value_t = 300, value_name = "SECONDS")]
    limit: u64,
}

/// `WITH (durability = ...)` of the streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum DurabilityArg {
    /// Once the bytes are on the disk: what a source has that says nothing.
    Disk,
    /// Once the operating system has the bytes.
    Os,
}

impl DurabilityArg {
    fn word(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Os => "os",
        }
    }
}

/// Runs the queries and prints how fast they were.
///
/// # Errors
/// When an argument is wrong or the engine fails.
pub(crate) async fn run(args: &NexmarkArgs, settings: &Settings) -> Result<()> {
    if args.events == 0 || args.block == 0 || args.block > 1_000_000 || args.runs == 0 {
        return Err(Error::invalid(
            "events and runs begin at 1, and a block has 1 to 1,000,000 events",
        ));
    }
    let queries = query::chosen(&args.queries)?;
    let plan = Plan {
        events: args.events,
        block: args.block,
        durability: args.durability.word(),
        limit: Duration::from_secs(args.limit),
        generator: Arc::new(Generator::new(args.seed)?),
    };
    if !settings.quiet {
        introduce(&plan)?;
    }
    let mut lines = Vec::with_capacity(queries.len());
    for query in queries {
        let line = measured(query, args.runs, &plan, settings).await?;
        if !settings.quiet && !args.json {
            say(&line.summary());
        }
        lines.push(line);
    }
    let rows = report(&lines, &plan)?;
    let format = if args.json {
        Format::Ndjson
    } else {
        Format::Table
    };
    print(&rows.schema(), &[rows], format)
}

/// Says what is measured, and how fast the events alone are made.
fn introduce(plan: &Plan) -> Result<()> {
    if cfg!(debug_assertions) {
        say("this is a debug build: its figures say nothing about speed");
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    say(&format!(
        "{} events in blocks of {}, durability '{}' (a source has 'disk' where it says nothing), {cores} cores",
        plan.events, plan.block, plan.durability
    ));
    let clock = SystemClock::new();
    let (mut first, mut bytes) = (0, 0);
    while first < plan.events.min(1_000_000) {
        let events = plan.block.min(plan.events - first);
        let block = plan.generator.block(first, events)?;
        bytes += Stream::ALL
            .iter()
            .map(|stream| block.rows(*stream).get_array_memory_size())
            .sum::<usize>();
        first += events;
    }
    let seconds = clock.monotonic().as_secs_f64().max(1e-9);
    say(&format!(
        "the generator alone, on one core: {:.0} events/s, {:.0} bytes an event in memory",
        first as f64 / seconds,
        bytes as f64 / first as f64
    ));
    Ok(())
}

async fn measured(query: Query, runs: u32, plan: &Plan, settings: &Settings) -> Result<Line> {
    let mut done = Vec::new();
    for _ in 0..runs {
        match measure::run(query, plan, settings).await? {
            Outcome::Ran(run) => done.push(run),
            Outcome::Refused(reason) => return Ok(Line::refused(query, &reason)),
        }
    }
    Ok(Line::of(query, done, plan.events))
}
