//! Unnest against its law, over lists built from the columns of plain rows.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, FixedSizeListArray, Int64Array, ListArray, StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, Fields, Int64Type, SchemaRef};
use proptest::prelude::{ProptestConfig, TestCaseError, proptest};

use super::schema;
use crate::base::Result;
use crate::engine::operators::{EmptyList, ListColumn, Unnest, UnnestConfig};
use crate::engine::{Budget, Deltas, Operator, StepContext};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Subject, Table, add, check};
use crate::zset::{Delta, batch_of};

fn pairs() -> SchemaRef {
    schema(&[("a", DataType::Int64), ("b", DataType::Int64)])
}

/// `a` becomes the list of its first numbers (NULL stays NULL, 0 the empty list), in lists of any kind; `b` stays.
fn lists_of(lengths: &Int64Array, kind: &DataType) -> ArrayRef {
    let rows = lengths.iter().map(|length| {
        length.map(|length| {
            (0..length)
                .map(|item| (item != 1).then_some(item))
                .collect::<Vec<_>>()
        })
    });
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>(rows);
    cast(&list, kind).unwrap()
}

fn item() -> Arc<Field> {
    Arc::new(Field::new_list_field(DataType::Int64, true))
}

/// Unnest behind a step that turns the first column, or both, into lists.
struct Listed {
    unnest: Unnest,
    kind: DataType,
    both: bool,
}

impl Operator for Listed {
    fn name(&self) -> &'static str {
        "listed"
    }

    fn step(&mut self, inputs: &[Deltas], cx: &mut StepContext) -> Result<Deltas> {
        let listed = |delta: &Delta| {
            let columns = delta.batch().columns();
            let first = lists_of(columns[0].as_primitive(), &self.kind);
            let second = if self.both {
                lists_of(columns[1].as_primitive(), &self.kind)
            } else {
                Arc::clone(&columns[1])
            };
            let schema = schema(&[
                ("a", first.data_type().clone()),
                ("b", second.data_type().clone()),
            ]);
            delta.with_batch(batch_of(&schema, vec![first, second], delta.rows())?)
        };
        let lists = inputs[0].iter().map(listed).collect::<Result<Deltas>>()?;
        self.unnest.step(&[lists], cx)
    }
}

fn kinds() -> Vec<DataType> {
    vec![
        DataType::List(item()),
        DataType::LargeList(item()),
        DataType::ListView(item()),
        DataType::LargeListView(item()),
    ]
}

/// The elements of the list that `lists_of` makes of `cell`, and whether it is NULL.
fn elements(cell: &Cell) -> (Vec<Cell>, bool) {
    match cell {
        Cell::Int(length) => {
            let item = |item: i64| {
                if item == 1 {
                    Cell::Null
                } else {
                    Cell::Int(item)
                }
            };
            ((0..*length).map(item).collect(), false)
        }
        _ => (Vec::new(), true),
    }
}

fn rows_of(lists: &[&Cell], empty: EmptyList) -> usize {
    let rows = lists.iter().map(|cell| {
        let (elements, is_null) = elements(cell);
        let kept = empty == EmptyList::Keep || (empty == EmptyList::KeepNull && is_null);
        elements.len().max(usize::from(kept))
    });
    rows.max().unwrap_or(0)
}

fn expected(table: &Table, empty: EmptyList, both: bool) -> Table {
    let mut output = Table::new();
    for (row, weight) in table {
        let lists: Vec<&Cell> = row.iter().take(if both { 2 } else { 1 }).collect();
        for index in 0..rows_of(&lists, empty) {
            let at = |cell: &Cell| elements(cell).0.get(index).cloned().unwrap_or(Cell::Null);
            let second = if both { at(&row[1]) } else { row[1].clone() };
            add(&mut output, vec![at(&row[0]), second], *weight);
        }
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn unnest_obeys_its_laws(history in histories(&[pairs()], 6)) {
        for kind in kinds() {
            for empty in [EmptyList::Drop, EmptyList::KeepNull, EmptyList::Keep] {
                for both in [false, true] {
                    let lists = (0..if both { 2 } else { 1 })
                        .map(|index| ListColumn { index, depth: 1 })
                        .collect();
                    let config = UnnestConfig { lists, structs: Vec::new(), empty, schema: pairs() };
                    let subject = Subject {
                        operator: &|| Box::new(Listed {
                            unnest: Unnest::new(config.clone()),
                            kind: kind.clone(),
                            both,
                        }),
                        inputs: vec![pairs()],
                        reference: &|inputs| expected(&inputs[0], empty, both),
                    };
                    check(&subject, &history).map_err(TestCaseError::fail)?;
                }
            }
        }
    }
}

fn run(config: UnnestConfig, input: Delta) -> Delta {
    let mut output = Unnest::new(config)
        .step(&[vec![input]], &mut StepContext::default())
        .unwrap();
    assert_eq!(output.len(), 1);
    output.remove(0)
}

fn numbers(column: &ArrayRef) -> Vec<Option<i64>> {
    column.as_primitive::<Int64Type>().iter().collect()
}

#[test]
fn lists_of_fixed_size_are_opened_where_a_slice_begins() {
    let values: ArrayRef = Arc::new(Int64Array::from_iter_values(0..8));
    let nulls = NullBuffer::from(vec![true, false, true, true]);
    let lists = FixedSizeListArray::new(item(), 2, values, Some(nulls));
    let input = schema(&[("l", lists.data_type().clone())]);
    let batch = batch_of(&input, vec![Arc::new(lists)], 4).unwrap();
    let weights = Int64Array::from(vec![1, 7, -1, 2]);
    let config = UnnestConfig {
        lists: vec![ListColumn { index: 0, depth: 1 }],
        structs: Vec::new(),
        empty: EmptyList::KeepNull,
        schema: schema(&[("l", DataType::Int64)]),
    };
    let output = run(config, Delta::new(batch, weights).unwrap().slice(1, 3));
    assert_eq!(
        numbers(output.batch().column(0)),
        [None, Some(4), Some(5), Some(6), Some(7)]
    );
    let weights: Vec<i64> = (0..5).map(|row| output.weight(row)).collect();
    assert_eq!(weights, [7, -1, -1, 2, 2]);
}

#[test]
fn a_list_of_lists_is_opened_to_two_depths_at_once() {
    // [[1, 2], [3]], [], [NULL, [4]]
    let items = Int64Array::from_iter_values(1..=4);
    let inner = ListArray::new(
        item(),
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 3, 3, 4])),
        Arc::new(items),
        Some(NullBuffer::from(vec![true, true, false, true])),
    );
    let level = Arc::new(Field::new_list_field(inner.data_type().clone(), true));
    let outer = ListArray::new(
        level,
        OffsetBuffer::new(ScalarBuffer::from(vec![0, 2, 2, 4])),
        Arc::new(inner.clone()),
        None,
    );
    let input = schema(&[("l", outer.data_type().clone())]);
    let batch = batch_of(&input, vec![Arc::new(outer)], 3).unwrap();
    let config = UnnestConfig {
        lists: vec![
            ListColumn { index: 0, depth: 2 },
            ListColumn { index: 0, depth: 1 },
        ],
        structs: Vec::new(),
        empty: EmptyList::Drop,
        schema: schema(&[
            ("deep", DataType::Int64),
            ("flat", inner.data_type().clone()),
        ]),
    };
    let output = run(config, Delta::inserts(batch));
    // The first level gives each of the inner lists a row; the second opens each beside the whole list.
    assert_eq!(
        numbers(output.batch().column(0)),
        [Some(1), Some(2), Some(3), None, None, None, Some(4), None]
    );
    let flat = output.batch().column(1).as_list::<i32>();
    let lengths: Vec<Option<i32>> = (0..flat.len())
        .map(|row| flat.is_valid(row).then(|| flat.value_length(row)))
        .collect();
    let (first, last) = ([Some(2), Some(1)], [None, Some(1)]);
    assert_eq!(lengths, [first, first, last, last].concat());
}

#[test]
fn a_null_struct_has_null_fields() {
    let fields = Fields::from(vec![
        Field::new("x", DataType::Int64, true),
        Field::new("y", DataType::Int64, true),
    ]);
    let values = |from: i64| Arc::new(Int64Array::from_iter_values(from..from + 2)) as ArrayRef;
    let structs = StructArray::new(
        fields,
        vec![values(1), values(5)],
        Some(NullBuffer::from(vec![true, false])),
    );
    let input = schema(&[("k", DataType::Int64), ("s", structs.data_type().clone())]);
    let batch = batch_of(&input, vec![values(8), Arc::new(structs)], 2).unwrap();
    let config = UnnestConfig {
        lists: Vec::new(),
        structs: vec![1],
        empty: EmptyList::Drop,
        schema: schema(&[
            ("k", DataType::Int64),
            ("s.x", DataType::Int64),
            ("s.y", DataType::Int64),
        ]),
    };
    let output = run(config, Delta::deletes(batch));
    assert_eq!(numbers(output.batch().column(0)), [Some(8), Some(9)]);
    assert_eq!(numbers(output.batch().column(1)), [Some(1), None]);
    assert_eq!(numbers(output.batch().column(2)), [Some(5), None]);
    assert_eq!(output.weight(1), -1);
}

#[test]
fn what_lists_give_counts_against_the_budget() {
    let rows = 100;
    let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
        (0..rows).map(|_| Some((0..1_000).map(Some))),
    );
    let input = schema(&[("l", lists.data_type().clone())]);
    let batch = batch_of(&input, vec![Arc::new(lists)], rows).unwrap();
    let config = UnnestConfig {
        lists: vec![ListColumn { index: 0, depth: 1 }],
        structs: Vec::new(),
        empty: EmptyList::Drop,
        schema: schema(&[("l", DataType::Int64)]),
    };
    let mut unnest = Unnest::new(config);
    let mut cx = StepContext {
        budget: Some(Arc::new(Budget::new(1 << 20))),
        ..StepContext::default()
    };
    let input = vec![Delta::inserts(batch)];
    let output = unnest.step(std::slice::from_ref(&input), &mut cx).unwrap();
    assert_eq!(output.iter().map(Delta::rows).sum::<usize>(), 100_000);
    assert!(output.len() > 1, "large outputs come in several batches");
    cx.budget = Some(Arc::new(Budget::new(1 << 16)));
    assert_eq!(unnest.step(&[input], &mut cx).unwrap_err().code(), "53200");
}
