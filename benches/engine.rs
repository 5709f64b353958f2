//! What a row costs in the engine: join, aggregate, distinct and consolidation, at 1, 1,000 and 100,000 rows a delta.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use lotic::engine::accumulate::AggregateFunction;
use lotic::engine::operators::{
    Aggregate, AggregateCall, AggregateConfig, CallForm, Distinct, Join, JoinConfig, JoinKind,
};
use lotic::engine::{Operator, StepContext};
use lotic::zset::{Delta, consolidate};

const STATE: i64 = 100_000;
/// Rows below an aggregate, ten a group.
const AGGREGATED: i64 = 1_000_000;
const SIZES: [i64; 3] = [1, 1_000, 100_000];

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("t", DataType::Utf8View, true),
    ]))
}

/// Rows of the numbers `from..to`, keys spread over the state.
fn rows(from: i64, to: i64) -> RecordBatch {
    let keys = Int64Array::from_iter_values((from..to).map(|row| row * 7_919 % STATE));
    let values = Int64Array::from_iter_values(from..to);
    let texts =
        StringViewArray::from_iter_values((from..to).map(|row| format!("the name of {row}")));
    RecordBatch::try_new(
        schema(),
        vec![Arc::new(keys), Arc::new(values), Arc::new(texts)],
    )
    .expect("three columns of one length")
}

fn join(kind: JoinKind) -> Join {
    let key = || Arc::new(Column::new("k", 0)) as Arc<dyn PhysicalExpr>;
    let fields: Vec<_> = schema()
        .fields()
        .iter()
        .chain(schema().fields().iter())
        .cloned()
        .collect();
    Join::new(JoinConfig {
        kind,
        left: schema(),
        right: schema(),
        on: vec![(key(), key())],
        null_equals_null: false,
        residual: None,
        schema: Arc::new(Schema::new(fields)),
    })
}

/// A step and its opposite, so that the state stays as it is: the time is of two steps.
fn there_and_back(operator: &mut dyn Operator, there: &Delta, back: &Delta) {
    let mut cx = StepContext::default();
    for delta in [there, back] {
        operator
            .step(&[vec![delta.clone()], Vec::new()], &mut cx)
            .expect("a step");
    }
}

fn joins(c: &mut Criterion) {
    for (name, kind) in [("inner", JoinKind::Inner), ("left", JoinKind::Left)] {
        let mut group = c.benchmark_group(format!("join/{name}, 100,000 rows of state"));
        let mut operator = join(kind);
        let state = vec![Delta::inserts(rows(0, STATE))];
        let mut cx = StepContext::default();
        operator
            .step(&[state.clone(), state], &mut cx)
            .expect("a step");
        for size in SIZES {
            let there = Delta::inserts(rows(STATE, STATE + size));
            let back = there.negate();
            group.throughput(Throughput::Elements(u64::try_from(2 * size).unwrap_or(1)));
            group.bench_with_input(BenchmarkId::from_parameter(size), &size, |b, _| {
                b.iter(|| there_and_back(&mut operator, &there, &back));
            });
        }
        group.finish();
    }
    let mut group = c.benchmark_group("join/first load");
    group.sample_size(10);
    group.throughput(Throughput::Elements(u64::try_from(2 * STATE).unwrap_or(1)));
    let input = vec![Delta::inserts(rows(0, STATE))];
    let inputs = [input.clone(), input];
    group.bench_function("inner, 100,000 rows a side", |b| {
        b.iter_batched(
            || join(JoinKind::Inner),
            |mut join| {
                let mut cx = StepContext {
                    bulk: true,
                    ..StepContext::default()
                };
                join.step(&inputs, &mut cx).expect("a step")
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A function of column `column`, or of whole rows.
fn call(
    name: &str,
    function: AggregateFunction,
    column: Option<usize>,
    output: DataType,
) -> AggregateCall {
    let arg = |at| Arc::new(Column::new("v", at)) as Arc<dyn PhysicalExpr>;
    AggregateCall {
        form: CallForm::Exact(function),
        args: column.map(arg).into_iter().collect(),
        filter: None,
        distinct: false,
        field: Arc::new(Field::new(name, output, true)),
    }
}

fn aggregate(calls: Vec<AggregateCall>) -> Aggregate {
    let mut fields = vec![Arc::new(Field::new("k", DataType::Int64, true))];
    fields.extend(calls.iter().map(|call| Arc::clone(&call.field)));
    Aggregate::new(AggregateConfig {
        group: vec![Arc::new(Column::new("k", 0))],
        calls,
        schema: Arc::new(Schema::new(fields)),
    })
    .expect("a schema with a column a call")
}

fn aggregates(c: &mut Criterion) {
    use AggregateFunction::{Avg, Count, CountRows, Max, Min, Sum};
    let mut distinct = call("n", Count, Some(2), DataType::Int64);
    distinct.distinct = true;
    let kinds = [
        (
            "sum, count, avg",
            vec![
                call("s", Sum, Some(1), DataType::Int64),
                call("n", CountRows, None, DataType::Int64),
                call("a", Avg, Some(1), DataType::Float64),
            ],
        ),
        (
            "min, max",
            vec![
                call("l", Min, Some(1), DataType::Int64),
                call("g", Max, Some(1), DataType::Int64),
            ],
        ),
        ("count distinct", vec![distinct]),
    ];
    for (name, calls) in kinds {
        let mut group = c.benchmark_group(format!("aggregate/{name}, 1,000,000 rows of state"));
        let mut operator = aggregate(calls);
        let mut cx = StepContext::default();
        operator
            .step(&[vec![Delta::inserts(rows(0, AGGREGATED))]], &mut cx)
            .expect("a step");
        for size in SIZES {
            // the way back takes out what was the greatest of its group
            let there = Delta::inserts(rows(AGGREGATED, AGGREGATED + size));
            let back = there.negate();
            group.throughput(Throughput::Elements(u64::try_from(2 * size).unwrap_or(1)));
            group.bench_with_input(BenchmarkId::from_parameter(size), &size, |b, _| {
                b.iter(|| there_and_back(&mut operator, &there, &back));
            });
        }
        group.finish();
    }
}

fn distinct(c: &mut Criterion) {
    for state in [STATE, AGGREGATED] {
        let mut group = c.benchmark_group(format!("distinct, {state} rows of state"));
        let mut operator = Distinct::new(schema());
        let mut cx = StepContext::default();
        operator
            .step(&[vec![Delta::inserts(rows(0, state))]], &mut cx)
            .expect("a step");
        for size in SIZES {
            let there = Delta::inserts(rows(state, state + size));
            let back = there.negate();
            group.throughput(Throughput::Elements(u64::try_from(2 * size).unwrap_or(1)));
            group.bench_with_input(BenchmarkId::from_parameter(size), &size, |b, _| {
                b.iter(|| there_and_back(&mut operator, &there, &back));
            });
        }
        group.finish();
    }
}

fn consolidation(c: &mut Criterion) {
    let mut group = c.benchmark_group("consolidate");
    for size in SIZES {
        let delta = Delta::inserts(rows(0, size));
        group.throughput(Throughput::Elements(u64::try_from(size).unwrap_or(1)));
        group.bench_with_input(BenchmarkId::from_parameter(size), &delta, |b, delta| {
            b.iter(|| consolidate(std::slice::from_ref(delta)).expect("a consolidation"));
        });
    }
    group.finish();
}

criterion_group!(benches, joins, aggregates, distinct, consolidation);
criterion_main!(benches);
