//! The models, kept fresh while orders come and go.

use std::collections::BTreeMap;

use super::TpchArgs;
use super::dataset::Dataset;
use super::live::{Figures, Live};
use super::queries::Query;
use super::report::{Line, Section};
use super::usage::{Stopwatch, Usage};
use crate::base::Result;
use crate::cli::bench::process::driver_cpu;

/// Runs the rounds, then every query over the tables as they are now, to compare.
///
/// # Errors
/// When a statement fails.
pub(super) async fn run(
    live: &mut Live,
    dataset: &Dataset,
    queries: &[Query],
    args: &TpchArgs,
) -> Result<[Section; 2]> {
    let rounds = dataset.rounds(args.fraction)?;
    let before = live.figures().await?;
    let (mut all, mut coming, mut going) = (Usage::default(), Usage::default(), Usage::default());
    let (mut changed, mut of_rounds) = (0, Vec::new());
    for round in 0..args.rounds {
        let driver = driver_cpu();
        let files = dataset.new_orders(&rounds, round)?;
        for (table, (path, rows)) in ["orders", "lineitem"].into_iter().zip(&files) {
            coming = coming.then(live.insert(table, &path.display().to_string()).await?);
            changed += rows;
        }
        let (first, last) = rounds.old_keys(round);
        for (table, key) in [("lineitem", "l_orderkey"), ("orders", "o_orderkey")] {
            let sql = format!("DELETE FROM {table} WHERE {key} BETWEEN {first} AND {last}");
            going = going.then(live.change(&sql).await?);
        }
        // as many orders go as come, and as good as as many lines
        changed += files.iter().map(|(_, rows)| rows).sum::<u64>();
        of_rounds.push(driver_cpu().saturating_sub(driver).as_secs_f64());
    }
    all = all.then(coming).then(going);
    let driver: f64 = of_rounds.iter().sum();
    let mut section = Section::new(
        "refresh",
        "the models follow new and deleted orders; seconds are of the models' steps, processor time is that of \
         the thread which keeps tables and models, dealt by them; all rounds",
    );
    section.note("statements of RF1, until all models have them", coming);
    section.note("statements of RF2, until all models have them", going);
    section.rounds = args.rounds.max(1);
    section.round_cpu_seconds = of_rounds;
    fill(&mut section, &before, live, queries, changed).await?;
    let busy = section.total().seconds;
    for line in &mut section.lines {
        line.peak_bytes = all.peak_bytes;
        if busy > 0.0 {
            line.cpu_seconds = driver * line.seconds / busy;
        }
    }
    let recomputed = recompute(live, dataset, queries).await?;
    Ok([section, recomputed])
}

/// A line a model: what its steps took since `before`.
async fn fill(
    section: &mut Section,
    before: &BTreeMap<String, Figures>,
    live: &mut Live,
    queries: &[Query],
    changed: u64,
) -> Result<()> {
    let after = live.figures().await?;
    let none = Figures::default();
    for query in queries {
        let now = after.get(&query.name).unwrap_or(&none);
        let then = before.get(&query.name).unwrap_or(&none);
        let micros = now.busy_us.saturating_sub(then.busy_us);
        let seconds = std::time::Duration::from_micros(micros).as_secs_f64();
        let usage = Usage {
            seconds,
            ..Usage::default()
        };
        let touched = query.reads("orders") || query.reads("lineitem");
        let mut line = Line::new(&query.name, usage, if touched { changed } else { 0 });
        line.rows = now.rows;
        line.state_bytes = now.state_bytes;
        line.state_rows = now.state_rows;
        section.lines.push(line);
    }
    Ok(())
}

/// Every query over the tables in memory.
async fn recompute(live: &mut Live, dataset: &Dataset, queries: &[Query]) -> Result<Section> {
    let mut section = Section::new("recompute", "each query once, over the tables in memory");
    for query in queries {
        let watch = Stopwatch::start();
        let batches = live.run(&query.sql).await?;
        let input = super::batch::input_rows(dataset, query);
        let mut line = Line::new(&query.name, watch.usage(), input);
        line.rows = batches
            .iter()
            .map(arrow::array::RecordBatch::num_rows)
            .sum();
        section.lines.push(line);
    }
    Ok(section)
}
