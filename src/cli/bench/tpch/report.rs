//! The figures, as a table for people and as JSON for programs.

use std::fmt::Write as _;

use serde::Serialize;

use super::usage::Usage;

/// Everything that was measured.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    /// The scale.
    pub(super) scale: f64,
    /// What the generator took, which no section counts.
    pub(super) generated: Option<Note>,
    /// The ways of running the queries.
    pub(super) sections: Vec<Section>,
    /// Where the time of the operators went, where that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) operators: Vec<OperatorLine>,
    /// Rows in which models differ from their queries, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) differing_rows: Option<usize>,
}

/// One way of running the queries.
#[derive(Debug, Serialize)]
pub(super) struct Section {
    /// `batch`, `load`, `refresh` or `recompute`.
    pub(super) part: &'static str,
    /// What that is.
    #[serde(skip)]
    pub(super) title: &'static str,
    /// What was done beside the queries.
    pub(super) beside: Vec<Note>,
    /// How often it was done; the lines are of all rounds.
    pub(super) rounds: u32,
    /// The processor time of each round, where there may be several.
    pub(super) round_cpu_seconds: Vec<f64>,
    /// A line a query.
    pub(super) lines: Vec<Line>,
}

/// Work beside the queries.
#[derive(Debug, Serialize)]
pub(super) struct Note {
    what: String,
    seconds: f64,
    cpu_seconds: f64,
    peak_bytes: u64,
}

impl Note {
    /// What was done and what it took.
    pub(super) fn new(what: &str, usage: Usage) -> Self {
        Self {
            what: what.to_owned(),
            seconds: usage.seconds,
            cpu_seconds: usage.cpu_seconds,
            peak_bytes: usage.peak_bytes,
        }
    }
}

/// The figures of one query.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Line {
    /// Its name.
    pub(super) query: String,
    /// Rows of the answer.
    pub(super) rows: usize,
    /// Time on the clock.
    pub(super) seconds: f64,
    /// Processor time of all threads.
    pub(super) cpu_seconds: f64,
    /// Rows that came in.
    pub(super) input_rows: u64,
    /// Rows that came in, a second.
    pub(super) rows_a_second: f64,
    /// The most memory that the process held meanwhile.
    pub(super) peak_bytes: u64,
    /// Memory of the states of the model's operators.
    pub(super) state_bytes: u64,
    /// Rows in them.
    pub(super) state_rows: u64,
    /// Nodes of the plan that are recomputed.
    pub(super) recomputed_nodes: usize,
}

impl Line {
    /// A line without what is known of models alone.
    pub(super) fn new(query: &str, usage: Usage, input_rows: u64) -> Self {
        Self {
            query: query.to_owned(),
            rows: 0,
            seconds: usage.seconds,
            cpu_seconds: usage.cpu_seconds,
            input_rows,
            rows_a_second: ratio(as_f64(input_rows), usage.seconds),
            peak_bytes: usage.peak_bytes,
            state_bytes: 0,
            state_rows: 0,
            recomputed_nodes: 0,
        }
    }

    fn text(&self) -> String {
        format!(
            "{:>7} {:>8} {:>9.3} {:>9.3} {:>12.0} {:>9.1} {:>10.1} {:>11} {:>7.1} {:>6}",
            self.query,
            self.rows,
            self.seconds,
            self.cpu_seconds,
            self.rows_a_second,
            mebibytes(self.peak_bytes),
            mebibytes(self.state_bytes),
            self.state_rows,
            ratio(as_f64(self.state_bytes), as_f64(self.state_rows)),
            self.recomputed_nodes,
        )
    }
}

/// Where the time of one operator went.
#[derive(Debug, Serialize)]
pub(super) struct OperatorLine {
    /// The model.
    pub(super) model: String,
    /// Its place and the operator's name.
    pub(super) operator: String,
    /// Time in it since the start.
    pub(super) busy_seconds: f64,
    /// Rows in and out since the start.
    pub(super) rows_in: u64,
    /// Rows out.
    pub(super) rows_out: u64,
    /// Memory of its state.
    pub(super) state_bytes: u64,
    /// Rows in it.
    pub(super) state_rows: u64,
}

impl Section {
    /// A section without lines.
    pub(super) fn new(part: &'static str, title: &'static str) -> Self {
        Self {
            part,
            title,
            beside: Vec::new(),
            rounds: 1,
            round_cpu_seconds: Vec::new(),
            lines: Vec::new(),
        }
    }

    /// Remembers work beside the queries.
    pub(super) fn note(&mut self, what: &str, usage: Usage) {
        self.beside.push(Note::new(what, usage));
    }

    /// All queries together.
    pub(super) fn total(&self) -> Line {
        let usage = Usage {
            seconds: self.lines.iter().map(|line| line.seconds).sum(),
            cpu_seconds: self.lines.iter().map(|line| line.cpu_seconds).sum(),
            peak_bytes: self
                .lines
                .iter()
                .map(|line| line.peak_bytes)
                .max()
                .unwrap_or(0),
        };
        let input = self.lines.iter().map(|line| line.input_rows).sum();
        let mut total = Line::new("total", usage, input);
        for line in &self.lines {
            total.rows += line.rows;
            total.state_bytes += line.state_bytes;
            total.state_rows += line.state_rows;
            total.recomputed_nodes += line.recomputed_nodes;
        }
        total
    }
}

impl Report {
    /// For programs. A section has its sum as `total`.
    pub(super) fn json(&self) -> serde_json::Value {
        let mut value = serde_json::json!(self);
        let sections = value.get_mut("sections").and_then(|all| all.as_array_mut());
        for (json, section) in sections.into_iter().flatten().zip(&self.sections) {
            json["total"] = serde_json::json!(section.total());
        }
        value
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("TPC-H at scale {}\n", self.scale);
        if let Some(note) = &self.generated {
            line(&mut text, &note.text());
        }
        for section in &self.sections {
            line(&mut text, &format!("\n{}: {}", section.part, section.title));
            for note in &section.beside {
                line(&mut text, &note.text());
            }
            line(
                &mut text,
                "  query     rows   seconds     cpu s       rows/s  peak MiB  state MiB  state rows  B/row recomp",
            );
            for of_query in section.lines.iter().chain([&section.total()]) {
                line(&mut text, &of_query.text());
            }
        }
        for ratio in self.ratios() {
            line(&mut text, &ratio);
        }
        for operator in &self.operators {
            line(&mut text, &operator.text());
        }
        if let Some(rows) = self.differing_rows {
            line(
                &mut text,
                &format!("{rows} rows differ between models and queries"),
            );
        }
        text
    }

    /// How the ways compare, in processor time.
    fn ratios(&self) -> Vec<String> {
        let find = |part: &str| self.sections.iter().find(|section| section.part == part);
        let total = |part: &str| {
            let section = find(part)?;
            Some(section.total().cpu_seconds / f64::from(section.rounds))
        };
        let mut lines = Vec::new();
        if let (Some(load), Some(batch)) = (total("load"), total("batch")) {
            let text = format!(
                "load / batch: {:.2} of the processor time",
                ratio(load, batch)
            );
            lines.push(text);
        }
        if let (Some(refresh), Some(again)) = (total("refresh"), total("recompute")) {
            let percent = |seconds: f64| format!("{:.2} %", 100.0 * ratio(seconds, again));
            let rounds = find("refresh").map_or(&[][..], |section| &section.round_cpu_seconds);
            let each: Vec<String> = rounds.iter().map(|seconds| percent(*seconds)).collect();
            lines.push(format!(
                "refresh / recompute: {} of the processor time, a round ({})",
                percent(refresh),
                each.join(", ")
            ));
        }
        lines
    }
}

impl Note {
    fn text(&self) -> String {
        format!(
            "  ({}: {:.2} s, {:.2} s of processor time, peak {:.0} MiB)",
            self.what,
            self.seconds,
            self.cpu_seconds,
            mebibytes(self.peak_bytes)
        )
    }
}

impl OperatorLine {
    /// What was done since `then`, a line of the same operator.
    pub(super) fn since(self, then: &Self) -> Self {
        Self {
            busy_seconds: self.busy_seconds - then.busy_seconds,
            rows_in: self.rows_in.saturating_sub(then.rows_in),
            rows_out: self.rows_out.saturating_sub(then.rows_out),
            ..self
        }
    }

    fn text(&self) -> String {
        format!(
            "{:>6} {:<28} {:>8.3} s {:>10} in {:>10} out {:>9.1} MiB {:>9} rows",
            self.model,
            self.operator,
            self.busy_seconds,
            self.rows_in,
            self.rows_out,
            mebibytes(self.state_bytes),
            self.state_rows
        )
    }
}

fn line(text: &mut String, line: &str) {
    // writing to a String cannot fail
    let _written = writeln!(text, "{line}");
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

fn mebibytes(bytes: u64) -> f64 {
    as_f64(bytes) / f64::from(1 << 20)
}

/// Exact up to 2^53, which no figure here passes.
#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn as_f64(number: u64) -> f64 {
    number as f64
}
