//! `lotic bench`: what this machine does, measured on a throw-away engine.

mod latency;
mod tpch;

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::code;
use super::config::Settings;
use crate::base::Result;

/// Measure this machine.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// From acknowledgement to visible, under a steady stream of inserts.
    Latency(latency::LatencyArgs),
    /// The queries of TPC-H: in batch, as models that are filled, and as models that are refreshed.
    Tpch(tpch::TpchArgs),
}

pub(crate) async fn bench(args: &BenchArgs, settings: &Settings) -> Result<ExitCode> {
    match &args.what {
        What::Latency(args) => latency::run(args, settings).await?,
        What::Tpch(args) => Box::pin(tpch::run(args, settings)).await?,
    }
    Ok(code(0))
}
