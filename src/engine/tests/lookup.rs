//! Lookup joins: what was given out stays, and goes with the row that it was given for.

use std::collections::{BTreeMap, VecDeque};

use arrow::datatypes::{DataType, SchemaRef};
use proptest::prelude::{ProptestConfig, prop_assert_eq, proptest};

use super::schema;
use crate::engine::operators::{Lookup, LookupConfig};
use crate::engine::{Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Row, Step, Table, add, add_deltas, delta_of, integral};

fn side(value: &str) -> SchemaRef {
    schema(&[("k", DataType::Utf8View), (value, DataType::Int64)])
}

fn config(outer: bool) -> LookupConfig {
    LookupConfig {
        left: side("a"),
        right: side("b"),
        widths: (2, 2),
        keys: vec![(0, 0)],
        outer,
        schema: schema(&[
            ("k", DataType::Utf8View),
            ("a", DataType::Int64),
            ("right_k", DataType::Utf8View),
            ("b", DataType::Int64),
        ]),
    }
}

/// The operator with the sum of what it gave.
struct Running {
    join: Lookup,
    output: Table,
}

impl Running {
    fn new(outer: bool) -> Self {
        Self {
            join: Lookup::new(config(outer)).unwrap(),
            output: Table::new(),
        }
    }

    fn step(&mut self, left: &[(Row, i64)], right: &[(Row, i64)]) {
        let inputs = [
            vec![delta_of(&side("a"), left).unwrap()],
            vec![delta_of(&side("b"), right).unwrap()],
        ];
        let deltas = self
            .join
            .step(&inputs, &mut StepContext::default())
            .unwrap();
        add_deltas(&mut self.output, &deltas).unwrap();
    }

    fn rows(&self) -> Vec<(Row, i64)> {
        self.output
            .iter()
            .map(|(row, weight)| (row.clone(), *weight))
            .collect()
    }
}

fn row(key: &str, value: i64) -> Row {
    vec![Cell::Text(key.to_owned()), Cell::Int(value)]
}

fn pair(key: &str, left: i64, right: i64) -> Row {
    [row(key, left), row(key, right)].concat()
}

fn alone(key: &str, left: i64) -> Row {
    [row(key, left), vec![Cell::Null, Cell::Null]].concat()
}

#[test]
fn later_changes_of_the_table_leave_what_was_given_out() {
    let mut running = Running::new(true);
    running.step(&[(row("x", 1), 1)], &[]);
    running.step(&[], &[(row("x", 10), 1)]);
    running.step(&[(row("x", 2), 1)], &[]);
    running.step(&[], &[(row("x", 10), -1), (row("x", 11), 1)]);
    running.step(&[(row("x", 3), 1)], &[(row("x", 12), 1)]);
    let expected = [
        (alone("x", 1), 1),
        (pair("x", 2, 10), 1),
        (pair("x", 3, 11), 1),
        (pair("x", 3, 12), 1),
    ];
    assert_eq!(running.rows(), expected);
}

#[test]
fn a_left_row_that_goes_takes_back_what_the_oldest_of_its_kind_was_given() {
    let mut running = Running::new(false);
    running.step(&[(row("x", 1), 1)], &[(row("x", 10), 1)]);
    running.step(
        &[(row("x", 1), 2)],
        &[(row("x", 10), -1), (row("x", 11), 2)],
    );
    assert_eq!(
        running.rows(),
        [(pair("x", 1, 10), 1), (pair("x", 1, 11), 4)]
    );
    running.step(&[(row("x", 1), -2)], &[(row("x", 11), -2)]);
    assert_eq!(running.rows(), [(pair("x", 1, 11), 2)]);
    running.step(&[(row("x", 1), -1)], &[]);
    assert_eq!(running.rows(), []);
    assert_eq!(running.join.state_rows(), 0);
}

#[test]
fn a_left_side_that_never_takes_a_row_back_is_not_kept() {
    let mut join = Lookup::new(config(false)).unwrap();
    assert!(join.learn_append_only(&[true, false]));
    let inputs = [
        vec![delta_of(&side("a"), &[(row("x", 1), 1)]).unwrap()],
        vec![delta_of(&side("b"), &[(row("x", 10), 1)]).unwrap()],
    ];
    join.step(&inputs, &mut StepContext::default()).unwrap();
    assert_eq!(join.state_rows(), 1);
}

/// What each copy of a left row was given.
type Copies = BTreeMap<Row, VecDeque<Vec<(Row, i64)>>>;

/// One step, copy by copy.
fn expect(outer: bool, step: &Step, right: &mut Table, copies: &mut Copies, output: &mut Table) {
    for (row, weight) in &step[1] {
        add(right, row.clone(), *weight);
    }
    let mut left = Table::new();
    for (row, weight) in &step[0] {
        add(&mut left, row.clone(), *weight);
    }
    for (row, weight) in left {
        let queue = copies.entry(row.clone()).or_default();
        for _ in 0..weight.max(0) {
            let equal = |other: &&Row| row[0] != Cell::Null && other[0] == row[0];
            let there = right
                .iter()
                .filter(|(other, weight)| **weight > 0 && equal(other));
            let mut given: Vec<(Row, i64)> = there
                .map(|(other, weight)| ([row.clone(), other.clone()].concat(), *weight))
                .collect();
            if given.is_empty() && outer {
                given.push(([row.clone(), vec![Cell::Null, Cell::Null]].concat(), 1));
            }
            for (pair, weight) in &given {
                add(output, pair.clone(), *weight);
            }
            queue.push_back(given);
        }
        for _ in weight..0 {
            for (pair, weight) in queue.pop_front().unwrap() {
                add(output, pair, -weight);
            }
        }
    }
}

/// `history` without what takes back a left row that is not there.
fn never_below_zero(mut history: Vec<Step>) -> Vec<Step> {
    let mut there = Table::new();
    for step in &mut history {
        for (row, weight) in &mut step[0] {
            *weight = (*weight).max(-there.get(row).copied().unwrap_or(0));
            add(&mut there, row.clone(), *weight);
        }
        step[0].retain(|(_, weight)| *weight != 0);
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn lookups_give_and_take_back_as_copies_would(
        history in histories(&[side("a"), side("b")], 5),
        outer: bool,
    ) {
        let history = never_below_zero(history);
        let mut running = Running::new(outer);
        let (mut right, mut copies, mut output) = (Table::new(), Copies::new(), Table::new());
        for step in &history {
            running.step(&step[0], &step[1]);
            expect(outer, step, &mut right, &mut copies, &mut output);
            prop_assert_eq!(&running.output, &output);
        }
        let sums = integral(2, &history);
        let gone = |table: &Table| -> Vec<(Row, i64)> {
            table.iter().map(|(row, weight)| (row.clone(), -weight)).collect()
        };
        running.step(&gone(&sums[0]), &gone(&sums[1]));
        prop_assert_eq!(running.rows(), vec![]);
        prop_assert_eq!(running.join.state_rows(), 0);
    }
}
