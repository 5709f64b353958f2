//! `lotic bench tpch`: the 22 queries of TPC-H over rows that are generated here, in batch, as models
//! that are filled, and as models that follow the benchmark's refresh streams.
//!
//! The figures are of this machine and say how the three ways compare; they are no audited result.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[cfg(feature = "tpch")]
mod batch;
#[cfg(feature = "tpch")]
mod dataset;
#[cfg(feature = "tpch")]
mod live;
#[cfg(feature = "tpch")]
mod load;
#[cfg(feature = "tpch")]
mod queries;
#[cfg(feature = "tpch")]
mod refresh;
#[cfg(feature = "tpch")]
mod report;
#[cfg(feature = "tpch")]
mod run;
#[cfg(all(test, feature = "tpch"))]
mod tests;
#[cfg(feature = "tpch")]
mod usage;

#[cfg(feature = "tpch")]
pub(super) use self::run::run;

/// What is measured.
#[derive(Args, Debug)]
#[cfg_attr(
    not(feature = "tpch"),
    expect(dead_code, reason = "this build has no generator")
)]
pub(crate) struct TpchArgs {
    /// The scale: 1 is about a gigabyte, 8.7 million rows.
    #[arg(long, default_value_t = 0.1)]
    scale: f64,
    /// One query, as in q1; may be given again. All by default.
    #[arg(long = "query", value_name = "qN")]
    queries: Vec<String>,
    /// Which of the three ways.
    #[arg(long, value_enum, default_value_t = Part::All)]
    part: Part,
    /// Which part of the orders comes, and which goes, in a round of refreshing.
    #[arg(long, default_value_t = 0.001)]
    fraction: f64,
    /// Rounds of refreshing. TPC-H has three at scale 1: one in its power test, two in its throughput test.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Keep the generated files in this folder, and use those that are there.
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    /// Compare every model with its query when all is done.
    #[arg(long)]
    check: bool,
    /// Print where the time of each model's operators went: in refreshing, where that is measured, or in load.
    #[arg(long)]
    operators: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// The ways of running the queries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Each query once, over Parquet files that are read in place.
    Batch,
    /// Each query as a model that is made over tables which are full.
    Load,
    /// All models kept fresh through new and deleted orders; includes load.
    Refresh,
    /// All of them.
    All,
}

/// Says that this build has no generator.
#[cfg(not(feature = "tpch"))]
pub(super) async fn run(_: &TpchArgs, _: &crate::cli::config::Settings) -> crate::base::Result<()> {
    let error = crate::base::Error::unsupported("this build was made without the feature tpch");
    std::future::ready(Err(error)).await
}
