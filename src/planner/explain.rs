//! EXPLAIN (INCREMENTAL): which parts of a model are kept fresh by deltas and which are recomputed.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use datafusion::logical_expr::LogicalPlan;

/// How a node of a model's plan is kept fresh.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An operator turns the input's deltas into the output's.
    Incremental,
    /// The node is evaluated anew over its whole input, and the difference is emitted.
    Recomputed,
}

impl Mode {
    /// The word that EXPLAIN prints.
    pub fn word(self) -> &'static str {
        match self {
            Self::Incremental => "incremental",
            Self::Recomputed => "recomputed",
        }
    }
}

/// One node of a model's plan, parents before children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainLine {
    /// The number of ancestors.
    pub depth: usize,
    /// The node as DataFusion writes it, with session counters renumbered.
    pub text: String,
    /// How the node is kept fresh.
    pub mode: Mode,
    /// Why the node is recomputed; of an incremental node what costs more than its deltas, as a rule nothing.
    pub reason: String,
}

/// The lines of one plan, as they grow during lowering.
#[derive(Debug, Default)]
pub struct Explain {
    lines: Vec<ExplainLine>,
    names: Renumbering,
}

impl Explain {
    /// Opens the line of `plan`; it counts as incremental until [`Explain::recomputed`].
    pub fn open(&mut self, plan: &LogicalPlan, depth: usize) -> usize {
        let text = self.names.apply(&plan.display().to_string());
        self.lines.push(ExplainLine {
            depth,
            text,
            mode: Mode::Incremental,
            reason: String::new(),
        });
        self.lines.len() - 1
    }

    /// Marks line `line` as recomputed.
    pub fn recomputed(&mut self, line: usize, reason: &str) {
        if let Some(line) = self.lines.get_mut(line) {
            line.mode = Mode::Recomputed;
            line.reason = self.names.apply(reason);
        }
    }

    /// The line that was opened last.
    pub fn current(&self) -> usize {
        self.lines.len().saturating_sub(1)
    }

    /// Says something of line `line`, which stays incremental.
    pub fn note(&mut self, line: usize, note: &str) {
        if let Some(line) = self.lines.get_mut(line) {
            let note = self.names.apply(note);
            if !line.reason.is_empty() {
                line.reason.push_str("; ");
            }
            line.reason.push_str(&note);
        }
    }

    /// The lines in order.
    pub fn finish(self) -> Vec<ExplainLine> {
        self.lines
    }
}

/// The tree as text: a line a node, its mode in the first column, children indented.
pub fn render(lines: &[ExplainLine]) -> String {
    let mut text = String::new();
    for line in lines {
        let indent = "  ".repeat(line.depth);
        // Writing to a String cannot fail.
        let _written = write!(text, "{:<11}  {indent}{}", line.mode.word(), line.text);
        if !line.reason.is_empty() {
            let _written = write!(text, "  -- {}", line.reason);
        }
        text.push('\n');
    }
    text
}

/// Session counters in generated names, renumbered by their first appearance in the text.
///
/// DataFusion names what it invents `__common_expr_7`, `__correlated_sq_3` and so on, from counters
/// that depend on what the session planned before: the same query would print differently every time.
#[derive(Debug, Default)]
struct Renumbering {
    seen: BTreeMap<String, usize>,
    counts: BTreeMap<String, usize>,
}

impl Renumbering {
    fn apply(&mut self, text: &str) -> String {
        let text = without_marks(text);
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while let Some(start) = rest.find("__") {
            let (before, tail) = rest.split_at(start);
            out.push_str(before);
            let end = tail
                .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
                .unwrap_or(tail.len());
            let (name, after) = tail.split_at(end);
            out.push_str(&self.renumber(name));
            rest = after;
        }
        out.push_str(rest);
        out
    }

    fn renumber(&mut self, name: &str) -> String {
        let Some((stem, number)) = name.rsplit_once('_') else {
            return name.to_owned();
        };
        if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return name.to_owned();
        }
        if let Some(known) = self.seen.get(name) {
            return format!("{stem}_{known}");
        }
        let count = self.counts.entry(stem.to_owned()).or_insert(0);
        *count += 1;
        self.seen.insert(name.to_owned(), *count);
        format!("{stem}_{count}")
    }
}

/// `text` without the numbers that the pre-pass hides behind a control character in the names of columns that
/// come twice.
fn without_marks(text: &str) -> String {
    let mut pieces = text.split('\u{1}');
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        out.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_names_are_renumbered_by_first_appearance() {
        let mut names = Renumbering::default();
        assert_eq!(
            names.apply("a.__common_expr_9 + __common_expr_12 AS __common_expr_9, x__y"),
            "a.__common_expr_1 + __common_expr_2 AS __common_expr_1, x__y"
        );
        assert_eq!(
            names.apply("__correlated_sq_44.k = __common_expr_12"),
            "__correlated_sq_1.k = __common_expr_2"
        );
    }

    #[test]
    fn the_reason_stands_behind_a_recomputed_node() {
        let line = |depth, text: &str, mode, reason: &str| ExplainLine {
            depth,
            text: text.to_owned(),
            mode,
            reason: reason.to_owned(),
        };
        let lines = [
            line(0, "Limit: skip=0, fetch=3", Mode::Recomputed, "LIMIT"),
            line(1, "TableScan: t", Mode::Incremental, ""),
        ];
        assert_eq!(
            render(&lines),
            "recomputed   Limit: skip=0, fetch=3  -- LIMIT\nincremental    TableScan: t\n"
        );
    }
}
