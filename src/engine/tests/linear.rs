//! Project, filter, union, expand and values: law and row errors.

use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Operator as Binary;
use proptest::prelude::{ProptestConfig, TestCaseError, proptest};

use super::{binary, column, literal, schema};
use crate::engine::operators::{Expand, Filter, Project, Union, Values};
use crate::engine::{Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Row, Subject, Table, add, check};
use crate::zset::Delta;

fn ints() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Int64)])
}

fn each(table: &Table, f: impl Fn(&Row) -> Vec<Row>) -> Table {
    let mut output = Table::new();
    for (row, weight) in table {
        for row in f(row) {
            add(&mut output, row, *weight);
        }
    }
    output
}

fn plus(left: &Cell, right: &Cell) -> Cell {
    match (left, right) {
        (Cell::Int(left), Cell::Int(right)) => Cell::Int(left + right),
        _ => Cell::Null,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn project_obeys_its_laws(history in histories(&[ints()], 6)) {
        let output = schema(&[("s", DataType::Int64), ("b", DataType::Int64)]);
        let expressions = vec![binary(column(0), Binary::Plus, column(1)), column(1)];
        let subject = Subject {
            operator: &|| Box::new(Project::new(expressions.clone(), Arc::clone(&output))),
            inputs: vec![ints()],
            reference: &|inputs| {
                each(&inputs[0], |row| vec![vec![plus(&row[0], &row[1]), row[1].clone()]])
            },
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn filter_obeys_its_laws(history in histories(&[ints()], 6)) {
        let condition = binary(column(0), Binary::Lt, column(1));
        let subject = Subject {
            operator: &|| Box::new(Filter::new(Arc::clone(&condition))),
            inputs: vec![ints()],
            reference: &|inputs| {
                each(&inputs[0], |row| match (&row[0], &row[1]) {
                    (Cell::Int(a), Cell::Int(b)) if a < b => vec![row.clone()],
                    _ => vec![],
                })
            },
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn union_obeys_its_laws(history in histories(&[ints(), ints()], 6)) {
        let output = schema(&[("x", DataType::Int64), ("y", DataType::Int64)]);
        let subject = Subject {
            operator: &|| Box::new(Union::new(Arc::clone(&output))),
            inputs: vec![ints(), ints()],
            reference: &|inputs| {
                let mut sum = inputs[0].clone();
                for (row, weight) in &inputs[1] {
                    add(&mut sum, row.clone(), *weight);
                }
                sum
            },
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn expand_obeys_its_laws(history in histories(&[ints()], 6)) {
        let lists = vec![vec![column(0), literal(0)], vec![column(1), literal(1)]];
        let subject = Subject {
            operator: &|| Box::new(Expand::new(lists.clone(), ints())),
            inputs: vec![ints()],
            reference: &|inputs| {
                each(&inputs[0], |row| {
                    vec![
                        vec![row[0].clone(), Cell::Int(0)],
                        vec![row[1].clone(), Cell::Int(1)],
                    ]
                })
            },
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
        // equal rows are added up first
        let apart = Subject {
            operator: &|| Box::new(Expand::apart(lists.clone(), ints())),
            ..subject
        };
        check(&apart, &history).map_err(TestCaseError::fail)?;
    }
}

fn numbers(from: i64, to: i64) -> RecordBatch {
    let a = Int64Array::from_iter_values(from..to);
    let b = Int64Array::from_iter_values((from..to).map(|number| number % 7));
    RecordBatch::try_new(ints(), vec![Arc::new(a), Arc::new(b)]).unwrap()
}

#[test]
fn equal_rows_are_expanded_once_and_looked_for_where_there_are_any() {
    let lists = vec![vec![column(1), literal(0)], vec![column(1), literal(1)]];
    let mut expand = Expand::apart(lists, ints());
    let mut cx = StepContext::default();
    let one_column = |from: i64, to: i64| {
        let batch = numbers(from, to);
        let b = Arc::clone(batch.column(1));
        Delta::inserts(RecordBatch::try_new(ints(), vec![Arc::clone(&b), b]).unwrap())
    };
    let rows = |deltas: &[Delta]| deltas.iter().map(Delta::rows).sum::<usize>();
    let output = expand.step(&[vec![one_column(0, 700)]], &mut cx).unwrap();
    assert_eq!(rows(&output), 2 * 7);
    assert_eq!(output.iter().map(|delta| delta.weight(0)).sum::<i64>(), 200);
    // all are different: the next ones are not looked through
    let different = Delta::inserts(numbers(0, 700));
    let output = expand.step(&[vec![different]], &mut cx).unwrap();
    assert_eq!(rows(&output), 2 * 700);
    let output = expand.step(&[vec![one_column(0, 700)]], &mut cx).unwrap();
    assert_eq!(rows(&output), 2 * 700);
}

#[test]
fn a_row_that_fails_in_one_list_fails_in_all_or_in_that_one() {
    let quotient = || binary(column(0), Binary::Divide, column(1));
    let lists = || vec![vec![quotient(), column(1)], vec![column(0), column(1)]];
    let input = vec![vec![Delta::inserts(numbers(0, 70))]];
    let rows = |deltas: &[Delta]| deltas.iter().map(Delta::rows).sum::<usize>();
    let mut cx = StepContext::default();
    let together = Expand::new(lists(), ints()).step(&input, &mut cx).unwrap();
    assert_eq!((rows(&together), cx.errors.len()), (2 * 60, 10));
    let mut cx = StepContext::default();
    let apart = Expand::apart(lists(), ints())
        .step(&input, &mut cx)
        .unwrap();
    assert_eq!((rows(&apart), cx.errors.len()), (60 + 70, 10));
}

#[test]
fn values_come_out_once() {
    let mut values = Values::new(numbers(0, 3));
    let mut cx = StepContext::default();
    assert_eq!(values.step(&[], &mut cx).unwrap()[0].rows(), 3);
    assert!(values.step(&[], &mut cx).unwrap().is_empty());
}

#[test]
fn a_row_that_divides_by_zero_is_left_out_and_told_with_its_weight() {
    let quotient = binary(column(0), Binary::Divide, column(1));
    let mut project = Project::new(vec![quotient], schema(&[("q", DataType::Int64)]));
    let mut cx = StepContext::default();
    let input = vec![
        Delta::inserts(numbers(0, 100)),
        Delta::deletes(numbers(0, 10)),
    ];
    let output = project.step(&[input], &mut cx).unwrap();
    // 15 of 0..100 are multiples of 7, and 2 of 0..10.
    assert_eq!(output.iter().map(Delta::rows).sum::<usize>(), 85 + 8);
    assert_eq!(cx.errors.len(), 17);
    assert!(cx.errors.iter().all(|error| error.error.code() == "22012"));
    assert_eq!(
        cx.errors.iter().map(|error| error.weight).sum::<i64>(),
        15 - 2
    );
    assert_eq!(cx.errors[0].row, numbers(0, 1));
    assert_eq!(cx.errors[0].operator, "project");
}
