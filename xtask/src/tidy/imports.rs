//! Rules about names: directions between modules, fences around vendors, groups of `use` lines.

use super::source::{Source, is_word};
use super::table::{FENCES, MODULES, STANDARD, Where};
use super::{Finding, Level};

/// Whether `use` lines out of their groups stop a merge.
const GROUPS: Level = Level::Warn;

/// Who may import whom. Test code may import what it likes.
pub(super) fn directions(source: &Source) -> Vec<Finding> {
    let Some(module) = source.module() else {
        return Vec::new();
    };
    let Some((_, allowed)) = MODULES.iter().find(|(name, _)| *name == module) else {
        let reason = format!("`{module}` is not in the import table (xtask/src/tidy/table.rs)");
        return vec![finding(source, 0, "unknown module", reason)];
    };
    let mut findings = Vec::new();
    for (at, target) in own_paths(&source.code) {
        let known = MODULES.iter().any(|(name, _)| *name == target);
        let fits = target == module || allowed.contains(&target);
        if known && !fits && !source.is_test(source.line_of(at)) {
            let reason = format!(
                "`{module}` may not import `{target}`, only: {}",
                if allowed.is_empty() {
                    "nothing".to_owned()
                } else {
                    allowed.join(", ")
                }
            );
            findings.push(finding(source, at, "import direction", reason));
        }
    }
    findings
}

/// The modules named after `crate::`, with their places; groups in braces are looked into.
fn own_paths(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code.get(..at).unwrap_or("").chars().next_back();
        if before.is_some_and(|c| is_word(c) || c == '$') {
            continue;
        }
        let start = at + "crate::".len();
        let rest = code.get(start..).unwrap_or("");
        if rest.starts_with('{') {
            found.extend(
                group(rest)
                    .into_iter()
                    .map(|(offset, name)| (start + offset, name)),
            );
        } else {
            found.push((start, word(rest)));
        }
    }
    found
}

/// The first names of the parts of a group such as `{base::ids, zset::{Delta, Weights}}`.
fn group(text: &str) -> Vec<(usize, &str)> {
    let (mut depth, mut fresh, mut found) = (0_usize, false, Vec::new());
    for (at, c) in text.char_indices() {
        match c {
            '{' => {
                depth += 1;
                fresh = depth == 1;
            }
            '}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    break;
                }
            }
            ',' => fresh = depth == 1,
            c if fresh && is_word(c) => {
                found.push((at, word(text.get(at..).unwrap_or(""))));
                fresh = false;
            }
            _ => {}
        }
    }
    found
}

/// Where vendors' names may stand.
pub(super) fn fences(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    if source.path.starts_with("udfs/") {
        for at in uses(&source.code, "lotic") {
            let reason = "the functions know nothing of the engine: it registers them";
            findings.push(finding(source, at, "fence", reason.to_owned()));
        }
    }
    let Some(module) = source.module() else {
        return findings;
    };
    for fence in FENCES {
        let (fits, place) = match fence.only {
            Where::Inside(modules) => (modules.contains(&module), modules.join(", ")),
            Where::Outside(modules) => (
                !modules.contains(&module),
                format!("all but {}", modules.join(", ")),
            ),
        };
        if fits {
            continue;
        }
        for path in fence.paths {
            for at in uses(&source.code, path) {
                if !source.is_test(source.line_of(at)) {
                    let reason = format!("`{path}` only in {place}: {}", fence.reason);
                    findings.push(finding(source, at, "fence", reason));
                }
            }
        }
    }
    findings
}

/// The places where `path` is named: a type anywhere, a crate at the beginning of a path.
fn uses(code: &str, path: &str) -> Vec<usize> {
    let a_type = path.chars().next().is_some_and(char::is_uppercase);
    let mut places = Vec::new();
    for (at, _) in code.match_indices(path) {
        let before = code.get(..at).unwrap_or("");
        let after = code.get(at + path.len()..).unwrap_or("");
        if before
            .chars()
            .next_back()
            .is_some_and(|c| is_word(c) || c == '.')
        {
            continue;
        }
        if after.chars().next().is_some_and(is_word) {
            continue;
        }
        let named = if a_type {
            true
        } else {
            let imported = before.trim_end().ends_with("use") || before.ends_with("use ::");
            let begins = !before.ends_with("::") && after.starts_with("::");
            begins || (imported && after.trim_start().starts_with([';', ' ']))
        };
        if named {
            places.push(at);
        }
    }
    places
}

/// `use` lines stand in three groups, standard library, other crates, this crate, in this order.
pub(super) fn groups(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    let children: Vec<&str> = source.code.lines().filter_map(child).collect();
    let mut last: Option<usize> = None;
    let mut blank = true;
    let mut inside = false;
    for (at, line) in source.code.lines().enumerate() {
        if inside {
            inside = !line.contains(';');
            blank = false;
            continue;
        }
        let Some(path) = line.strip_prefix("use ") else {
            // Attributes and declarations between `use` lines end nothing; other items do.
            blank = blank || line.trim().is_empty();
            continue;
        };
        inside = !line.contains(';');
        let first = word(path.trim_start_matches("::"));
        let rank = if children.contains(&first) {
            OWN
        } else {
            rank(first)
        };
        if let Some(previous) = last {
            let problem = if rank < previous {
                Some("the order is standard library, other crates, this crate")
            } else if rank > previous && !blank {
                Some("a blank line parts the groups")
            } else {
                None
            };
            if let Some(problem) = problem {
                findings.push(Finding {
                    level: GROUPS,
                    path: source.path.clone(),
                    line: at + 1,
                    rule: "import groups",
                    reason: problem.to_owned(),
                });
            }
        }
        last = Some(rank);
        blank = false;
    }
    findings
}

/// The rank of this crate's own names.
const OWN: usize = 2;

fn rank(name: &str) -> usize {
    match name {
        name if STANDARD.contains(&name) => 0,
        "crate" | "super" | "self" => OWN,
        _ => 1,
    }
}

/// The name of the module that this line declares: a path that begins with it is our own.
fn child(line: &str) -> Option<&str> {
    let at = line.find("mod ")?;
    let before = line.get(..at)?.trim_end();
    let declares = before.is_empty() || before == "pub" || before.ends_with(')');
    declares.then(|| word(line.get(at + "mod ".len()..).unwrap_or("")))
}

/// The name that `text` begins with.
fn word(text: &str) -> &str {
    let end = text.find(|c| !is_word(c)).unwrap_or(text.len());
    text.get(..end).unwrap_or("")
}

fn finding(source: &Source, at: usize, rule: &'static str, reason: String) -> Finding {
    Finding {
        level: Level::Fail,
        path: source.path.clone(),
        line: source.line_of(at),
        rule,
        reason,
    }
}
