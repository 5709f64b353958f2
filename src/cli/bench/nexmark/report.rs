//! The runs of the queries as rows, for people and for programs.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{Field, Schema};

use super::measure::{Plan, Run};
use super::query::Query;
use crate::base::Result;

/// How one query did.
#[derive(Debug)]
pub(super) struct Line {
    query: String,
    /// The run in the middle, where it ran.
    run: Option<Run>,
    /// Events a second of the fastest run.
    best: Option<f64>,
    /// What else must be said.
    note: Option<String>,
}

impl Line {
    /// A query that the engine has no plan for.
    pub(super) fn refused(query: Query, reason: &str) -> Self {
        Self {
            query: query.name(),
            run: None,
            best: None,
            note: Some(format!("not supported: {reason}")),
        }
    }

    /// The runs of a query, of which each was to send `wanted` events.
    pub(super) fn of(query: Query, mut runs: Vec<Run>, wanted: u64) -> Self {
        runs.sort_by(|left, right| rate(right).total_cmp(&rate(left)));
        let best = runs.first().map(rate);
        let middle = runs.len() / 2;
        let run = runs.into_iter().nth(middle);
        let note = run
            .as_ref()
            .filter(|run| run.events < wanted)
            .map(|run| format!("stopped by --limit after {} events", run.events));
        Self {
            query: query.name(),
            run,
            best,
            note,
        }
    }

    /// In a few words, as soon as it is known.
    pub(super) fn summary(&self) -> String {
        let note = self.note.as_deref().unwrap_or_default();
        match &self.run {
            Some(run) => format!("{}: {:.0} events/s {note}", self.query, rate(run)),
            None => format!("{}: {note}", self.query),
        }
    }
}

/// Events a second.
fn rate(run: &Run) -> f64 {
    run.events as f64 / run.time.as_secs_f64().max(1e-9)
}

/// The lines as rows.
///
/// # Errors
/// Never for lines that were measured.
pub(super) fn report(lines: &[Line], plan: &Plan) -> Result<RecordBatch> {
    let reals = |value: &dyn Fn(&Run) -> Option<f64>| -> ArrayRef {
        let values = lines.iter().map(|line| line.run.as_ref().and_then(value));
        Arc::new(values.collect::<Float64Array>())
    };
    let whole = |value: &dyn Fn(&Run) -> Option<u64>| -> ArrayRef {
        let values = lines.iter().map(|line| {
            let value = line.run.as_ref().and_then(value)?;
            i64::try_from(value).ok()
        });
        Arc::new(values.collect::<Int64Array>())
    };
    let best = lines.iter().map(|line| line.best.map(f64::round));
    let texts = |values: Vec<Option<&str>>| -> ArrayRef {
        Arc::new(values.into_iter().collect::<StringViewArray>())
    };
    let names = lines.iter().map(|line| Some(line.query.as_str())).collect();
    let notes = lines.iter().map(|line| line.note.as_deref()).collect();
    let durability = lines.iter().map(|_| Some(plan.durability)).collect();
    let columns: [(&str, ArrayRef); 13] = [
        ("query", texts(names)),
        ("events", whole(&|run| Some(run.events))),
        ("durability", texts(durability)),
        ("events_s", reals(&|run| Some(rate(run).round()))),
        ("best_events_s", Arc::new(best.collect::<Float64Array>())),
        ("cpu_s", reals(&|run| Some(hundredths(run.cpu_seconds?)))),
        ("events_s_core", reals(&per_core)),
        ("peak_mib", whole(&|run| Some(run.peak_bytes? >> 20))),
        ("state_rows", whole(&|run| Some(run.state.1))),
        ("state_bytes_row", reals(&state_bytes_a_row)),
        ("result_rows", whole(&|run| Some(run.result_rows))),
        (
            "recomputed",
            whole(&|run| u64::try_from(run.recomputed).ok()),
        ),
        ("note", texts(notes)),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    Ok(RecordBatch::try_new(
        Arc::new(Schema::new(fields)),
        columns,
    )?)
}

/// Events for every second that a core was busy.
fn per_core(run: &Run) -> Option<f64> {
    let seconds = run.cpu_seconds.filter(|seconds| *seconds > 0.0)?;
    Some((run.events as f64 / seconds).round())
}

/// Bytes for every row that the operators keep; none where they keep none.
fn state_bytes_a_row(run: &Run) -> Option<f64> {
    let (bytes, rows) = run.state;
    (rows > 0).then(|| (bytes as f64 / rows as f64).round())
}

fn hundredths(seconds: f64) -> f64 {
    (seconds * 100.0).round() / 100.0
}
