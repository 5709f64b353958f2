//! The order of the measurements.

use std::path::{Path, PathBuf};

use super::dataset::Dataset;
use super::live::Live;
use super::report::{Note, Report};
use super::{Part, TpchArgs, batch, load, queries, refresh};
use crate::base::{Error, Result};
use crate::cli::config::Settings;
use crate::cli::output::{put, say};

/// Measures and prints.
///
/// # Errors
/// When a statement fails, or a model differs from its query.
pub(in crate::cli::bench) async fn run(args: &TpchArgs, settings: &Settings) -> Result<()> {
    let folder = Folder::of(args);
    let outcome = measure(args, settings, folder.path()).await;
    folder.remove(outcome.is_err())?;
    let report = outcome?;
    if args.json {
        put(&report.json().to_string())?;
    } else {
        put(report.text().trim_end())?;
    }
    match report.differing_rows {
        None | Some(0) => Ok(()),
        Some(rows) => Err(Error::internal(format!(
            "{rows} rows differ between models and their queries"
        ))),
    }
}

async fn measure(args: &TpchArgs, settings: &Settings, folder: &Path) -> Result<Report> {
    let queries = queries::chosen(args.scale, &args.queries)?;
    let dataset = Dataset::prepare(folder, args.scale)?;
    let mut report = Report {
        scale: args.scale,
        ..Report::default()
    };
    report.generated = Some(Note::new("generating the rows", dataset.generated));
    if matches!(args.part, Part::Batch | Part::All) {
        progress(settings, "batch");
        let section = Box::pin(batch::run(&dataset, &queries, settings)).await?;
        report.sections.push(section);
    }
    if args.part == Part::Batch {
        return Ok(report);
    }
    let data = dataset.below("engine");
    let options = settings.options(Some(data.clone()), true);
    let mut live = Live::open(options).await?;
    progress(settings, "load");
    let outcome = Box::pin(follow(args, &mut live, &dataset, &queries, &mut report)).await;
    live.lotic.shutdown().await;
    std::fs::remove_dir_all(&data)
        .map_err(|error| Error::io(format!("remove {}", data.display()), &error))?;
    outcome?;
    Ok(report)
}

/// The parts that need an engine with models.
async fn follow(
    args: &TpchArgs,
    live: &mut Live,
    dataset: &Dataset,
    queries: &[queries::Query],
    report: &mut Report,
) -> Result<()> {
    report
        .sections
        .push(load::run(live, dataset, queries).await?);
    if args.operators {
        report.operators = live.operators().await?;
    }
    if matches!(args.part, Part::Refresh | Part::All) {
        let sections = refresh::run(live, dataset, queries, args).await?;
        report.sections.extend(sections);
        if args.operators {
            let loaded = std::mem::take(&mut report.operators);
            let now = live.operators().await?.into_iter();
            report.operators = now
                .zip(&loaded)
                .map(|(now, then)| now.since(then))
                .collect();
        }
    }
    if args.check {
        let mut differing = 0;
        for query in queries {
            differing += live.lotic.count_differences(&query.name).await?;
        }
        report.differing_rows = Some(differing);
    }
    Ok(())
}

fn progress(settings: &Settings, part: &str) {
    if !settings.quiet {
        say(&format!("measuring {part}"));
    }
}

/// Where the files are, and whether they stay.
enum Folder {
    Kept(PathBuf),
    Temporary(PathBuf),
}

impl Folder {
    fn of(args: &TpchArgs) -> Self {
        match &args.keep {
            Some(folder) => Self::Kept(folder.clone()),
            None => Self::Temporary(
                std::env::temp_dir().join(format!("lotic-tpch-{}", std::process::id())),
            ),
        }
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) | Self::Temporary(path) => path,
        }
    }

    /// Removes what is not to be kept. After a failure that one is reported, not what it left.
    fn remove(&self, failed: bool) -> Result<()> {
        let Self::Temporary(path) = self else {
            return Ok(());
        };
        match std::fs::remove_dir_all(path) {
            Err(error) if !failed => Err(Error::io(format!("remove {}", path.display()), &error)),
            _ => Ok(()),
        }
    }
}
