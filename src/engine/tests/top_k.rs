//! The first rows, of everything and of groups, against their laws.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, SchemaRef};
use proptest::prelude::{ProptestConfig, TestCaseError, prop_assert_eq, proptest};

use super::schema;
use crate::engine::operators::{GroupTopK, GroupTopKConfig, Numbering, OrderKey, RankColumn, TopK};
use crate::engine::{Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{
    Cell, Row, Step, Subject, Table, add, add_deltas, check, delta_of, integral, made_proper,
};

pub(super) fn mixed() -> SchemaRef {
    schema(&[
        ("i", DataType::Int64),
        ("f", DataType::Float64),
        ("t", DataType::Utf8View),
    ])
}

/// The order that the references sort by: column `column`, falling or rising, NULL first or last; then all columns, rising.
#[derive(Clone, Copy, Debug)]
pub(super) struct By {
    pub(super) column: usize,
    pub(super) falling: bool,
    pub(super) nulls_first: bool,
}

impl By {
    pub(super) fn key(self) -> OrderKey {
        OrderKey {
            column: self.column,
            options: SortOptions::new(self.falling, self.nulls_first),
        }
    }

    pub(super) fn keys(self, left: &Row, right: &Row) -> Ordering {
        compare(
            &left[self.column],
            &right[self.column],
            self.falling,
            self.nulls_first,
        )
    }

    fn rows(self, left: &Row, right: &Row) -> Ordering {
        left.iter()
            .zip(right)
            .fold(self.keys(left, right), |found, (left, right)| {
                found.then_with(|| compare(left, right, false, false))
            })
    }
}

fn compare(left: &Cell, right: &Cell, falling: bool, nulls_first: bool) -> Ordering {
    let ordering = match (left, right) {
        (Cell::Null, Cell::Null) => return Ordering::Equal,
        (Cell::Null, _) if nulls_first => return Ordering::Less,
        (Cell::Null, _) => return Ordering::Greater,
        (_, Cell::Null) if nulls_first => return Ordering::Greater,
        (_, Cell::Null) => return Ordering::Less,
        (Cell::Float(left), Cell::Float(right)) => {
            f64::from_bits(*left).total_cmp(&f64::from_bits(*right))
        }
        (left, right) => left.cmp(right),
    };
    if falling {
        ordering.reverse()
    } else {
        ordering
    }
}

/// Every copy of every row, in order.
pub(super) fn sorted<'a>(rows: impl Iterator<Item = (&'a Row, &'a i64)>, by: By) -> Vec<Row> {
    let mut copies: Vec<Row> = rows
        .flat_map(|(row, weight)| {
            std::iter::repeat_n(row.clone(), usize::try_from(*weight).unwrap_or(0))
        })
        .collect();
    copies.sort_by(|left, right| by.rows(left, right));
    copies
}

fn window(rows: &Table, by: By, skip: usize, fetch: Option<usize>) -> Table {
    let mut output = Table::new();
    let rows = sorted(rows.iter(), by).into_iter().skip(skip);
    for row in rows.take(fetch.unwrap_or(usize::MAX)) {
        add(&mut output, row, 1);
    }
    output
}

/// The rows of each group by column 0 whose rank is `first..=last`.
fn ranked(rows: &Table, by: By, config: &GroupTopKConfig) -> Table {
    let mut output = Table::new();
    let mut groups: Vec<&Cell> = rows.keys().map(|row| &row[0]).collect();
    groups.dedup();
    for group in groups {
        let rows = sorted(rows.iter().filter(|(row, _)| row[0] == *group), by);
        let (mut rank, mut dense) = (0, 0);
        for (place, row) in rows.iter().enumerate() {
            let place_number = u64::try_from(place).unwrap() + 1;
            if place == 0 || by.keys(&rows[place - 1], row).is_ne() {
                rank = place_number;
                dense += 1;
            }
            let number = match config.rank {
                Numbering::RowNumber => place_number,
                Numbering::Rank => rank,
                Numbering::DenseRank => dense,
            };
            if number < config.first || number > config.last {
                continue;
            }
            let mut row = row.clone();
            match config.column {
                RankColumn::Absent => {}
                RankColumn::Unread => row.push(Cell::Int(0)),
                RankColumn::Kept => row.push(Cell::Int(i64::try_from(number).unwrap())),
            }
            add(&mut output, row, 1);
        }
    }
    output
}

fn config(
    rank: Numbering,
    column: RankColumn,
    (first, last): (u64, u64),
    by: By,
) -> GroupTopKConfig {
    let mut columns: Vec<_> = mixed().fields().iter().map(Arc::clone).collect();
    if column != RankColumn::Absent {
        columns.push(Arc::new(arrow::datatypes::Field::new(
            "rank",
            DataType::Int64,
            false,
        )));
    }
    GroupTopKConfig {
        input: mixed(),
        group: vec![0],
        order: vec![by.key()],
        rank,
        first,
        last,
        column,
        schema: Arc::new(arrow::datatypes::Schema::new(columns)),
    }
}

/// Steps `operator` through rows that only come, and compares after each step.
fn check_growing(
    mut operator: Box<dyn Operator>,
    history: &[Step],
    reference: impl Fn(&Table) -> Table,
) -> Result<(), TestCaseError> {
    operator.learn_append_only(&[true]);
    let mut output = Table::new();
    for (index, step) in history.iter().enumerate() {
        let delta = delta_of(&mixed(), &step[0]).unwrap();
        let half = delta.rows() / 2;
        let pieces = vec![delta.slice(0, half), delta.slice(half, delta.rows() - half)];
        let changes = operator
            .step(&[pieces], &mut StepContext::default())
            .unwrap();
        add_deltas(&mut output, &changes).unwrap();
        let rows = integral(1, &history[..=index]).remove(0);
        prop_assert_eq!(&output, &reference(&rows));
    }
    Ok(())
}

/// A history without rows that go.
fn growing(mut history: Vec<Step>) -> Vec<Step> {
    for (_, weight) in history.iter_mut().flatten().flatten() {
        *weight = weight.abs();
    }
    history
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn top_k_obeys_its_laws(
        history in histories(&[mixed()], 12),
        column in 0..3_usize,
        falling: bool,
        nulls_first: bool,
        skip in 0..5_usize,
        fetch in proptest::option::of(1..6_usize),
    ) {
        let by = By { column, falling, nulls_first };
        let subject = Subject {
            operator: &|| {
                Box::new(TopK::new(&mixed(), mixed(), &[by.key()], skip, fetch).unwrap())
            },
            inputs: vec![mixed()],
            reference: &|inputs| window(&inputs[0], by, skip, fetch),
        };
        check(&subject, &made_proper(1, history)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn group_top_k_obeys_its_laws(
        history in histories(&[mixed()], 12),
        falling: bool,
        nulls_first: bool,
        first in 1..3_u64,
        width in 0..3_u64,
        rank in 0..3_usize,
        column in 0..3_usize,
    ) {
        let by = By { column: 1, falling, nulls_first };
        let rank = [Numbering::RowNumber, Numbering::Rank, Numbering::DenseRank][rank];
        let column = [RankColumn::Absent, RankColumn::Unread, RankColumn::Kept][column];
        let config = config(rank, column, (first, first + width), by);
        let subject = Subject {
            operator: &|| Box::new(GroupTopK::new(config.clone()).unwrap()),
            inputs: vec![mixed()],
            reference: &|inputs| ranked(&inputs[0], by, &config),
        };
        check(&subject, &made_proper(1, history)).map_err(TestCaseError::fail)?;
    }

    #[test]
    fn first_rows_of_what_only_grows_obey_the_same_law(
        history in histories(&[mixed()], 12),
        falling: bool,
        nulls_first: bool,
        first in 1..3_u64,
        width in 0..3_u64,
        rank in 0..3_usize,
        column in 0..3_usize,
    ) {
        let by = By { column: 1, falling, nulls_first };
        let rank = [Numbering::RowNumber, Numbering::Rank, Numbering::DenseRank][rank];
        let column = [RankColumn::Absent, RankColumn::Unread, RankColumn::Kept][column];
        let config = config(rank, column, (first, first + width), by);
        let history = growing(history);
        let operator = Box::new(GroupTopK::new(config.clone()).unwrap());
        check_growing(operator, &history, |rows| ranked(rows, by, &config))?;
        let (skip, fetch) = (usize::try_from(first).unwrap() - 1, usize::try_from(width).unwrap() + 1);
        let operator = TopK::new(&mixed(), mixed(), &[by.key()], skip, Some(fetch)).unwrap();
        check_growing(Box::new(operator), &history, |rows| window(rows, by, skip, Some(fetch)))?;
    }
}

#[test]
fn a_group_of_many_rows_keeps_its_order_while_rows_come_and_go() {
    let by = By {
        column: 1,
        falling: true,
        nulls_first: false,
    };
    for rank in [Numbering::RowNumber, Numbering::DenseRank] {
        let config = config(rank, RankColumn::Kept, (2, 40), by);
        let mut operator = GroupTopK::new(config.clone()).unwrap();
        let row = |number: i64| {
            let value = f64::from(i32::try_from(number * 7_919 % 2_003).unwrap());
            vec![
                Cell::Int(number % 2),
                Cell::float(value),
                Cell::Text(format!("row {number}")),
            ]
        };
        let mut history: Vec<Step> = Vec::new();
        let mut output = Table::new();
        for step in 0..10_i64 {
            let coming = (step * 700..(step + 1) * 700).map(|number| (row(number), 1));
            let going = (0..step * 700).filter(|number| number % 9 == step - 1);
            let rows: Vec<(Row, i64)> = coming
                .chain(going.map(|number| (row(number), -1)))
                .collect();
            let changes = vec![delta_of(&mixed(), &rows).unwrap()];
            let changes = operator
                .step(&[changes], &mut StepContext::default())
                .unwrap();
            add_deltas(&mut output, &changes).unwrap();
            history.push(vec![rows]);
            let rows = integral(1, &history).remove(0);
            assert_eq!(operator.state_rows(), rows.len());
            assert_eq!(output, ranked(&rows, by, &config));
        }
        for step in history.iter().rev() {
            let back = delta_of(&mixed(), &step[0]).unwrap().negate();
            let changes = operator
                .step(&[vec![back]], &mut StepContext::default())
                .unwrap();
            add_deltas(&mut output, &changes).unwrap();
        }
        assert!(output.is_empty());
        assert_eq!(operator.state_rows(), 0);
    }
}
