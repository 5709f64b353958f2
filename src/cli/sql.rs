//! `lotic sql`: batch queries over a pipeline or bare files, without a server.

use std::io::Read;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::config::Settings;
use super::output::{print, save, say};
use super::{Format, code};
use crate::base::{Error, Result};
use crate::runtime::{Lotic, Pipeline};

/// Run batch queries.
#[derive(Args, Debug)]
pub(crate) struct SqlArgs {
    /// Folders and files of SQL to apply first.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// The statements. Without -c and -f they are read from standard input.
    #[arg(short, long, value_name = "SQL", conflicts_with = "file")]
    command: Option<String>,
    /// A file with the statements.
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write the last result to a file.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// The form of results.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

pub(crate) async fn sql(args: &SqlArgs, settings: &Settings) -> Result<ExitCode> {
    let text = statements(args)?;
    let lotic = Lotic::open(settings.options(None, false)).await?;
    if !args.paths.is_empty() {
        let pipeline = Pipeline::read(&args.paths, &settings.variables)?;
        lotic.apply(&pipeline, |_, _| {}).await?;
    }
    let mut session = lotic.session("lotic");
    let parsed = session.parse(&text)?;
    let last = parsed.len();
    for (position, statement) in parsed.into_iter().enumerate() {
        let answers = session.run(&statement.text).await;
        for notice in session.take_notices() {
            say(&format!("{}: {}", notice.severity, notice.message));
        }
        for (schema, batches, tag) in answers? {
            if schema.fields().is_empty() && batches.is_empty() {
                if !settings.quiet {
                    say(&tag);
                }
                continue;
            }
            match &args.out {
                Some(path) if position + 1 == last => save(path, &schema, &batches, args.format)?,
                _ => print(&schema, &batches, args.format)?,
            }
        }
    }
    lotic.shutdown().await;
    Ok(code(0))
}

fn statements(args: &SqlArgs) -> Result<String> {
    if let Some(text) = &args.command {
        return Ok(text.clone());
    }
    if let Some(file) = &args.file {
        return std::fs::read_to_string(file)
            .map_err(|error| Error::io(format!("read {}", file.display()), &error));
    }
    let mut text = String::new();
    std::io::stdin()
        .read_to_string(&mut text)
        .map_err(|error| Error::io("read standard input", &error))?;
    Ok(text)
}
