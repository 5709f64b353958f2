//! `lotic check`: every model, as it is maintained, against its query in batch.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::config::Settings;
use super::output::say;
use super::progress::Progress;
use super::{EXIT_DIFFERS, code};
use crate::base::Result;
use crate::runtime::{Lotic, Pipeline};

/// Compare models with their queries.
#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// Folders and files of SQL: the pipeline is loaded, maintained and compared in memory. Without
    /// a path the data folder is opened and its models are compared; stop its server first, or ask
    /// it with CHECK ALL.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

pub(crate) async fn check(args: &CheckArgs, settings: &Settings) -> Result<ExitCode> {
    let data = args.paths.is_empty().then(|| settings.data_dir());
    let lotic = Lotic::open(settings.options(data, true)).await?;
    let mut progress = Progress::new(settings.quiet);
    if !args.paths.is_empty() {
        let pipeline = Pipeline::read(&args.paths, &settings.variables)?;
        lotic.apply(&pipeline, |_, _| {}).await?;
    }
    let models = lotic.model_names();
    let mut differing = 0;
    for (position, name) in models.iter().enumerate() {
        progress.begin(name, position, models.len(), Some(&lotic));
        let rows = lotic
            .count_differences(name)
            .await
            .map_err(|error| error.at(name))?;
        progress.end("compared");
        if rows > 0 {
            differing += 1;
        }
        if !settings.quiet || rows > 0 {
            let verdict = if rows == 0 {
                "equal".to_owned()
            } else {
                format!("{rows} rows differ")
            };
            say(&format!("{name}: {verdict}"));
        }
    }
    lotic.shutdown().await;
    Ok(code(if differing == 0 { 0 } else { EXIT_DIFFERS }))
}
