//! Windows against their law, for functions that look at all rows that their reach allows and at no others.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use proptest::prelude::{Just, ProptestConfig, Strategy, TestCaseError, prop_oneof, proptest};

use super::top_k::{By, mixed, sorted};
use crate::base::{Error, Result};
use crate::engine::operators::{Extent, Reach, Window, WindowConfig, WindowFunction};
use crate::engine::{Budget, Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{
    Cell, Row, Subject, Table, add, add_deltas, check, delta_of, integral, made_proper,
};
use crate::zset::Delta;

/// A number that tells the rows of the frame and their order: the sum of each row's number, weighed by its place as
/// counted from the row that asks. Where it is divisible by `fails`, there is no value.
#[derive(Clone, Copy, Debug)]
struct Weighed {
    by: By,
    reach: Reach,
    fails: Option<i64>,
}

impl Weighed {
    fn frame(self, rows: &[Row], row: usize) -> Range<usize> {
        let far = |extent: Extent, places: &mut dyn Iterator<Item = usize>| {
            let (mut passed, mut groups, mut end) = (0, 0, row);
            let mut peer = row;
            for place in places {
                if self.by.keys(&rows[peer], &rows[place]).is_ne() {
                    groups += 1;
                    peer = place;
                }
                let within = match extent {
                    Extent::All => true,
                    Extent::Near {
                        rows: most,
                        groups: most_groups,
                        distance,
                    } => {
                        passed < most
                            || most_groups.is_some_and(|most| groups <= most)
                            || distance
                                .is_some_and(|most| self.is_near(&rows[row], &rows[place], most))
                    }
                };
                if !within {
                    break;
                }
                passed += 1;
                end = place;
            }
            end
        };
        let start = far(self.reach.back, &mut (0..row).rev());
        let end = far(self.reach.ahead, &mut (row + 1..rows.len()));
        start..end + 1
    }

    fn is_near(self, row: &Row, other: &Row, distance: i64) -> bool {
        match (&row[self.by.column], &other[self.by.column]) {
            (Cell::Int(value), Cell::Int(other)) => (value - other).abs() <= distance,
            _ => false,
        }
    }

    fn value(self, rows: &[Row], row: usize) -> Option<i64> {
        let number = |cell: &Cell| match cell {
            Cell::Int(number) => number + 2,
            _ => 1,
        };
        let sum = self
            .frame(rows, row)
            .map(|place| {
                let away = i64::try_from(place).unwrap() - i64::try_from(row).unwrap();
                number(&rows[place][0]) * (100 + 7 * away) + i64::from(rows[place][1] == Cell::Null)
            })
            .sum();
        self.fails.is_none_or(|by| sum % by != 0).then_some(sum)
    }
}

impl WindowFunction for Weighed {
    fn evaluate(
        &self,
        rows: &RecordBatch,
        asked: Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        let rows: Vec<Row> = (0..rows.num_rows())
            .map(|row| {
                let mut table = Table::new();
                add_deltas(&mut table, &[Delta::inserts(rows.slice(row, 1))]).unwrap();
                table.into_keys().next().unwrap()
            })
            .collect();
        let values = asked.map(|row| {
            let value = self.value(&rows, row);
            if value.is_none() {
                errors.push((row, Error::limit("divisible")));
            }
            value
        });
        Ok(Arc::new(values.collect::<Int64Array>()))
    }
}

/// The windows of rows with equal text.
fn config(weighed: Weighed) -> WindowConfig {
    let mut columns: Vec<_> = mixed().fields().iter().map(Arc::clone).collect();
    columns.push(Arc::new(Field::new("value", DataType::Int64, false)));
    WindowConfig {
        input: mixed(),
        partition: vec![2],
        order: vec![weighed.by.key()],
        functions: vec![Arc::new(weighed)],
        reach: weighed.reach,
        schema: Arc::new(Schema::new(columns)),
    }
}

fn expected(rows: &Table, weighed: Weighed) -> Table {
    let mut output = Table::new();
    let partition = |row: &Row| row[2].clone();
    let mut partitions: Vec<Cell> = rows.keys().map(partition).collect();
    partitions.sort();
    partitions.dedup();
    for text in partitions {
        let inside = rows.iter().filter(|(row, _)| partition(row) == text);
        let rows = sorted(inside, weighed.by);
        for (place, row) in rows.iter().enumerate() {
            if let Some(value) = weighed.value(&rows, place) {
                let mut row = row.clone();
                row.push(Cell::Int(value));
                add(&mut output, row, 1);
            }
        }
    }
    output
}

fn extents() -> impl Strategy<Value = Extent> {
    prop_oneof![
        Just(Extent::All),
        (0..4_usize).prop_map(Extent::rows),
        (0..3_usize).prop_map(Extent::groups),
        (0..4_usize, 0..3_usize).prop_map(|(rows, groups)| Extent::Near {
            rows,
            groups: Some(groups),
            distance: None,
        }),
    ]
}

/// As [`extents`], or a distance between integers.
fn extents_with_distances() -> impl Strategy<Value = Extent> {
    prop_oneof![
        extents(),
        (0..3_i64).prop_map(Extent::distance_of),
        (0..4_usize, 0..3_i64).prop_map(|(rows, distance)| Extent::Near {
            rows,
            groups: Some(0),
            distance: Some(distance),
        }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn windows_obey_their_laws(
        history in histories(&[mixed()], 24),
        back in extents(),
        ahead in extents(),
        column in 0..2_usize,
        falling: bool,
        nulls_first: bool,
        fails in proptest::option::of(2..5_i64),
    ) {
        let weighed = Weighed {
            by: By { column, falling, nulls_first },
            reach: Reach { back, ahead },
            fails,
        };
        let subject = Subject {
            operator: &|| Box::new(Window::new(config(weighed)).unwrap()),
            inputs: vec![mixed()],
            reference: &|inputs| expected(&inputs[0], weighed),
        };
        check(&subject, &made_proper(1, history)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn windows_by_distance_obey_their_laws(
        history in histories(&[mixed()], 24),
        back in extents_with_distances(),
        ahead in extents_with_distances(),
        falling: bool,
        nulls_first: bool,
    ) {
        let weighed = Weighed {
            by: By { column: 0, falling, nulls_first },
            reach: Reach { back, ahead },
            fails: None,
        };
        let subject = Subject {
            operator: &|| Box::new(Window::new(config(weighed)).unwrap()),
            inputs: vec![mixed()],
            reference: &|inputs| expected(&inputs[0], weighed),
        };
        check(&subject, &made_proper(1, history)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn rows_without_a_value_are_told_once(history in histories(&[mixed()], 12)) {
        let weighed = Weighed {
            by: By { column: 0, falling: false, nulls_first: false },
            reach: Reach { back: Extent::rows(1), ahead: Extent::NONE },
            fails: Some(2),
        };
        let history = made_proper(1, history);
        let mut window = Window::new(config(weighed)).unwrap();
        let (mut output, mut errors) = (Table::new(), Table::new());
        for step in &history {
            let mut cx = StepContext::default();
            let delta = delta_of(&mixed(), &step[0]).unwrap();
            let changes = window.step(&[vec![delta]], &mut cx).unwrap();
            for change in changes {
                let rows = change.with_batch(change.batch().project(&[0, 1, 2]).unwrap());
                add_deltas(&mut output, &[rows.unwrap()]).unwrap();
            }
            for error in cx.errors {
                let weight = Int64Array::from(vec![error.weight]);
                add_deltas(&mut errors, &[Delta::new(error.row, weight).unwrap()]).unwrap();
            }
        }
        for (row, weight) in errors {
            proptest::prop_assert!(weight > 0, "{row:?} is told {weight} times");
            add(&mut output, row, weight);
        }
        proptest::prop_assert_eq!(output, integral(1, &history).remove(0));
    }
}

/// Rows of one partition with the numbers `0..rows` in column 0 modulo 3 and in column 1.
fn plain(rows: i64) -> Delta {
    let number = |row: i64| Cell::float(f64::from(i32::try_from(row).unwrap()));
    let rows: Vec<(Row, i64)> = (0..rows)
        .map(|row| (vec![Cell::Int(row % 3), number(row), Cell::Null], 1))
        .collect();
    delta_of(&mixed(), &rows).unwrap()
}

#[test]
fn a_change_moves_only_the_rows_within_reach() {
    let weighed = Weighed {
        by: By {
            column: 1,
            falling: false,
            nulls_first: false,
        },
        reach: Reach {
            back: Extent::rows(2),
            ahead: Extent::rows(1),
        },
        fails: None,
    };
    let mut window = Window::new(config(weighed)).unwrap();
    let mut cx = StepContext::default();
    window.step(&[vec![plain(1_000)]], &mut cx).unwrap();
    let row = vec![Cell::Int(7), Cell::float(500.5), Cell::Null];
    let delta = delta_of(&mixed(), &[(row, 1)]).unwrap();
    let mut moved = Table::new();
    for change in window.step(&[vec![delta]], &mut cx).unwrap() {
        add_deltas(&mut moved, &[change]).unwrap();
    }
    // The row itself comes; one row before and two after it have new values.
    assert_eq!(moved.values().filter(|weight| **weight == 1).count(), 4);
    assert_eq!(moved.values().filter(|weight| **weight == -1).count(), 3);
}

#[test]
fn a_partition_larger_than_the_budget_stops_the_model() {
    let weighed = Weighed {
        by: By {
            column: 1,
            falling: false,
            nulls_first: false,
        },
        reach: Reach::ALL,
        fails: None,
    };
    let mut window = Window::new(config(weighed)).unwrap();
    let mut cx = StepContext {
        budget: Some(Arc::new(Budget::new(1 << 12))),
        ..StepContext::default()
    };
    let error = window.step(&[vec![plain(1_000)]], &mut cx).unwrap_err();
    assert_eq!(error.code(), "53200");
}
