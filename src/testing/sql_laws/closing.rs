//! The laws of watermarks: streams whose rows come in time, maintained while their windows close, against batch.
//!
//! With state that is let go of, the rows are still those of batch over all rows; where a model emits on window close they
//! are those that are closed, and none is ever taken back.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::{ScalarValue, TableReference};
use datafusion::logical_expr::LogicalPlan;

use super::rng::{Rng, seeds};
use super::rows::{Bag, delta};
use super::run::batch;
use super::tests::{Bench, Query, compare_stored, queries};
use super::world::Changes;
use crate::engine::{Dataflow, StepContext, Watermarks};
use crate::planner::explain::render;
use crate::planner::lower::{
    Bound, DataFusionEvaluators, Lowered, Resolved, closed_at, lower, lower_on_close,
};

const FILE: &str = "watermarks";
const STREAMS: [&str; 2] = [
    "CREATE TABLE s (k INT, v BIGINT, ts TIMESTAMP)",
    "CREATE TABLE r (k INT, w BIGINT, at TIMESTAMP)",
];
const STEPS: i64 = 60;
/// The unit of the times of these tables in a second.
const SECOND: i64 = 1_000_000_000;
const DELAY: i64 = 30 * SECOND;

/// One query with watermarks, and as it is without.
struct Run {
    plan: LogicalPlan,
    emits_on_close: bool,
    flow: Dataflow,
    plain: Dataflow,
    output: Bag,
}

struct Streams {
    bench: Bench,
    watermarks: Watermarks,
}

impl Streams {
    fn new() -> Self {
        let tables = STREAMS.map(str::to_owned);
        Self {
            bench: Bench::over(&tables),
            watermarks: Watermarks::new(),
        }
    }

    fn resolve(&self, name: &TableReference, bounded: bool) -> Option<Resolved> {
        let table = self.bench.world.tables.get(name.table())?;
        let mut resolved = Resolved {
            append_only: true,
            ..Resolved::from(table.id)
        };
        if bounded {
            let time = table.schema.field(2).data_type();
            let bound = Bound::of_source(table.id, time);
            resolved.bounds = vec![None, None, Some(bound)];
        }
        Some(resolved)
    }

    fn lowered(&self, plan: &LogicalPlan, emits_on_close: bool) -> Lowered {
        let evaluators = DataFusionEvaluators::new(&self.bench.state);
        let resolve = |name: &TableReference| self.resolve(name, true);
        let lowered = if emits_on_close {
            lower_on_close(plan, &resolve, &evaluators)
        } else {
            lower(plan, &resolve, &evaluators)
        };
        lowered.unwrap()
    }

    fn run(&self, query: &Query) -> Run {
        let plan = self.bench.subject(&query.sql).unwrap().optimised;
        let evaluators = DataFusionEvaluators::new(&self.bench.state);
        let plain = lower(&plan, &|name| self.resolve(name, false), &evaluators).unwrap();
        let emits_on_close = query.name.starts_with("closed");
        Run {
            flow: self.lowered(&plan, emits_on_close).dataflow,
            plain: plain.dataflow,
            plan,
            emits_on_close,
            output: Bag::default(),
        }
    }

    /// Rows of one step that are in time, judged one after the other.
    fn rows(&mut self, step: i64, rng: &mut Rng) -> Changes {
        let mut all = Changes::new();
        for (name, table) in &mut self.bench.world.tables {
            let mut rows = Vec::new();
            for _ in 0..rng.within(0..6) {
                let second = step * 20 + i64::try_from(rng.within(0..60)).unwrap();
                let at = (!rng.once_in(15)).then_some(second * SECOND);
                let watermark = self.watermarks.get(&table.id).copied();
                if at.is_some() && at < watermark {
                    continue;
                }
                if let Some(at) = at {
                    let known = self.watermarks.entry(table.id).or_insert(at - DELAY);
                    *known = (at - DELAY).max(*known);
                }
                let time = table.schema.field(2).data_type();
                let small = |rng: &mut Rng| i32::try_from(rng.within(0..3)).unwrap();
                let row = vec![
                    ScalarValue::Int32(Some(small(rng))),
                    ScalarValue::Int64(Some(i64::from(small(rng)))),
                    ScalarValue::Int64(at).cast_to(time).unwrap(),
                ];
                table.rows.push(row.clone());
                rows.push((row, 1));
            }
            all.insert(name.clone(), rows);
        }
        all
    }

    fn step(&mut self, runs: &mut [Run], step: i64, rng: &mut Rng) {
        let rows = self.rows(step, rng);
        let mut inputs = BTreeMap::new();
        for (name, rows) in &rows {
            let table = &self.bench.world.tables[name];
            inputs.insert(table.id, vec![delta(&table.schema, rows).unwrap()]);
        }
        for run in runs {
            let mut cx = StepContext {
                watermarks: Arc::new(self.watermarks.clone()),
                ..StepContext::default()
            };
            for delta in run.flow.step(&inputs, &mut cx).unwrap() {
                if run.emits_on_close {
                    assert!((0..delta.rows()).all(|row| delta.weight(row) > 0));
                }
                run.output.add_delta(&delta).unwrap();
            }
            run.plain
                .step(&inputs, &mut StepContext::default())
                .unwrap();
            assert!(cx.errors.is_empty());
        }
    }

    fn compare(&self, run: &Run, context: &str) {
        let mut plan = run.plan.clone();
        if run.emits_on_close {
            let resolve = |name: &TableReference| self.resolve(name, true);
            let props = self.bench.state.execution_props();
            plan = closed_at(&plan, &resolve, &self.watermarks, props).unwrap();
        }
        let want = batch(&self.bench.state, &self.bench.world, &plan, 0);
        let want = self.bench.runtime.block_on(want).unwrap();
        assert!(
            run.output == want,
            "{context}: more (+) or less (-) than batch\n{}",
            run.output.difference(&want)
        );
    }
}

#[test]
fn windows_that_close_are_those_of_batch_and_leave_no_state() {
    let queries = queries(FILE);
    for seed in seeds(3) {
        let mut streams = Streams::new();
        let mut rng = Rng::new(seed);
        let mut runs: Vec<Run> = queries.iter().map(|query| streams.run(query)).collect();
        for step in 1..=STEPS {
            streams.step(&mut runs, step, &mut rng);
            if step % 6 == 0 {
                for (run, query) in runs.iter().zip(&queries) {
                    let context = format!("{} (LOTIC_SEED={seed}, step {step})", query.name);
                    streams.compare(run, &context);
                }
            }
        }
        for (run, query) in runs.iter().zip(&queries) {
            let (left, plain) = (run.flow.state_rows(), run.plain.state_rows());
            let kept = query.name.contains("kept");
            assert!(
                kept || left * 2 < plain || plain < 16,
                "{}: {left} rows of state, {plain} without watermarks",
                query.name
            );
            assert!(
                !run.output.is_empty() || query.name.contains("days"),
                "{}",
                query.name
            );
        }
    }
}

#[test]
fn plans_with_watermarks_are_the_stored_ones() {
    let streams = Streams::new();
    let mut text = String::new();
    for query in queries(FILE) {
        let plan = streams.bench.subject(&query.sql).unwrap().optimised;
        let lowered = streams.lowered(&plan, query.name.starts_with("closed"));
        text.push_str(&format!(
            "-- {}\n{}\n",
            query.name,
            render(&lowered.explain)
        ));
    }
    compare_stored(FILE, &text);
}

#[test]
fn what_no_watermark_closes_is_refused() {
    let streams = Streams::new();
    let evaluators = DataFusionEvaluators::new(&streams.bench.state);
    for sql in [
        "SELECT k, count(*) AS n FROM s GROUP BY k",
        "SELECT count(*) AS n FROM s",
        "SELECT max(ts) AS ts FROM s GROUP BY k",
        "SELECT ts, v FROM s ORDER BY v LIMIT 3",
        "SELECT s.ts FROM s JOIN r ON s.k = r.k",
        "SELECT s.ts, r.at FROM s FULL JOIN r ON s.ts = r.at",
        "SELECT s.ts, (SELECT max(w) FROM r) AS w FROM s",
        "SELECT ts, lead(v) OVER (ORDER BY ts) AS next FROM s",
        "SELECT ts, lag(v) OVER (ORDER BY ts DESC) AS next FROM s",
        "SELECT ts FROM s WHERE ts > now() - INTERVAL '1 hour'",
        "SELECT ts, count(*) AS n FROM s GROUP BY GROUPING SETS ((ts), ())",
        "SELECT window_start, count(*) AS n FROM SESSION(s, ts, INTERVAL '1 minute', k) GROUP BY window_start",
    ] {
        let plan = streams.bench.subject(sql).unwrap().optimised;
        let resolve = |name: &TableReference| streams.resolve(name, true);
        let refused = lower_on_close(&plan, &resolve, &evaluators).err();
        assert_eq!(refused.map(|error| error.code()), Some("0A000"), "{sql}");
    }
}
