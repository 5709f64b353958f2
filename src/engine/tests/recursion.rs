//! Recursion against its law: paths over edges that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::logical_expr::Operator as Binary;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use proptest::prelude::{ProptestConfig, TestCaseError, proptest};

use super::{binary, column, literal, schema};
use crate::engine::operators::{
    Filter, Join, JoinConfig, JoinKind, MAX_ROUNDS, Project, ROUND, Recursion, RecursionConfig,
};
use crate::engine::{Budget, Dataflow, Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{
    Cell, Row, Subject, Table, add, add_deltas, check, delta_of, made_proper,
};

fn edges() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Int64)])
}

fn round(index: usize) -> Arc<dyn PhysicalExpr> {
    Arc::new(Column::new(ROUND, index))
}

/// The rows joined with the edges on `on`, and `exprs` of such a pair: a, b and round of the row, then the edge.
fn paths(on: usize, exprs: [Arc<dyn PhysicalExpr>; 2], config: Config) -> Recursion {
    let rows = Recursion::with_round(&edges());
    let mut graph = Dataflow::builder();
    let mut recent = graph.source(Recursion::ROWS, Arc::clone(&rows));
    let edge = graph.source(Recursion::input(0), edges());
    if let Some(limit) = config.limit {
        let below = binary(column(1), Binary::Lt, literal(limit));
        recent = graph.add(Box::new(Filter::new(below)), &[recent]);
    }
    let pair: Vec<_> = rows
        .fields()
        .iter()
        .chain(edges().fields())
        .cloned()
        .collect();
    let join = Join::new(JoinConfig {
        kind: JoinKind::Inner,
        left: Arc::clone(&rows),
        right: edges(),
        on: vec![(column(on), column(0))],
        null_equals_null: false,
        residual: None,
        schema: Arc::new(arrow::datatypes::Schema::new(pair)),
    });
    let joined = graph.add(Box::new(join), &[recent, edge]);
    let [first, second] = exprs;
    let next = Project::new(vec![first, second, round(2)], rows);
    let next = graph.add(Box::new(next), &[joined]);
    Recursion::new(RecursionConfig {
        schema: edges(),
        distinct: config.distinct,
        term: graph.finish(next),
        inputs: 1,
        max_rounds: config.max_rounds,
    })
    .unwrap()
}

#[derive(Clone, Copy)]
struct Config {
    distinct: bool,
    limit: Option<i64>,
    max_rounds: u32,
}

/// `(a, b)` and `b -> c` give `(a, c)`.
fn reach(distinct: bool, max_rounds: u32) -> Recursion {
    let config = Config {
        distinct,
        limit: None,
        max_rounds,
    };
    paths(1, [column(0), column(4)], config)
}

/// `(node, n)` with `n < 3` and `node -> c` give `(c, n + 1)`.
fn walk() -> Recursion {
    let config = Config {
        distinct: false,
        limit: Some(3),
        max_rounds: MAX_ROUNDS,
    };
    let counted = binary(column(1), Binary::Plus, literal(1));
    paths(0, [column(4), counted], config)
}

/// The rounds one by one, each over the one before.
fn by_hand(inputs: &[Table], distinct: bool, next: &dyn Fn(&Row, &Row) -> Option<Row>) -> Table {
    let mut output = Table::new();
    let mut seen: BTreeSet<Row> = BTreeSet::new();
    let mut recent = inputs[0].clone();
    while !recent.is_empty() {
        if distinct {
            recent = recent
                .into_keys()
                .filter(|row| seen.insert(row.clone()))
                .map(|row| (row, 1))
                .collect();
        }
        let mut made = Table::new();
        for (row, weight) in &recent {
            add(&mut output, row.clone(), *weight);
            for (edge, edges) in &inputs[1] {
                if let Some(row) = next(row, edge) {
                    add(&mut made, row, weight * edges);
                }
            }
        }
        recent = made;
    }
    output
}

fn meets(from: &Cell, to: &Cell) -> bool {
    from == to && *from != Cell::Null
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn distinct_recursion_obeys_its_laws(history in histories(&[edges(), edges()], 5)) {
        let history = made_proper(2, history);
        let subject = Subject {
            operator: &|| Box::new(reach(true, MAX_ROUNDS)),
            inputs: vec![edges(), edges()],
            reference: &|inputs| by_hand(inputs, true, &|row, edge| {
                meets(&row[1], &edge[0]).then(|| vec![row[0].clone(), edge[1].clone()])
            }),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn recursion_with_copies_obeys_its_laws(history in histories(&[edges(), edges()], 5)) {
        let history = made_proper(2, history);
        let subject = Subject {
            operator: &|| Box::new(walk()),
            inputs: vec![edges(), edges()],
            reference: &|inputs| by_hand(inputs, false, &|row, edge| match (&row[1], &edge[1]) {
                (Cell::Int(steps), to) if *steps < 3 && meets(&row[0], &edge[0]) => {
                    Some(vec![to.clone(), Cell::Int(steps + 1)])
                }
                _ => None,
            }),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }
}

fn row(a: i64, b: i64) -> Row {
    vec![Cell::Int(a), Cell::Int(b)]
}

/// One step of `recursion` with changes to its start and to the edges.
fn step(
    recursion: &mut Recursion,
    start: &[(Row, i64)],
    changes: &[(Row, i64)],
    cx: &mut StepContext,
) -> crate::base::Result<Table> {
    let start = delta_of(&edges(), start)?;
    let changes = delta_of(&edges(), changes)?;
    let mut table = Table::new();
    add_deltas(
        &mut table,
        &recursion.step(&[vec![start], vec![changes]], cx)?,
    )?;
    Ok(table)
}

#[test]
fn an_edge_that_becomes_a_loop_in_one_step_leaves_nothing_behind() {
    let mut recursion = reach(false, 10);
    let cx = &mut StepContext::default();
    let made = step(&mut recursion, &[(row(7, 1), 1)], &[(row(1, 2), 1)], cx).unwrap();
    assert_eq!(made, BTreeMap::from([(row(7, 1), 1), (row(7, 2), 1)]));
    // The loop is out of reach, though the row it starts from was there when the edge to it went.
    let changes = [(row(1, 2), -1), (row(2, 2), 1)];
    let made = step(&mut recursion, &[], &changes, cx).unwrap();
    assert_eq!(made, BTreeMap::from([(row(7, 2), -1)]));
    let made = step(&mut recursion, &[(row(7, 1), -1)], &[(row(2, 2), -1)], cx).unwrap();
    assert_eq!(made, BTreeMap::from([(row(7, 1), -1)]));
    assert_eq!(recursion.state_rows(), 0);
}

#[test]
fn a_shorter_way_moves_what_lies_behind_it_without_a_change_in_the_result() {
    let mut recursion = reach(true, 10);
    let cx = &mut StepContext::default();
    let chain: Vec<_> = (1..6).map(|from| (row(from, from + 1), 1)).collect();
    let made = step(&mut recursion, &[(row(0, 1), 1)], &chain, cx).unwrap();
    assert_eq!(made.len(), 6);
    let made = step(&mut recursion, &[], &[(row(1, 4), 1)], cx).unwrap();
    assert_eq!(made, Table::new());
    let made = step(&mut recursion, &[], &[(row(1, 2), -1)], cx).unwrap();
    assert_eq!(made, BTreeMap::from([(row(0, 2), -1), (row(0, 3), -1)]));
}

#[test]
fn a_recursion_without_an_end_is_stopped() {
    let mut recursion = reach(false, 20);
    let cx = &mut StepContext::default();
    let chain: Vec<_> = (1..=20).map(|from| (row(from, from + 1), 1)).collect();
    let made = step(&mut recursion, &[(row(0, 1), 1)], &chain, cx).unwrap();
    assert_eq!(made.len(), 21);
    let error = step(&mut recursion, &[], &[(row(21, 1), 1)], cx).unwrap_err();
    assert_eq!(error.code(), "54001");
}

#[test]
fn rows_of_all_rounds_count_against_the_budget() {
    let mut recursion = reach(false, MAX_ROUNDS);
    let mut cx = StepContext {
        budget: Some(Arc::new(Budget::new(1 << 20))),
        ..StepContext::default()
    };
    let start: Vec<_> = (0..100).map(|from| (row(from, 1), 1)).collect();
    let error = step(&mut recursion, &start, &[(row(1, 1), 1)], &mut cx).unwrap_err();
    assert_eq!(error.code(), "53200");
}
