//! Chores of this repository: `cargo xtask tidy` and `cargo xtask gate`. No dependencies, so that
//! the checks start before anything large compiles.

mod gate;
mod tidy;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask <chore>

  tidy   what no compiler checks: who may import whom, sizes, headers, names (seconds)
  gate   tidy, formatting, clippy, documentation and all tests: what must pass before a merge";

fn main() -> ExitCode {
    let chore = std::env::args().nth(1);
    let root = root();
    let passed = match chore.as_deref() {
        Some("tidy") => tidy::run(&root),
        Some("gate") => gate::run(&root),
        _ => {
            say(USAGE);
            false
        }
    };
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

/// The root of the repository: the folder above this crate.
fn root() -> PathBuf {
    // Set by `cargo run`. Read at run time: a compiled-in path would be that of another checkout
    // where two of them share a target folder.
    let this = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(PathBuf::new, PathBuf::from);
    this.parent()
        .map_or_else(|| PathBuf::from("."), PathBuf::from)
}

/// A line for whoever runs the chore.
#[expect(
    clippy::print_stdout,
    reason = "a chore speaks to the terminal, that is its output"
)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
