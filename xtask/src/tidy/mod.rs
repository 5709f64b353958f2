//! `cargo xtask tidy`: the rules of the house that no compiler checks, in one pass over the files.
//!
//! A finding names file and line, the rule, and the reason of the rule. [`table`] holds who may
//! import whom; [`source`] tells code from comments, strings and tests; each other file is one
//! family of rules, a function from a file to findings.

mod functions;
mod imports;
mod layout;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::say;
use source::Source;

/// Whether a finding stops a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// Printed, and passes.
    Warn,
    /// Must be mended.
    Fail,
}

/// A place that breaks a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) level: Level,
    /// Relative to the root, with `/`.
    pub(crate) path: String,
    /// From 1.
    pub(crate) line: usize,
    /// The rule's name.
    pub(crate) rule: &'static str,
    /// What is wrong here and why that is a rule.
    pub(crate) reason: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = match self.level {
            Level::Warn => "warning",
            Level::Fail => "error",
        };
        write!(
            f,
            "{}:{}: {level}: {}: {}",
            self.path, self.line, self.rule, self.reason
        )
    }
}

/// Checks every file below `root`; true when nothing fails.
pub(crate) fn run(root: &Path) -> bool {
    let mut findings = Vec::new();
    let mut files = Vec::new();
    if let Err(error) = walk(root, root, &mut files) {
        say(&format!("cannot list the files: {error}"));
        return false;
    }
    for path in &files {
        let name = relative(root, path);
        match fs::read(path) {
            Ok(bytes) => findings.extend(check(&name, &bytes)),
            Err(error) => {
                say(&format!("{name}: cannot be read: {error}"));
                return false;
            }
        }
    }
    for finding in &findings {
        say(&finding.to_string());
    }
    let failed = findings
        .iter()
        .filter(|finding| finding.level == Level::Fail)
        .count();
    let warned = findings.len() - failed;
    say(&format!(
        "tidy: {} files, {failed} errors, {warned} warnings",
        files.len()
    ));
    failed == 0
}

/// All findings of one file. `name` is relative to the root.
fn check(name: &str, bytes: &[u8]) -> Vec<Finding> {
    let mut findings = layout::name(name);
    if name.ends_with(".sql") {
        findings.extend(layout::sql_header(name, &String::from_utf8_lossy(bytes)));
    }
    if name.ends_with(".rs") {
        let text = String::from_utf8_lossy(bytes);
        let source = Source::new(name, &text);
        findings.extend(layout::source(&source));
        findings.extend(imports::directions(&source));
        findings.extend(imports::fences(&source));
        findings.extend(imports::groups(&source));
        findings.extend(functions::lengths(&source));
    }
    findings
}

/// The files below `folder`, by name, without build outputs and hidden folders.
fn walk(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() {
            let output = folder == root && (name == "target" || name == "lotic-data");
            if !output && !name.starts_with('.') {
                walk(root, &path, files)?;
            }
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

fn relative(root: &Path, path: &Path) -> String {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.to_string_lossy().replace('\\', "/")
}
