//! What a row costs at window functions: 1, 1,000 and 100,000 rows a delta, for functions that look at neighbours, at
//! all rows before, at whole partitions, and at a distance in value.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::catalog::{
    CatalogProvider, MemoryCatalogProvider, MemorySchemaProvider, SchemaProvider,
};
use datafusion::datasource::MemTable;
use lotic::base::ObjectId;
use lotic::engine::{Dataflow, StepContext};
use lotic::planner::context::{ContextOptions, PlanFor, optimize, session_state};
use lotic::planner::functions::{all_udafs, all_udfs};
use lotic::planner::lower::{DataFusionEvaluators, lower};
use lotic::zset::Delta;

const STATE: i64 = 100_000;
const GROUPS: i64 = 1_000;
const SIZES: [i64; 3] = [1, 1_000, 100_000];
const TABLE: ObjectId = ObjectId(1);

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("g", DataType::Int64, true),
        Field::new("at", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
    ]))
}

/// Rows of the numbers `from..to`, partitions and values spread, `at` rising.
fn rows(from: i64, to: i64) -> RecordBatch {
    let column = |of: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((from..to).map(of)));
    RecordBatch::try_new(
        schema(),
        vec![
            column(|row| row % GROUPS),
            column(|row| row),
            column(|row| row * 7_919 % STATE),
        ],
    )
    .expect("three columns of one length")
}

fn dataflow(sql: &str) -> Dataflow {
    let catalog = Arc::new(MemoryCatalogProvider::new());
    let tables = Arc::new(MemorySchemaProvider::new());
    let table = MemTable::try_new(schema(), vec![Vec::new()]).expect("an empty table");
    tables
        .register_table("t".to_owned(), Arc::new(table))
        .expect("a new name");
    catalog
        .register_schema("public", tables)
        .expect("a new schema");
    let options = ContextOptions {
        plan_for: PlanFor::Model,
        scalar_functions: all_udfs(),
        aggregates: all_udafs(),
        ..ContextOptions::new(catalog)
    };
    let state = session_state(&options).expect("a session");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a runtime");
    let plan = runtime
        .block_on(state.create_logical_plan(sql))
        .expect("a query");
    let plan = optimize(&state, plan).expect("an optimised plan");
    let evaluators = DataFusionEvaluators::new(&state);
    lower(&plan, &|_| Some(TABLE), &evaluators)
        .expect("a dataflow")
        .dataflow
}

/// A step and its opposite, so that the state stays as it is: the time is of two steps.
fn measure(c: &mut Criterion, name: &str, sql: &str, sizes: &[i64]) {
    let mut group = c.benchmark_group(format!("{name}, 100,000 rows of state"));
    group.sample_size(10);
    let mut dataflow = dataflow(sql);
    let mut step = |delta: &Delta| {
        let inputs = BTreeMap::from([(TABLE, vec![delta.clone()])]);
        dataflow
            .step(&inputs, &mut StepContext::default())
            .expect("a step")
    };
    step(&Delta::inserts(rows(0, STATE)));
    for size in sizes {
        let there = Delta::inserts(rows(STATE, STATE + size));
        let back = there.negate();
        group.throughput(Throughput::Elements(size.unsigned_abs() * 2));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| (step(&there), step(&back)));
        });
    }
    group.finish();
}

fn partitions(c: &mut Criterion) {
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
fn everything(c: &mut Criterion) {
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

criterion_group!(benches, partitions, everything);
criterion_main!(benches);
