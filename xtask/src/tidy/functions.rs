//! The length of functions. A function that fits on a screen has to name its parts.

use super::source::{Source, is_word};
use super::{Finding, Level};

/// Lines of code in a body; blank lines and comments do not count.
const LINES: usize = 70;

/// Functions that are too long. In files of tests a function may be one long table of cases.
pub(super) fn lengths(source: &Source) -> Vec<Finding> {
    if source.path.ends_with("tests.rs") || source.path.contains("tests/") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (at, _) in source.code.match_indices("fn ") {
        let before = source.code.get(..at).unwrap_or("").chars().next_back();
        if before.is_some_and(is_word) {
            continue;
        }
        let Some(body) = body(source.code.get(at..).unwrap_or("")) else {
            continue;
        };
        let lines = body.lines().filter(|line| !line.trim().is_empty()).count();
        // The braces stand on lines that are not the body's.
        let lines = lines.saturating_sub(2);
        if lines > LINES {
            findings.push(Finding {
                level: Level::Fail,
                path: source.path.clone(),
                line: source.line_of(at),
                rule: "function length",
                reason: format!("{lines} lines of code, {LINES} at most: give its parts names"),
            });
        }
    }
    findings
}

/// The body of the function that `code` begins with, braces included; none where it is declared only.
fn body(code: &str) -> Option<&str> {
    let (mut brackets, mut braces, mut start) = (0_usize, 0_usize, None);
    for (at, byte) in code.bytes().enumerate() {
        match byte {
            b'(' | b'[' if start.is_none() => brackets += 1,
            b')' | b']' if start.is_none() => brackets = brackets.saturating_sub(1),
            b';' if start.is_none() && brackets == 0 => return None,
            b'{' if start.is_some() || brackets == 0 => {
                start.get_or_insert(at);
                braces += 1;
            }
            b'}' if start.is_some() => {
                braces -= 1;
                if braces == 0 {
                    return code.get(start?..=at);
                }
            }
            _ => {}
        }
    }
    None
}
