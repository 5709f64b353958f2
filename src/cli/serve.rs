//! `lotic serve`: a pipeline kept live, behind PostgreSQL's wire and HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::net::TcpListener;

use super::code;
use super::config::Settings;
use super::output::say;
use super::progress::Progress;
use crate::base::{Error, Result};
use crate::runtime::{Lotic, Pipeline};
use crate::server::{self, Tls};

/// Serve a pipeline.
#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Folders and files of SQL, applied in the order of their names. Without one the server is as
    /// its data folder has it.
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Where PostgreSQL clients connect.
    #[arg(long, value_name = "ADDRESS")]
    pg: Option<String>,
    /// Where HTTP clients connect; `off` for nowhere.
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// A folder whose files clients may read and write by CREATE SOURCE and CREATE SINK, or the
    /// beginning of addresses that they may read, such as s3://bucket/folder. May be given again. By
    /// default the working directory and the folders of the pipeline. LOTIC_FILES takes several
    /// between semicolons.
    #[arg(long, value_name = "DIR")]
    files: Vec<String>,
    /// Check one model, each in its turn, against its query in batch, so many seconds after the check before. What is found
    /// is in the metrics, and in the log where rows differ. Off by default: a check costs what the query costs.
    #[arg(long, env = "LOTIC_CHECK_EVERY", value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    check_every: Option<u64>,
    /// Let clients of this machine in without a password. For trying out only.
    #[arg(long)]
    trust: bool,
}

pub(crate) async fn serve(args: &ServeArgs, settings: &Settings) -> Result<ExitCode> {
    let mut progress = Progress::new(settings.quiet);
    let pg = address(args.pg.as_ref().or(settings.pg.as_ref()), "127.0.0.1:5433")?;
    let http = args.http.clone().or_else(|| settings.http.clone());
    let http = match http.as_deref() {
        Some("off") => None,
        given => Some(address(
            given.map(str::to_owned).as_ref(),
            "127.0.0.1:8433",
        )?),
    };
    let tls = match &settings.tls {
        Some((cert, key)) => Some(Tls::load(cert, key)?),
        None => None,
    };
    // a wrong statement or a taken port is told before anything is written
    let pipeline = match args.paths.as_slice() {
        [] => None,
        paths => Some(Pipeline::read(paths, &settings.variables)?),
    };
    let pg_listener = listen(pg)?;
    let http_listener = match http {
        Some(address) => Some(listen(address)?),
        None => None,
    };
    let data = settings.data_dir();
    let mut options = settings.options(Some(data.clone()), true);
    options.files = files(args, settings);
    progress.begin(&format!("data folder {}", data.display()), None, None);
    let lotic = Lotic::open(options).await?;
    progress.end("open");
    if !settings.quiet {
        for notice in lotic.notices() {
            say(&format!("notice: {notice}"));
        }
    }
    if let Some(pipeline) = &pipeline {
        apply(&lotic, pipeline, &mut progress).await?;
    }
    if let Some(seconds) = args.check_every {
        lotic.start_sampler(Duration::from_secs(seconds));
    }
    let mut servers = server::start_pg(&lotic, pg_listener, tls, args.trust)?;
    if let Some(listener) = http_listener {
        servers.add_http(&lotic, listener)?;
    }
    if !settings.quiet {
        greet(
            &lotic,
            &data,
            pg,
            http,
            args.trust,
            progress.elapsed().as_secs_f64(),
        );
    }
    wait_for_signal().await?;
    if !settings.quiet {
        say("stopping");
    }
    servers.stop().await;
    lotic.shutdown().await;
    Ok(code(0))
}

/// What clients may name.
fn files(args: &ServeArgs, settings: &Settings) -> Vec<String> {
    if !args.files.is_empty() {
        return args.files.clone();
    }
    if !settings.files.is_empty() {
        return settings.files.clone();
    }
    let folder = |path: &PathBuf| {
        let folder = if path.is_dir() {
            Some(path.as_path())
        } else {
            path.parent()
        };
        folder.map(|folder| folder.to_string_lossy().into_owned())
    };
    let folders = args.paths.iter().filter_map(folder);
    std::iter::once(".".to_owned())
        .chain(folders.filter(|folder| !folder.is_empty()))
        .collect()
}

async fn apply(lotic: &Arc<Lotic>, pipeline: &Pipeline, progress: &mut Progress) -> Result<()> {
    let total = pipeline.steps.len();
    let mut done = 0;
    lotic
        .apply(pipeline, |step, applied| {
            let what = match step.creates() {
                Some((kind, name)) => format!("{kind} {name}"),
                None => step.place(),
            };
            if applied.is_none() {
                progress.begin(&what, Some((done, total)), Some(lotic));
            } else {
                progress.end("ready");
                done += 1;
            }
        })
        .await
}

fn greet(
    lotic: &Lotic,
    data: &Path,
    pg: SocketAddr,
    http: Option<SocketAddr>,
    trust: bool,
    seconds: f64,
) {
    let models = lotic.model_names().len();
    say(&format!(
        "lotic serves {models} models from {} after {seconds:.1} s",
        data.display()
    ));
    let (host, port) = (pg.ip(), pg.port());
    let plain = format!("psql -h {host} -p {port} -U lotic lotic");
    match lotic.password_file() {
        _ if trust => say(&format!(
            "connect:  {plain}    (no password is asked: --trust)"
        )),
        Some(file) => say(&format!(
            "connect:  PGPASSWORD=$(cat {}) {plain}",
            file.display()
        )),
        None => say(&format!("connect:  {plain}")),
    }
    if let Some(http) = http {
        say(&format!(
            "push:     curl -H \"Authorization: Bearer $(cat {}/http-token)\" --data-binary @rows.ndjson http://{http}/v1/topics/NAME",
            data.display()
        ));
    }
}

fn address(given: Option<&String>, default: &str) -> Result<SocketAddr> {
    let text = given.map_or(default, String::as_str);
    text.parse().map_err(|_| {
        Error::invalid(format!("\"{text}\" is not an address"))
            .with_hint("an address is IP:PORT, such as 127.0.0.1:5433")
    })
}

fn listen(address: SocketAddr) -> Result<TcpListener> {
    server::listen(address)
}

async fn wait_for_signal() -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let io = |error: std::io::Error| Error::io("listen for signals", &error);
    let mut terminate = signal(SignalKind::terminate()).map_err(io)?;
    tokio::select! {
        outcome = tokio::signal::ctrl_c() => outcome.map_err(io),
        _ = terminate.recv() => Ok(()),
    }
}
