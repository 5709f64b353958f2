//! Batch runs that fail on some rows, and the plan that both modes share.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::datasource::MemTable;
use datafusion::execution::session_state::SessionState;
use datafusion::execution::{FunctionRegistry, SessionStateBuilder};
use datafusion::logical_expr::LogicalPlan;

use super::evaluator::{DataFusionEvaluators, block_on};
use super::{BatchRun, Lowered, lower, plan_batch, run_batch};
use crate::base::ObjectId;
use crate::engine::StepContext;
use crate::planner::functions::{SizeLimits, all_udafs_within};
use crate::zset::Delta;

/// Two tables over two batches: `t(k, a, s)` with a zero in `a` and a word in `s`, `u(k, b)` with a zero in `b`.
fn state(partitions: usize) -> SessionState {
    let state = SessionStateBuilder::new().with_default_features().build();
    let config = state.config().clone().with_target_partitions(partitions);
    let config = config.with_create_default_catalog_and_schema(false);
    let state = SessionStateBuilder::new_from_existing(state)
        .with_config(config)
        .build();
    let t = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("a", DataType::Int64, true),
        Field::new("s", DataType::Utf8, true),
    ]));
    let row = |k: Vec<i64>, a: Vec<i64>, s: Vec<&str>| {
        let columns: Vec<Arc<dyn Array>> = vec![
            Arc::new(Int64Array::from(k)),
            Arc::new(Int64Array::from(a)),
            Arc::new(StringArray::from(s)),
        ];
        RecordBatch::try_new(Arc::clone(&t), columns).unwrap()
    };
    let batches = vec![
        row(vec![1, 2, 3], vec![5, 0, 2], vec!["1", "x", "3"]),
        row(vec![4], vec![1], vec!["4"]),
    ];
    register(
        &state,
        "t",
        MemTable::try_new(Arc::clone(&t), vec![batches]).unwrap(),
    );
    let u = Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("b", DataType::Int64, true),
    ]));
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(Int64Array::from(vec![1, 1, 3])),
        Arc::new(Int64Array::from(vec![0, 2, 1])),
    ];
    let batch = RecordBatch::try_new(Arc::clone(&u), columns).unwrap();
    register(
        &state,
        "u",
        MemTable::try_new(u, vec![vec![batch]]).unwrap(),
    );
    state
}

fn register(state: &SessionState, name: &str, table: MemTable) {
    let schema = state.schema_for_ref(name).unwrap();
    schema
        .register_table(name.to_owned(), Arc::new(table))
        .unwrap();
}

fn planned(state: &SessionState, sql: &str) -> LogicalPlan {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let plan = runtime.block_on(state.create_logical_plan(sql)).unwrap();
    state.optimize(&plan).unwrap()
}

fn run(sql: &str) -> BatchRun {
    let state = state(3);
    let plan = planned(&state, sql);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime.block_on(run_batch(&state, &plan)).unwrap()
}

fn lines(run: &BatchRun) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in &run.batches {
        for row in 0..batch.num_rows() {
            let values = batch
                .columns()
                .iter()
                .map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
            lines.push(values.collect::<Vec<_>>().join(","));
        }
    }
    lines.sort();
    lines
}

#[test]
fn a_run_without_failures_reports_none() {
    let run = run("SELECT k FROM t WHERE a > 1");
    assert_eq!(lines(&run), ["1", "3"]);
    assert_eq!(run.failed_rows, 0);
}

#[test]
fn a_failing_row_is_left_out_of_a_projection_and_reported() {
    let run = run("SELECT k, 10 / a AS q FROM t");
    assert_eq!(lines(&run), ["1,2", "3,5", "4,10"]);
    assert_eq!(run.failed_rows, 1);
    assert_eq!(run.errors[0].error.code(), "22012");
    assert_eq!(run.errors[0].row.num_rows(), 1);
}

#[test]
fn a_failing_row_is_left_out_of_a_filter() {
    let run = run("SELECT k FROM t WHERE CAST(s AS BIGINT) > 1");
    assert_eq!(lines(&run), ["3", "4"]);
    assert_eq!(run.errors[0].error.code(), "22P02");
}

#[test]
fn a_failing_argument_takes_its_row_out_of_the_whole_group() {
    let run = run("SELECT count(*) AS n, sum(10 / a) AS q FROM t");
    assert_eq!(lines(&run), ["3,17"]);
}

#[test]
fn an_argument_is_not_evaluated_for_rows_that_its_filter_keeps_out() {
    let run = run("SELECT count(*) AS n, sum(10 / a) FILTER (WHERE a <> 0) AS q FROM t");
    assert_eq!(lines(&run), ["4,17"]);
    assert_eq!(run.failed_rows, 0);
}

#[test]
fn a_join_condition_that_fails_is_not_met() {
    let run = run("SELECT t.k, u.b FROM t LEFT JOIN u ON t.k = u.k AND t.a / u.b > 0");
    assert_eq!(lines(&run), ["1,2", "2,", "3,1", "4,"]);
    assert_eq!(run.failed_rows, 1);
}

#[test]
fn limit_keeps_the_order_below_a_tolerant_projection() {
    let run = run("SELECT k, 10 / a AS q FROM t ORDER BY 10 / a DESC LIMIT 2");
    assert_eq!(lines(&run), ["3,5", "4,10"]);
}

#[test]
fn the_shared_plan_is_a_fixed_point() {
    let state = state(1);
    for sql in [
        "SELECT 10 / a AS q, count(*) AS n FROM t GROUP BY 10 / a ORDER BY n",
        "SELECT t.k, u.b FROM t JOIN u ON 4 / t.a = u.k AND t.a / u.b > 0",
        "SELECT k, sum(10 / a) OVER (PARTITION BY 10 / k) AS q FROM t ORDER BY 1 / k LIMIT 3",
    ] {
        let once = plan_batch(&planned(&state, sql)).unwrap();
        let twice = plan_batch(&once).unwrap();
        assert_eq!(
            once.display_indent().to_string(),
            twice.display_indent().to_string()
        );
    }
}

#[test]
fn blocking_work_may_start_on_a_thread_that_drives_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let answer = runtime.block_on(async { block_on(async { 42 }) });
    assert_eq!(answer.unwrap(), 42);
}

/// Texts with their weights.
type Weighted = Vec<(String, i64)>;

/// The output of one step over rows of `u`, and the codes of the row errors.
fn step(lowered: &mut Lowered, rows: &[(i64, i64)], weight: i64) -> (Weighted, Weighted) {
    let (id, schema) = lowered.sources[0].clone();
    let columns: Vec<Arc<dyn Array>> = vec![
        Arc::new(rows.iter().map(|row| Some(row.0)).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|row| Some(row.1)).collect::<Int64Array>()),
    ];
    let batch = RecordBatch::try_new(schema, columns).unwrap();
    let delta = Delta::new(batch, vec![weight; rows.len()].into()).unwrap();
    let mut cx = StepContext::default();
    let inputs = BTreeMap::from([(id, vec![delta])]);
    let mut output = Vec::new();
    for delta in lowered.dataflow.step(&inputs, &mut cx).unwrap() {
        for row in 0..delta.rows() {
            let values = delta.batch().columns().iter();
            let values = values
                .map(|column| arrow::util::display::array_value_to_string(column, row).unwrap());
            output.push((values.collect::<Vec<_>>().join(" "), delta.weight(row)));
        }
    }
    output.sort();
    let errors = cx.errors.iter();
    let errors = errors.map(|error| (error.error.code().to_owned(), error.weight));
    (output, errors.collect())
}

#[test]
fn a_group_beyond_the_limit_has_no_row_until_it_shrinks() {
    let mut state = state(1);
    let limits = SizeLimits {
        value: 100,
        batch: 1000,
    };
    for function in all_udafs_within(limits) {
        state.register_udaf(function).unwrap();
    }
    let sql = "SELECT k, array_agg(b ORDER BY b) AS items, count(*) AS n FROM u GROUP BY k";
    let plan = planned(&state, sql);
    let evaluators = DataFusionEvaluators::new(&state);
    let mut lowered = lower(&plan, &|_| Some(ObjectId(1).into()), &evaluators).unwrap();
    let text = |text: &str, weight| (text.to_owned(), weight);
    assert_eq!(
        step(&mut lowered, &[(1, 7), (1, 5), (2, 9)], 1),
        (vec![text("1 [5, 7] 2", 1), text("2 [9] 1", 1)], Vec::new())
    );
    let many: Vec<(i64, i64)> = (0..20).map(|b| (1, b)).collect();
    assert_eq!(
        step(&mut lowered, &many, 1),
        (vec![text("1 [5, 7] 2", -1)], vec![text("54000", 1)])
    );
    assert_eq!(
        step(&mut lowered, &many, -1),
        (vec![text("1 [5, 7] 2", 1)], vec![text("54000", -1)])
    );
}
