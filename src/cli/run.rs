//! `lotic run`: every model of a pipeline once, in batch.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::config::Settings;
use super::output::{print, save, say};
use super::progress::Progress;
use super::{Format, code};
use crate::base::{Error, Result};
use crate::runtime::{Lotic, Pipeline};

/// Run a pipeline once.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Folders and files of SQL, applied in the order of their names.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print these models only; all by default.
    #[arg(long = "model", value_name = "NAME")]
    models: Vec<String>,
    /// Write each model to a file of its own in this folder, instead of a summary.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The form of results.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn run(args: &RunArgs, settings: &Settings) -> Result<ExitCode> {
    let pipeline = Pipeline::read(&args.paths, &settings.variables)?;
    let lotic = Lotic::open(settings.options(None, false)).await?;
    let mut progress = Progress::new(settings.quiet);
    progress.begin("definitions", None, Some(&lotic));
    lotic.apply(&pipeline, |_, _| {}).await?;
    progress.end("ready");
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)
            .map_err(|error| Error::io(format!("create {}", folder.display()), &error))?;
    }
    let models = lotic.model_names();
    for wanted in &args.models {
        if !models.contains(wanted) {
            return Err(Error::no_relation(wanted)
                .with_hint(format!("the pipeline has: {}", models.join(", "))));
        }
    }
    let mut summary = Vec::new();
    for (position, name) in models.iter().enumerate() {
        progress.begin(name, Some((position, models.len())), Some(&lotic));
        let start = progress.elapsed();
        let answer = lotic
            .compute_model(name)
            .await
            .map_err(|error| error.at(name))?;
        let seconds = progress.elapsed().saturating_sub(start).as_secs_f64();
        let rows: usize = answer
            .batches
            .iter()
            .map(arrow::array::RecordBatch::num_rows)
            .sum();
        progress.end(&format!("{rows} rows"));
        let wanted = args.models.is_empty() || args.models.contains(name);
        if let (Some(folder), true) = (&args.out, wanted) {
            let path = folder.join(format!("{name}.{}", args.format.ending()));
            save(&path, &answer.schema, &answer.batches, args.format)?;
        } else if !args.models.is_empty() && wanted {
            print(&answer.schema, &answer.batches, args.format)?;
        }
        summary.push((name.clone(), rows, answer.failed_rows, seconds));
    }
    lotic.run_sinks().await?;
    if !settings.quiet && args.models.is_empty() {
        summarise(&summary, progress.elapsed().as_secs_f64());
    }
    lotic.shutdown().await;
    Ok(code(0))
}

fn summarise(models: &[(String, usize, u64, f64)], total: f64) {
    let width = models
        .iter()
        .map(|(name, ..)| name.len())
        .max()
        .unwrap_or(5)
        .max(5);
    say(&format!(
        "{:width$}  {:>12}  {:>8}",
        "model", "rows", "seconds"
    ));
    for (name, rows, failed, seconds) in models {
        let failed = if *failed > 0 {
            format!("  {failed} rows failed")
        } else {
            String::new()
        };
        say(&format!(
            "{name:width$}  {rows:>12}  {seconds:>8.2}{failed}"
        ));
    }
    say(&format!("{} models in {total:.2} s", models.len()));
}
