//! The command line: `lotic run`, `serve`, `sql`, `check` and `bench`.
//!
//! Flags beat `LOTIC_*` variables, and these beat `lotic.toml`.

mod bench;
mod check;
mod config;
mod output;
mod progress;
#[cfg(feature = "postgres")]
mod remote;
mod run;
mod serve;
mod sql;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::base::{Error, Kind, Result, memory};

/// Exit code when the request was wrong or failed.
const EXIT_FAILED: u8 = 1;
/// Exit code of `check` when a model differs from its query.
const EXIT_DIFFERS: u8 = 3;
/// Exit code when stored data is damaged or the key does not fit.
const EXIT_DATA: u8 = 4;

/// Stream-batch SQL: one folder of SQL, run once or kept live, read with any PostgreSQL client.
#[derive(Debug, Parser)]
#[command(name = "lotic", version, about, long_about = None, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    common: Common,
}

const EXAMPLES: &str = "\
Examples:
  lotic run sql/flights                            every model once, in batch
  lotic run sql/flights --out results --format parquet
  lotic serve sql/flights                          keep the models fresh, serve them to psql
  lotic serve                                      an empty server that psql fills
  lotic sql -c 'SELECT count(*) FROM flights' sql/flights
  lotic check sql/flights                          maintained against batch, every model

Exit codes:
  0 done   1 failed   2 wrong command line   3 check found a difference   4 data damaged or wrong key";

/// What every command takes.
#[derive(Args, Clone, Debug)]
pub(crate) struct Common {
    /// The data folder.
    #[arg(long, global = true, env = "LOTIC_DATA", value_name = "DIR")]
    data: Option<PathBuf>,
    /// A file with the master key; by default one is generated in the data folder.
    #[arg(long, global = true, env = "LOTIC_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// A value for ${name} in pipeline files. May be given again.
    #[arg(long = "set", global = true, value_name = "NAME=VALUE")]
    variables: Vec<String>,
    /// Settings in a file; `lotic.toml` of the working directory by default.
    #[arg(long, global = true, env = "LOTIC_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Say nothing but errors and results.
    #[arg(long, short, global = true)]
    quiet: bool,
    /// What to log, as in `info` or `lotic=debug`.
    #[arg(long, global = true, env = "LOTIC_LOG", value_name = "FILTER")]
    log: Option<String>,
    /// Memory that one statement may use, in MiB.
    #[arg(
        long,
        global = true,
        env = "LOTIC_STATEMENT_MEMORY",
        value_name = "MIB"
    )]
    statement_memory: Option<usize>,
    /// Memory that the state and rows of one model may take, in MiB; half of the machine's by default.
    #[arg(long, global = true, env = "LOTIC_MODEL_MEMORY", value_name = "MIB")]
    model_memory: Option<usize>,
    /// Memory that those of all models may take together, in MiB; three quarters of the machine's by default.
    #[arg(long, global = true, env = "LOTIC_MODELS_MEMORY", value_name = "MIB")]
    models_memory: Option<usize>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pipeline once, in batch, to the end of every source, then exit.
    Run(run::RunArgs),
    /// Serve a pipeline live, to psql and over HTTP.
    Serve(serve::ServeArgs),
    /// Run batch queries without a server.
    Sql(sql::SqlArgs),
    /// Compare every model with its query in batch.
    Check(check::CheckArgs),
    /// Measure this machine.
    Bench(bench::BenchArgs),
}

/// The forms of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object a line.
    Ndjson,
    /// Apache Parquet; needs --out.
    Parquet,
}

impl Format {
    fn ending(self) -> &'static str {
        match self {
            Self::Table => "txt",
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Parquet => "parquet",
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let outcome = config::load(&cli.common).and_then(|settings| {
        start_logging(&cli.common, &settings);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_stack_size(8 << 20)
            .on_thread_park(memory::before_waiting)
            .thread_keep_alive(memory::KEEP_ALIVE)
            .build()
            .map_err(|error| Error::io("start the threads", &error))?;
        let _waking = memory::wake_threads_of(runtime.handle());
        let outcome = runtime.block_on(dispatch(cli.command, &settings));
        runtime.shutdown_background();
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::complain(&error);
            ExitCode::from(exit_code(&error))
        }
    }
}

async fn dispatch(command: Command, settings: &config::Settings) -> Result<ExitCode> {
    match command {
        Command::Run(args) => Box::pin(run::run(&args, settings)).await,
        Command::Serve(args) => Box::pin(serve::serve(&args, settings)).await,
        Command::Sql(args) => Box::pin(sql::sql(&args, settings)).await,
        Command::Check(args) => Box::pin(check::check(&args, settings)).await,
        Command::Bench(args) => Box::pin(bench::bench(&args, settings)).await,
    }
}

fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        Kind::Corrupt => EXIT_DATA,
        Kind::Denied if error.code() == "28000" => EXIT_DATA,
        _ => EXIT_FAILED,
    }
}

fn start_logging(common: &Common, settings: &config::Settings) {
    let default = if common.quiet { "error" } else { "warn" };
    let filter = settings.log.clone().unwrap_or_else(|| default.to_owned());
    let filter = tracing_subscriber::EnvFilter::try_new(&filter)
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(default));
    let started = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    // a second start of logging in one process is harmless
    drop(started);
}

/// For uses of the exit code constants in subcommands.
fn code(number: u8) -> ExitCode {
    ExitCode::from(number)
}
