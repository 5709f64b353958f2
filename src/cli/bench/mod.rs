//! `lotic bench`: what this machine does, measured on a throw-away engine.
//!
//! Every bench opens an engine over a data folder of its own in the temporary folder, writes through
//! the encrypted log as a client would, and removes the folder again.

mod bars;
mod latency;
mod nexmark;
mod process;
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
    /// What a row costs in many models and in a large join, and what memory a row takes and gives back.
    Bars(bars::BarsArgs),
    /// From acknowledgement to visible, under a steady stream of inserts.
    Latency(latency::LatencyArgs),
    /// The queries of Nexmark: events a second into a maintained model, end to end.
    Nexmark(nexmark::NexmarkArgs),
    /// The queries of TPC-H: in batch, as models that are filled, and as models that are refreshed.
    Tpch(tpch::TpchArgs),
}

pub(crate) async fn bench(args: &BenchArgs, settings: &Settings) -> Result<ExitCode> {
    match &args.what {
        What::Bars(args) => Box::pin(bars::run(args, settings)).await?,
        What::Latency(args) => latency::run(args, settings).await?,
        What::Nexmark(args) => Box::pin(nexmark::run(args, settings)).await?,
        What::Tpch(args) => Box::pin(tpch::run(args, settings)).await?,
    }
    Ok(code(0))
}
