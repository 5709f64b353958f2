//! `lotic check`: every model, as it is maintained, against its query in batch.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;

use super::config::Settings;
use super::output::say;
use super::progress::Progress;
use super::{EXIT_DIFFERS, EXIT_FAILED, code};
use crate::base::Result;
use crate::runtime::{Lotic, Pipeline};

/// Compare models with their queries.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Folders and files of SQL: the pipeline is loaded, maintained and compared in memory. Without
    /// a path the data folder is opened and its models are compared; while a server has it open,
    /// ask that with --pg.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Ask a running server to compare its models. The password comes from LOTIC_PASSWORD, the file
    /// password of the data folder, or PGPASSWORD.
    #[arg(long, value_name = "HOST:PORT", conflicts_with = "paths")]
    pg: Option<String>,
}

pub(crate) async fn check(args: &CheckArgs, settings: &Settings) -> Result<ExitCode> {
    if let Some(address) = &args.pg {
        let mut progress = Progress::new(settings.quiet);
        progress.begin(&format!("check by {address}"), None, None);
        let models = check_there(address, settings).await;
        progress.end("compared");
        let models = models?;
        for (name, rows) in &models {
            match rows {
                Some(rows) => tell(name, *rows, settings.quiet),
                None => say(&format!(
                    "{name}: not compared, because its query fails; CHECK MATERIALIZED VIEW there says why"
                )),
            }
        }
        let differs = models.iter().any(|(_, rows)| rows.is_some_and(|n| n > 0));
        let fails = models.iter().any(|(_, rows)| rows.is_none());
        return Ok(outcome(differs, fails));
    }
    let data = args.paths.is_empty().then(|| settings.data_dir());
    let opened = Lotic::open(settings.options(data, true)).await;
    let lotic = opened.map_err(|error| match error.code() {
        "55006" => error.with_hint(
            "ask the server that has it open: lotic check --pg HOST:PORT, such as 127.0.0.1:5433",
        ),
        _ => error,
    })?;
    let mut progress = Progress::new(settings.quiet);
    if !args.paths.is_empty() {
        let pipeline = Pipeline::read(&args.paths, &settings.variables)?;
        lotic.apply(&pipeline, |_, _| {}).await?;
    }
    let (mut differs, mut fails) = (false, false);
    let models = lotic.model_names();
    for (position, name) in models.iter().enumerate() {
        progress.begin(name, Some((position, models.len())), Some(&lotic));
        match compare(&lotic, name).await {
            Ok(Compared::Rows(rows)) => {
                progress.end("compared");
                differs |= rows > 0;
                tell(name, rows, settings.quiet);
            }
            Ok(Compared::Not(why)) => {
                progress.end("not compared");
                say(&why);
            }
            // one that fails says nothing of the others
            Err(error) => {
                progress.end("failed");
                fails = true;
                say(&format!("{name}: not compared: {error}"));
            }
        }
    }
    lotic.shutdown().await;
    Ok(outcome(differs, fails))
}

/// What comparing a model with its query gives.
enum Compared {
    /// How many rows differ.
    Rows(u64),
    /// Why it is not compared.
    Not(String),
}

async fn compare(lotic: &Arc<Lotic>, name: &str) -> Result<Compared> {
    let rows = lotic.count_differences(name).await?;
    Ok(match lotic.why_not_compared(name).await? {
        Some(why) => Compared::Not(why),
        None => Compared::Rows(u64::try_from(rows).unwrap_or(u64::MAX)),
    })
}

/// A model that differs is worse than one that could not be compared.
fn outcome(differs: bool, fails: bool) -> ExitCode {
    match (differs, fails) {
        (true, _) => code(EXIT_DIFFERS),
        (false, true) => code(EXIT_FAILED),
        (false, false) => code(0),
    }
}

fn tell(name: &str, rows: u64, quiet: bool) {
    match rows {
        0 if quiet => {}
        0 => say(&format!("{name}: equal")),
        _ => say(&format!("{name}: {rows} rows differ")),
    }
}

#[cfg(feature = "postgres")]
async fn check_there(address: &str, settings: &Settings) -> Result<Vec<(String, Option<u64>)>> {
    super::remote::check_all(address, settings).await
}

#[cfg(not(feature = "postgres"))]
async fn check_there(_: &str, _: &Settings) -> Result<Vec<(String, Option<u64>)>> {
    let error = crate::base::Error::unsupported("this build was made without the feature postgres");
    std::future::ready(Err(error)).await
}
