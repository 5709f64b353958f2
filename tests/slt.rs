//! The SQL tests: every `tests/slt/<area>/<file>.slt`, run as `batch::area/file` and as
//! `incremental::area/file`. `slt_runner` says what each of the two does.
//!
//! `cargo test --test slt -- joins` runs what has `joins` in its name. With LOTIC_SLT_URL set to the address
//! of a server (`host=... port=... user=... dbname=...`), the files run there instead: against PostgreSQL
//! this checks the expected answers themselves.

mod slt_runner;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use libtest_mimic::{Arguments, Failed, Trial};

use slt_runner::host::{self, Host};
use slt_runner::{Mode, batch, checks, incremental, records};

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/slt");
    let mut trials = checks::trials();
    if let Some(host) = host::choose() {
        let host: Arc<dyn Host> = Arc::from(host);
        for file in files(&root)
            .into_iter()
            .filter(|file| fits(file, host.engine()))
        {
            for mode in [Mode::Batch, Mode::Incremental] {
                trials.push(trial(&root, &file, mode, Arc::clone(&host)));
            }
        }
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// One file in one mode.
fn trial(root: &Path, file: &Path, mode: Mode, host: Arc<dyn Host>) -> Trial {
    let below = file.strip_prefix(root).unwrap_or(file).with_extension("");
    let name = format!(
        "{}::{}",
        mode.label(),
        below.to_string_lossy().replace('\\', "/")
    );
    let file = file.to_owned();
    Trial::test(name, move || {
        let steps = records::read(&file, &[host.engine(), mode.label()])?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|error| Failed::from(error.to_string()))?;
        runtime.block_on(async {
            let mut session = host.open().await?;
            let outcome = match mode {
                Mode::Batch => batch::run(session.as_mut(), &steps).await,
                Mode::Incremental => incremental::run(session.as_mut(), &steps).await,
            };
            session.close().await;
            outcome.map_err(Failed::from)
        })
    })
}

/// A file whose first words are `# Lotic only` is for no other engine.
fn fits(file: &Path, engine: &str) -> bool {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    engine == "lotic" || !text.starts_with("# Lotic only")
}

/// All files, by name; those that begin with `_` are for inclusion only.
fn files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let hidden = entry.file_name().to_string_lossy().starts_with('_');
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "slt") && !hidden {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}
