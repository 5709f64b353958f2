//! What a row costs at the first rows, of everything and of groups: 1, 1,000 and 100,000 rows a delta.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use lotic::engine::operators::{GroupTopK, GroupTopKConfig, Numbering, OrderKey, RankColumn, TopK};
use lotic::engine::{Operator, StepContext};
use lotic::zset::Delta;

const STATE: i64 = 100_000;
const GROUPS: i64 = 1_000;
const SIZES: [i64; 3] = [1, 1_000, 100_000];

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("g", DataType::Int64, true),
        Field::new("v", DataType::Int64, true),
        Field::new("id", DataType::Int64, true),
    ]))
}

/// Rows of the numbers `from..to`, groups and values spread.
fn rows(from: i64, to: i64) -> RecordBatch {
    let column = |of: fn(i64) -> i64| Arc::new(Int64Array::from_iter_values((from..to).map(of)));
    RecordBatch::try_new(
        schema(),
        vec![
            column(|row| row % GROUPS),
            column(|row| row * 7_919 % STATE),
            column(|row| row),
        ],
    )
    .expect("three columns of one length")
}

fn by_value() -> OrderKey {
    OrderKey {
        column: 1,
        options: SortOptions::new(true, false),
    }
}

/// A step and its opposite, so that the state stays as it is: the time is of two steps.
fn measure(c: &mut Criterion, name: &str, operator: &mut dyn Operator) {
    let mut group = c.benchmark_group(format!("{name}, 100,000 rows of state"));
    let mut step = |delta: &Delta| {
        operator
            .step(&[vec![delta.clone()]], &mut StepContext::default())
            .expect("a step")
    };
    step(&Delta::inserts(rows(0, STATE)));
    for size in SIZES {
        let there = Delta::inserts(rows(STATE, STATE + size));
        let back = there.negate();
        group.throughput(Throughput::Elements(size.unsigned_abs() * 2));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| (step(&there), step(&back)));
        });
    }
    group.finish();
}

fn first_rows(c: &mut Criterion) {
    for (name, skip, fetch) in [
        ("limit 10", 0, Some(10)),
        ("limit 10 offset 10,000", 10_000, Some(10)),
        ("offset 10,000", 10_000, None),
    ] {
        let mut operator = TopK::new(&schema(), schema(), &[by_value()], skip, fetch)
            .expect("integers have an order");
        measure(c, name, &mut operator);
    }
}

fn first_rows_of_groups(c: &mut Criterion) {
    for (name, rank) in [
        ("row_number", Numbering::RowNumber),
        ("rank", Numbering::Rank),
    ] {
        let mut operator = GroupTopK::new(GroupTopKConfig {
            input: schema(),
            group: vec![0],
            order: vec![by_value()],
            rank,
            first: 1,
            last: 3,
            column: RankColumn::Absent,
            schema: schema(),
        })
        .expect("integers have an order");
        measure(c, &format!("{name} <= 3 of 1,000 groups"), &mut operator);
    }
}

criterion_group!(benches, first_rows, first_rows_of_groups);
criterion_main!(benches);
