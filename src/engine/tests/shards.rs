//! Operators in parts: large steps, which run on several threads, and keys that fail.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array};
use arrow::datatypes::DataType;
use datafusion::logical_expr::Operator as Binary;
use datafusion::physical_expr::expressions::lit;

use super::{binary, column, schema};
use crate::engine::operators::{Distinct, Join, JoinConfig, JoinKind};
use crate::engine::{Deltas, Operator, StepContext, in_parts};
use crate::testing::laws::{Table, add_deltas};
use crate::zset::{Delta, batch_of};

const ROWS: i64 = 20_000;

fn rows(from: i64, weight: i64) -> Delta {
    let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + ROWS));
    let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(
        (from..from + ROWS).map(|number| number % 1_000),
    ));
    let columns = schema(&[("c0", DataType::Int64), ("c1", DataType::Int64)]);
    let batch = batch_of(&columns, vec![keys, numbers], 20_000).expect("columns fit");
    Delta::new(batch, Int64Array::from(vec![weight; 20_000])).expect("as long")
}

/// A join on `c0` of rows that have one partner each.
fn join() -> Box<dyn Operator> {
    let sides = schema(&[("c0", DataType::Int64), ("c1", DataType::Int64)]);
    let fields: Vec<_> = sides
        .fields()
        .iter()
        .chain(sides.fields())
        .cloned()
        .collect();
    let config = JoinConfig {
        kind: JoinKind::Full,
        left: Arc::clone(&sides),
        right: Arc::clone(&sides),
        on: vec![(column(1), column(1)), (column(0), column(0))],
        null_equals_null: false,
        residual: None,
        schema: Arc::new(arrow::datatypes::Schema::new(fields)),
    };
    Box::new(Join::new(config))
}

fn integral(mut operator: Box<dyn Operator>, steps: &[[Deltas; 2]]) -> (Table, usize) {
    let mut table = Table::new();
    for step in steps {
        let mut cx = StepContext::default();
        let output = operator.step(step, &mut cx).expect("a step goes through");
        assert!(cx.errors.is_empty());
        add_deltas(&mut table, &output).expect("values have a text");
    }
    (table, operator.state_rows())
}

#[test]
fn large_steps_in_parts_give_what_the_whole_gives() {
    let steps = [
        [vec![rows(0, 1)], vec![rows(10_000, 1)]],
        [vec![rows(20_000, 1)], vec![]],
        [vec![], vec![rows(10_000, -1)]],
    ];
    let whole = integral(join(), &steps);
    assert_eq!(whole.1, 40_000);
    for parts in [2, 7] {
        assert_eq!(integral(in_parts(join(), parts), &steps), whole);
    }
}

#[test]
fn a_row_whose_key_fails_is_told_once() {
    let columns = schema(&[("c0", DataType::Int64)]);
    let side = |values: Vec<i64>| {
        let values: ArrayRef = Arc::new(Int64Array::from(values));
        vec![Delta::inserts(
            batch_of(&columns, vec![values], 3).expect("columns fit"),
        )]
    };
    let fields: Vec<_> = columns
        .fields()
        .iter()
        .chain(columns.fields())
        .cloned()
        .collect();
    let inverse = binary(lit(10_i64), Binary::Divide, column(0));
    let config = JoinConfig {
        kind: JoinKind::Inner,
        left: Arc::clone(&columns),
        right: Arc::clone(&columns),
        on: vec![(inverse, column(0))],
        null_equals_null: false,
        residual: None,
        schema: Arc::new(arrow::datatypes::Schema::new(fields)),
    };
    let mut join = in_parts(Box::new(Join::new(config)), 4);
    let mut cx = StepContext::default();
    let inputs = [side(vec![0, 5, 2]), side(vec![2, 5, 7])];
    let output = join.step(&inputs, &mut cx).expect("only a row fails");
    assert_eq!(output.iter().map(Delta::rows).sum::<usize>(), 2);
    assert_eq!(cx.errors.len(), 1);
    assert_eq!(cx.errors[0].operator, "join");
}

#[test]
fn both_zeros_and_every_nan_are_in_one_part() {
    let columns = schema(&[("c0", DataType::Float64)]);
    let mut distinct = in_parts(Box::new(Distinct::new(Arc::clone(&columns))), 64);
    let odd = f64::from_bits(f64::NAN.to_bits() | 1);
    let mut rows = 0;
    for values in [vec![0.0, f64::NAN], vec![-0.0, -f64::NAN], vec![0.0, odd]] {
        let values: ArrayRef = Arc::new(Float64Array::from(values));
        let delta = Delta::inserts(batch_of(&columns, vec![values], 2).expect("columns fit"));
        let mut cx = StepContext::default();
        let output = distinct
            .step(&[vec![delta]], &mut cx)
            .expect("goes through");
        rows += output.iter().map(Delta::rows).sum::<usize>();
    }
    assert_eq!((rows, distinct.state_rows()), (2, 2));
}
