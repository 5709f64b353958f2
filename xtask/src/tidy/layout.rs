//! Rules about a file as a whole: its name, its first line, its size, its characters, its marks.

use super::source::Source;
use super::{Finding, Level};

/// Names that say nothing about what is inside, and so attract everything.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc"];

/// From here on a file is likely to hold two ideas.
const LINES_WARN: usize = 500;
/// No file is longer.
const LINES_FAIL: usize = 800;
/// A `mod.rs` declares and tells the module's story, no more.
const MOD_LINES_WARN: usize = 200;

/// The file's name.
pub(super) fn name(path: &str) -> Vec<Finding> {
    let file = path.rsplit('/').next().unwrap_or(path);
    let (stem, ending) = file.rsplit_once('.').unwrap_or((file, ""));
    let folders = path.split('/').rev().skip(1);
    let source = matches!(ending, "rs" | "sql" | "slt" | "py" | "sh");
    let empty = EMPTY_NAMES.contains(&stem) || folders.clone().any(|f| EMPTY_NAMES.contains(&f));
    if source && empty {
        let reason = "a name like this attracts everything: name the file after its one idea";
        return vec![fail(path, 1, "file name", reason)];
    }
    Vec::new()
}

/// A pipeline file states what goes in and what comes out before its first statement.
pub(super) fn sql_header(path: &str, text: &str) -> Vec<Finding> {
    if path.starts_with("sql/") && !text.starts_with("-- ") {
        let reason = "a pipeline file begins with a comment: what goes in, what comes out";
        return vec![fail(path, 1, "sql header", reason)];
    }
    Vec::new()
}

/// The rules for Rust files.
pub(super) fn source(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(header(source));
    findings.extend(size(source));
    findings.extend(characters(source));
    findings.extend(marks(source));
    findings
}

fn header(source: &Source) -> Option<Finding> {
    let first = source.raw.first().map_or("", String::as_str);
    let text = first.strip_prefix("//! ").map_or("", str::trim);
    text.is_empty().then(|| {
        let reason = "the first line is `//! ` and says in a sentence what the file is";
        fail(&source.path, 1, "header", reason)
    })
}

fn size(source: &Source) -> Option<Finding> {
    let all = source.raw.len();
    let own = source.test.iter().filter(|test| !**test).count();
    let limit = if source.path.ends_with("/mod.rs") {
        MOD_LINES_WARN
    } else {
        LINES_WARN
    };
    if all > LINES_FAIL {
        let reason = format!("{all} lines, {LINES_FAIL} at most: split it along an idea");
        return Some(fail(&source.path, all, "file size", &reason));
    }
    (own > limit).then(|| Finding {
        level: Level::Warn,
        reason: format!("{own} lines without tests, {limit} is where a second idea begins"),
        ..fail(&source.path, all, "file size", "")
    })
}

/// Plain ASCII: what looks equal is equal, in every editor and every diff.
fn characters(source: &Source) -> Vec<Finding> {
    let lines = source
        .raw
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.is_ascii());
    lines
        .map(|(at, _)| {
            let reason = "source is ASCII; write others as escapes such as \\u{e9}";
            fail(&source.path, at + 1, "characters", reason)
        })
        .collect()
}

/// Marks that hide work: ignored tests, panics as expectations, notes without an owner.
fn marks(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in source.code.lines().enumerate() {
        if line.contains("#[ignore") {
            let reason = "a test that does not run proves nothing: mend it or delete it";
            findings.push(fail(&source.path, at + 1, "ignored test", reason));
        }
        if line.contains("#[should_panic") {
            let reason = "any panic would pass: assert on the error that is returned";
            findings.push(fail(&source.path, at + 1, "should_panic", reason));
        }
    }
    for (at, line) in source.comments.iter().enumerate() {
        if ownerless(line) {
            let reason = "say who or which issue: `TODO(name)` or `TODO #12`";
            findings.push(fail(&source.path, at + 1, "note", reason));
        }
    }
    findings
}

/// Is there a note in this comment that nobody owns?
fn ownerless(comment: &str) -> bool {
    ["TODO", "FIXME", "XXX"].iter().any(|mark| {
        comment.match_indices(mark).any(|(at, _)| {
            let before = comment.get(..at).unwrap_or("").chars().next_back();
            let after = comment.get(at + mark.len()..).unwrap_or("");
            let word = before.is_some_and(char::is_alphanumeric)
                || after.chars().next().is_some_and(char::is_alphanumeric);
            let quoted = before == Some('`');
            !word && !quoted && !after.starts_with('(') && !after.starts_with(" #")
        })
    })
}

fn fail(path: &str, line: usize, rule: &'static str, reason: &str) -> Finding {
    Finding {
        level: Level::Fail,
        path: path.to_owned(),
        line,
        rule,
        reason: reason.to_owned(),
    }
}
