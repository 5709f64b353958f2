//! The graph: order, skipping, sharing, panics.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int64Array, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Operator as Binary;
use proptest::prelude::{ProptestConfig, TestCaseError, proptest};

use super::{binary, column, literal, schema};
use crate::base::clock::SystemClock;
use crate::base::{Kind, ObjectId, Result};
use crate::engine::operators::{Distinct, Filter, Join, JoinConfig, JoinKind, Union, Values};
use crate::engine::{Dataflow, Deltas, Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Piped, Subject, Table, add, check};
use crate::zset::Delta;

fn ints() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Int64)])
}

/// `(a SEMI JOIN a WHERE a.a >= 1 ON a.b = a.a) UNION ALL (SELECT DISTINCT FROM a)`: one source
/// read three times.
fn diamond() -> Piped {
    let mut graph = Dataflow::builder();
    let source = graph.source(ObjectId(1), ints());
    let large = binary(column(0), Binary::GtEq, literal(1));
    let filtered = graph.add(Box::new(Filter::new(large)), &[source]);
    let join = Join::new(JoinConfig {
        kind: JoinKind::LeftSemi,
        left: ints(),
        right: ints(),
        on: vec![(column(1), column(0))],
        null_equals_null: false,
        residual: None,
        schema: ints(),
    });
    let joined = graph.add(Box::new(join), &[source, filtered]);
    let distinct = graph.add(Box::new(Distinct::new(ints())), &[source]);
    let output = graph.add(Box::new(Union::new(ints())), &[joined, distinct]);
    Piped {
        dataflow: graph.finish(output),
        sources: vec![ObjectId(1)],
    }
}

fn diamond_by_hand(input: &Table) -> Table {
    use crate::testing::laws::Cell;
    let mut output = Table::new();
    for (row, weight) in input {
        let partners = input.iter().filter(|(other, _)| {
            other[0] == row[1] && matches!(other[0], Cell::Int(value) if value >= 1)
        });
        if partners.map(|(_, weight)| weight).sum::<i64>() > 0 {
            add(&mut output, row.clone(), *weight);
        }
        if *weight > 0 {
            add(&mut output, row.clone(), 1);
        }
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_diamond_of_operators_obeys_the_laws(history in histories(&[ints()], 6)) {
        let subject = Subject {
            operator: &|| Box::new(diamond()),
            inputs: vec![ints()],
            reference: &|inputs| diamond_by_hand(&inputs[0]),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }
}

fn one_row() -> RecordBatch {
    let column = || Arc::new(Int64Array::from(vec![1]));
    RecordBatch::try_new(ints(), vec![column(), column()]).unwrap()
}

#[test]
fn operators_without_input_run_in_the_first_step_alone() {
    let mut graph = Dataflow::builder();
    let source = graph.source(ObjectId(1), ints());
    let values = graph.add(Box::new(Values::new(one_row())), &[]);
    let output = graph.add(Box::new(Union::new(ints())), &[source, values]);
    let mut graph = graph.finish(output);
    let mut cx = StepContext {
        clock: Some(Arc::new(SystemClock::new())),
        ..StepContext::default()
    };

    assert_eq!(graph.step(&BTreeMap::new(), &mut cx).unwrap().len(), 1);
    assert!(graph.step(&BTreeMap::new(), &mut cx).unwrap().is_empty());
    let more = BTreeMap::from([(ObjectId(1), vec![Delta::inserts(one_row())])]);
    assert_eq!(graph.step(&more, &mut cx).unwrap().len(), 1);

    let stats = graph.stats();
    assert_eq!(
        stats.iter().map(|node| node.steps).collect::<Vec<_>>(),
        [0, 1, 2]
    );
    assert_eq!((stats[2].rows_in, stats[2].rows_out), (2, 2));
    assert_eq!(graph.sources().len(), 1);
}

#[test]
fn what_cancels_on_the_way_does_not_come_out() {
    let mut graph = Dataflow::builder();
    let source = graph.source(ObjectId(1), ints());
    let output = graph.add(Box::new(Union::new(ints())), &[source]);
    let mut graph = graph.finish(output);
    let both = vec![Delta::inserts(one_row()), Delta::deletes(one_row())];
    let inputs = BTreeMap::from([(ObjectId(1), both)]);
    assert!(
        graph
            .step(&inputs, &mut StepContext::default())
            .unwrap()
            .is_empty()
    );
}

struct Broken;

impl Operator for Broken {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn step(&mut self, _: &[Deltas], _: &mut StepContext) -> Result<Deltas> {
        panic!("out of order");
    }
}

#[test]
fn a_panic_fails_the_graph_and_names_the_operator() {
    let mut graph = Dataflow::builder();
    let output = graph.add(Box::new(Broken), &[]);
    let mut graph = graph.finish(output);
    for _ in 0..2 {
        let error = graph
            .step(&BTreeMap::new(), &mut StepContext::default())
            .unwrap_err();
        assert_eq!(error.kind(), Kind::Internal);
        assert!(
            error.message().contains("broken panicked: out of order"),
            "{error}"
        );
    }
}
