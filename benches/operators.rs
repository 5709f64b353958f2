//! What a row costs at each operator as SQL lowers to it: 1, 1,000 and 100,000 rows a delta, into state of 100,000 rows a relation.
//!
//! `engine` and `top_k` hold what is measured at an operator alone. Nothing here recomputes, which is asserted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, ListArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use criterion::{
    BatchSize, BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::common::TableReference;
use datafusion::datasource::MemTable;
use lotic::base::ObjectId;
use lotic::engine::{Dataflow, StepContext};
use lotic::planner::context::{ContextOptions, PlanFor, optimize, plan_query, session_state};
use lotic::planner::explain::{Mode, render};
use lotic::planner::functions::{all_udafs, all_udfs, checked_arithmetic_rule};
use lotic::planner::lower::{Bound, DataFusionEvaluators, Resolved, lower, lower_on_close};
use lotic::planner::parse::{Statement, parse};
use lotic::planner::prepass::prepare_query;
use lotic::zset::Delta;

const STATE: i64 = 100_000;
const GROUPS: i64 = 1_000;
const SIZES: [i64; 3] = [1, 1_000, 100_000];
/// The relation that changes.
const CHANGING: ObjectId = ObjectId(1);
/// The relation that stays as it was loaded.
const RESTING: ObjectId = ObjectId(2);
/// Where the columns of [`schema`] have their time.
const TIME: usize = 4;

fn tags() -> Arc<Field> {
    Arc::new(Field::new("item", DataType::Int64, true))
}

fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, None)
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("g", DataType::Int64, true),
        Field::new("at", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("parent", DataType::Int64, true),
        Field::new("ts", time(), true),
        Field::new("tags", DataType::List(tags()), true),
    ]))
}

/// The time of row `row`: one a second, and a pause after each 5,000, which ends every group's session.
fn moment_us(row: i64) -> i64 {
    (row + row / 5_000 * 10_000) * 1_000_000
}

/// Rows of the numbers `from..to`: groups and values spread, `at` rising, `parent` that of a tree of ten children each.
fn rows(from: i64, to: i64) -> RecordBatch {
    let column = |of: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((from..to).map(of)));
    let times = TimestampMicrosecondArray::from_iter_values((from..to).map(moment_us));
    let count = usize::try_from(to - from).expect("numbers that rise");
    let items = Int64Array::from_iter_values((3 * from..3 * to).map(|tag| tag % 50));
    let offsets = OffsetBuffer::from_lengths(std::iter::repeat_n(3, count));
    let lists = ListArray::new(tags(), offsets, Arc::new(items), None);
    RecordBatch::try_new(
        schema(),
        vec![
            column(|row| row % GROUPS),
            column(|row| row),
            column(|row| row * 7_919 % STATE),
            column(|row| row / 10),
            Arc::new(times),
            Arc::new(lists),
        ],
    )
    .expect("columns of one length")
}

fn resolve(name: &TableReference, bounded: bool) -> Option<Resolved> {
    let id = match name.table() {
        "t" => CHANGING,
        "s" => RESTING,
        _ => return None,
    };
    let mut resolved = Resolved::from(id);
    if bounded {
        resolved.append_only = true;
        resolved.bounds = vec![None; TIME];
        resolved.bounds.push(Some(Bound::of_source(id, &time())));
    }
    Some(resolved)
}

/// The graph of `sql` over the relations t and s; with watermarks for their times, of a model that emits on window close.
fn dataflow(sql: &str, on_close: bool) -> Dataflow {
    let catalog = Arc::new(MemoryCatalogProvider::new());
    let tables = Arc::new(MemorySchemaProvider::new());
    for name in ["t", "s"] {
        let table = MemTable::try_new(schema(), vec![Vec::new()]).expect("an empty table");
        tables
            .register_table(name.to_owned(), Arc::new(table))
            .expect("a new name");
    }
    catalog
        .register_schema("public", tables)
        .expect("a new schema");
    let mut functions = all_udfs();
    functions.extend(lotic_udfs::all().into_iter().map(Arc::new));
    let options = ContextOptions {
        plan_for: PlanFor::Model,
        scalar_functions: functions,
        aggregates: all_udafs(),
        analyzer_rules: vec![checked_arithmetic_rule()],
        ..ContextOptions::new(catalog)
    };
    let state = session_state(&options).expect("a session");
    let parsed = parse(sql).expect(sql).into_iter().next();
    let query = parsed.and_then(|parsed| match parsed.statement {
        Statement::Query(query) => Some(query),
        _ => None,
    });
    let mut query = query.expect(sql);
    prepare_query(&mut query).expect(sql);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let plan = runtime.block_on(plan_query(&state, &query)).expect(sql);
    let plan = optimize(&state, plan).expect("an optimised plan");
    let evaluators = DataFusionEvaluators::new(&state);
    let known = |name: &TableReference| resolve(name, on_close);
    let lowered = if on_close {
        lower_on_close(&plan, &known, &evaluators)
    } else {
        lower(&plan, &known, &evaluators)
    };
    let lowered = lowered.expect(sql);
    let recomputed = |mode| mode == Mode::Recomputed;
    assert!(
        !lowered.explain.iter().any(|line| recomputed(line.mode)),
        "{sql} recomputes:\n{}",
        render(&lowered.explain)
    );
    lowered.dataflow
}

/// A graph with both relations in it, and the step that changes one.
fn loaded(sql: &str) -> impl FnMut(&Delta) {
    let mut dataflow = dataflow(sql, false);
    let mut run = move |changing: &Delta, resting: Option<Delta>| {
        let mut inputs = BTreeMap::from([(CHANGING, vec![changing.clone()])]);
        inputs.extend(resting.map(|delta| (RESTING, vec![delta])));
        let mut cx = StepContext {
            now_us: moment_us(STATE),
            ..StepContext::default()
        };
        let output = dataflow.step(&inputs, &mut cx).expect("a step");
        assert!(cx.errors.is_empty(), "no row fails");
        std::hint::black_box(output);
    };
    let state = Delta::inserts(rows(0, STATE));
    run(&state, Some(state.clone()));
    move |changing| run(changing, None)
}

/// A step and its opposite, so that the state stays as it is: the time is of two steps.
fn measure(c: &mut Criterion, name: &str, sql: &str, sizes: &[i64]) {
    let mut group = c.benchmark_group(format!("{name}, 100,000 rows of state"));
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let mut step = loaded(sql);
    for size in sizes {
        let there = Delta::inserts(rows(STATE, STATE + size));
        let back = there.negate();
        group.throughput(Throughput::Elements(size.unsigned_abs() * 2));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                step(&there);
                step(&back);
            });
        });
    }
    group.finish();
}

fn linear(c: &mut Criterion) {
    for (name, sql) in [
        ("filter", "SELECT * FROM t WHERE v % 7 < 3 AND g <> 5"),
        ("project", "SELECT g, v * 2 + at, v > at FROM t"),
        ("union", "SELECT g, v FROM t UNION ALL SELECT g, at FROM s"),
        ("unnest", "SELECT at, unnest(tags) FROM t"),
        (
            "rollup",
            "SELECT g, v % 10, sum(at) FROM t GROUP BY ROLLUP (g, v % 10)",
        ),
        (
            "hop",
            "SELECT window_start, g, count(*) \
             FROM HOP(t, ts, INTERVAL '10 minutes', INTERVAL '1 hour') GROUP BY window_start, g",
        ),
    ] {
        measure(c, name, sql, &SIZES);
    }
}

fn joins(c: &mut Criterion) {
    for (name, sql) in [
        (
            "right join",
            "SELECT t.at, s.at FROM t RIGHT JOIN s ON t.v = s.v",
        ),
        (
            "full join",
            "SELECT t.at, s.at FROM t FULL JOIN s ON t.v = s.v",
        ),
        (
            "join with a residual",
            "SELECT t.at, s.at FROM t JOIN s ON t.v = s.v AND t.at + s.at > 9",
        ),
        (
            "self-join",
            "SELECT a.at, b.at FROM t a JOIN t b ON a.v = b.parent",
        ),
        (
            "semi-join, left side",
            "SELECT t.at FROM t WHERE EXISTS (SELECT FROM s WHERE s.v = t.v)",
        ),
        (
            "semi-join, right side",
            "SELECT s.at FROM s WHERE EXISTS (SELECT FROM t WHERE s.v = t.v)",
        ),
        (
            "anti-join",
            "SELECT t.at FROM t WHERE NOT EXISTS (SELECT FROM s WHERE s.v = t.v AND s.g < 500)",
        ),
        (
            "null-aware anti-join",
            "SELECT at FROM t WHERE v NOT IN (SELECT v FROM s WHERE g < 500)",
        ),
        (
            "mark join",
            "SELECT at, v IN (SELECT v FROM s WHERE g < 500) FROM t",
        ),
        (
            "asof join",
            "SELECT t.at, s.at FROM t ASOF JOIN s MATCH_CONDITION (t.v >= s.v) ON t.g = s.g",
        ),
        (
            "lookup join",
            "SELECT t.at, s.at FROM t JOIN s FOR SYSTEM_TIME AS OF PROCTIME() ON t.v = s.v",
        ),
        (
            "lateral, two rows each",
            "SELECT s.at, x.v FROM s, LATERAL (SELECT v FROM t WHERE t.parent = s.at ORDER BY v LIMIT 2) x",
        ),
        (
            "correlated subquery",
            "SELECT at, (SELECT max(t.v) FROM t WHERE t.parent = s.at) FROM s",
        ),
    ] {
        measure(c, name, sql, &SIZES);
    }
}

fn joins_without_keys(c: &mut Criterion) {
    for (name, sql) in [
        (
            "join on a range",
            "SELECT t.at, s.at FROM t JOIN s ON s.at BETWEEN t.v AND t.v + 2",
        ),
        (
            "join on a range, its points change",
            "SELECT t.at, s.at FROM s JOIN t ON t.at BETWEEN s.v AND s.v + 2",
        ),
        (
            "join with one row",
            "SELECT at FROM t WHERE v > (SELECT avg(v) FROM s)",
        ),
        (
            "join with one row that moves",
            "SELECT at FROM s WHERE v > (SELECT avg(v) FROM t)",
        ),
    ] {
        measure(c, name, sql, &SIZES);
    }
}

fn aggregates(c: &mut Criterion) {
    for (name, call) in [
        ("stddev, corr", "stddev(v), corr(v, at)"),
        ("bool_and, bit_xor", "bool_and(v > 5), bit_xor(v)"),
        ("string_agg", "string_agg(v::text, ',' ORDER BY v)"),
        ("array_agg", "array_agg(v ORDER BY at)"),
        ("first_value", "first_value(v ORDER BY at DESC)"),
        ("median", "median(v)"),
        (
            "percentile_cont",
            "percentile_cont(0.9) WITHIN GROUP (ORDER BY v)",
        ),
        ("mode", "mode() WITHIN GROUP (ORDER BY v)"),
        ("approx_distinct", "approx_distinct(v)"),
        (
            "sum of distinct, filtered",
            "sum(DISTINCT v) FILTER (WHERE at % 2 = 0)",
        ),
    ] {
        let sql = format!("SELECT g, {call} FROM t GROUP BY g");
        measure(c, name, &sql, &SIZES);
    }
    measure(
        c,
        "group by nothing",
        "SELECT count(*), sum(v), max(v) FROM t",
        &SIZES,
    );
}

fn sets(c: &mut Criterion) {
    for (name, sql) in [
        ("intersect", "SELECT v FROM t INTERSECT SELECT v FROM s"),
        ("except all", "SELECT v FROM s EXCEPT ALL SELECT v FROM t"),
        (
            "distinct on",
            "SELECT DISTINCT ON (g) g, v FROM t ORDER BY g, v DESC",
        ),
        (
            "recursion",
            "WITH RECURSIVE r AS (SELECT at FROM t WHERE at < 10 \
             UNION ALL SELECT t.at FROM r JOIN t ON t.parent = r.at WHERE t.at >= 10) SELECT * FROM r",
        ),
        (
            "recursion, distinct",
            "WITH RECURSIVE r AS (SELECT at FROM t WHERE at < 10 \
             UNION SELECT t.at FROM r JOIN t ON t.parent = r.at) SELECT * FROM r",
        ),
    ] {
        measure(c, name, sql, &SIZES);
    }
}

fn time_windows(c: &mut Criterion) {
    for (name, sql) in [
        (
            "session",
            "SELECT g, window_start, count(*) \
             FROM SESSION(t, ts, INTERVAL '30 minutes', g) GROUP BY g, window_start, window_end",
        ),
        (
            "temporal filter",
            "SELECT g, v FROM t WHERE ts > now() - INTERVAL '1 day'",
        ),
        (
            "gap fill",
            "SELECT g, ts, LOCF(v) FROM GAP_FILL(t, ts, INTERVAL '10 minutes', g)",
        ),
    ] {
        measure(c, name, sql, &SIZES);
    }
}

/// Rows come in time and their windows close behind them: a step in, the state of which goes with the steps after it.
fn closing(c: &mut Criterion) {
    let mut group = c.benchmark_group("tumble, emitted on close");
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    let sql = "SELECT window_start, g, count(*), sum(v) \
               FROM TUMBLE(t, ts, INTERVAL '10 minutes') GROUP BY window_start, g";
    for size in SIZES {
        let mut dataflow = dataflow(sql, true);
        let mut next = 0;
        group.throughput(Throughput::Elements(size.unsigned_abs()));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_batched(
                || {
                    next += size;
                    let watermarks = BTreeMap::from([(CHANGING, moment_us(next) - 60_000_000)]);
                    (Delta::inserts(rows(next - size, next)), watermarks)
                },
                |(delta, watermarks)| {
                    let mut cx = StepContext {
                        watermarks: Arc::new(watermarks),
                        ..StepContext::default()
                    };
                    let inputs = BTreeMap::from([(CHANGING, vec![delta])]);
                    dataflow.step(&inputs, &mut cx).expect("a step")
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn window_functions(c: &mut Criterion) {
    for (name, window, function) in [
        ("lag", "", "lag(v)"),
        (
            "moving sum",
            "ROWS BETWEEN 5 PRECEDING AND CURRENT ROW",
            "sum(v)",
        ),
        ("running sum", "ROWS UNBOUNDED PRECEDING", "sum(v)"),
        ("row number", "", "row_number()"),
        (
            "distance from the maximum",
            "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING",
            "v - max(v)",
        ),
        (
            "sum at a distance",
            "RANGE BETWEEN 5000 PRECEDING AND CURRENT ROW",
            "sum(v)",
        ),
    ] {
        let sql =
            format!("SELECT g, at, {function} OVER (PARTITION BY g ORDER BY at {window}) FROM t");
        measure(c, name, &sql, &SIZES);
    }
}

/// One partition holds everything: what is not near the change must not be looked at.
fn windows_over_everything(c: &mut Criterion) {
    for (name, window, function) in [
        ("lag over everything", "", "lag(v)"),
        (
            "running sum over everything",
            "ROWS UNBOUNDED PRECEDING",
            "sum(v)",
        ),
        (
            "sum at a distance over everything",
            "RANGE BETWEEN 50 PRECEDING AND CURRENT ROW",
            "sum(v)",
        ),
    ] {
        let sql = format!("SELECT g, at, {function} OVER (ORDER BY at {window}) FROM t");
        measure(c, name, &sql, &SIZES[..2]);
    }
}

criterion_group!(
    benches,
    linear,
    joins,
    joins_without_keys,
    aggregates,
    sets,
    time_windows,
    closing,
    window_functions,
    windows_over_everything
);
criterion_main!(benches);
