//! `cargo xtask gate`: every check in the order of its price, each named, up to the first that fails.

use std::path::Path;
use std::process::Command;

use crate::{say, tidy};

/// A step that another program does: its name, the arguments of cargo, and a variable to set.
struct Step {
    name: &'static str,
    arguments: &'static [&'static str],
    variable: Option<(&'static str, &'static str)>,
}

const STEPS: &[Step] = &[
    Step {
        name: "format",
        arguments: &["fmt", "--all", "--check"],
        variable: None,
    },
    Step {
        name: "clippy",
        arguments: &[
            "clippy",
            "--locked",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ],
        variable: None,
    },
    Step {
        name: "documentation",
        arguments: &["doc", "--locked", "--workspace", "--no-deps"],
        variable: Some(("RUSTDOCFLAGS", "-D warnings")),
    },
    Step {
        name: "tests",
        arguments: &["test", "--locked", "--workspace"],
        variable: None,
    },
];

/// True when every step passed.
pub(crate) fn run(root: &Path) -> bool {
    say("== tidy");
    if !tidy::run(root) {
        say("== tidy failed");
        return false;
    }
    for step in STEPS {
        say(&format!(
            "== {}: cargo {}",
            step.name,
            step.arguments.join(" ")
        ));
        if !passes(root, step) {
            say(&format!("== {} failed", step.name));
            return false;
        }
    }
    say("== all passed");
    true
}

fn passes(root: &Path, step: &Step) -> bool {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(step.arguments).current_dir(root);
    if let Some((name, value)) = step.variable {
        command.env(name, value);
    }
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            say(&format!("cannot start cargo: {error}"));
            false
        }
    }
}
