//! The aggregate against a naive reference, and its laws under random deltas.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow::util::display::array_value_to_string;
use datafusion::logical_expr::Operator as BinaryOperator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{binary, col, lit};
use proptest::prelude::*;

use super::*;
use crate::engine::accumulate::{AggregateFunction, Evaluated, GroupError, GroupFunction, Reads};

/// Puts the numbers of a group together, in the order that they come in.
#[derive(Debug)]
struct Joined(Vec<DataType>);

impl GroupFunction for Joined {
    fn columns(&self) -> &[DataType] {
        &self.0
    }

    fn evaluate(
        &self,
        columns: &[ArrayRef],
        lengths: &[usize],
        errors: &mut Vec<GroupError>,
    ) -> Result<ArrayRef> {
        let numbers = columns[0].as_primitive::<Int64Type>();
        let mut from = 0;
        let joined = lengths.iter().enumerate().map(|(at, length)| {
            let texts: Vec<String> = numbers
                .slice(from, *length)
                .iter()
                .map(|n| n.map_or_else(|| "-".to_owned(), |n| n.to_string()))
                .collect();
            from += length;
            let joined = texts.join(",");
            if joined.contains(&format!("{0},{0}", i64::MIN)) {
                errors.push((at, Error::limit("too small")));
                return None;
            }
            (*length > 0).then_some(joined)
        });
        Ok(Arc::new(joined.collect::<StringArray>()))
    }
}

/// The numbers of a group, greatest first and NULLs last.
fn joined(reads: Reads) -> AggregateCall {
    let order = arrow::compute::SortOptions::default().desc().nulls_last();
    let mut call = call(AggregateFunction::Count, Some("n"), DataType::Utf8);
    call.form = CallForm::Evaluated(Evaluated {
        function: Arc::new(Joined(vec![DataType::Int64])),
        order: vec![order],
        reads,
    });
    call
}

fn input_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Utf8, true),
        Field::new("n", DataType::Int64, true),
        Field::new("x", DataType::Float64, true),
    ]))
}

fn call(function: AggregateFunction, arg: Option<&str>, output: DataType) -> AggregateCall {
    let schema = input_schema();
    AggregateCall {
        form: CallForm::Exact(function),
        args: arg.iter().map(|name| col(name, &schema).unwrap()).collect(),
        filter: None,
        distinct: false,
        field: Arc::new(Field::new(format!("{function:?}"), output, true)),
    }
}

fn aggregate(keys: &[&str]) -> Aggregate {
    let schema = input_schema();
    let positive = binary(
        col("n", &schema).unwrap(),
        BinaryOperator::Gt,
        lit(0_i64),
        &schema,
    )
    .unwrap();
    let mut filtered = call(AggregateFunction::CountRows, None, DataType::Int64);
    filtered.filter = Some(positive);
    let mut distinct = call(AggregateFunction::Sum, Some("x"), DataType::Float64);
    distinct.distinct = true;
    let calls = vec![
        call(AggregateFunction::CountRows, None, DataType::Int64),
        call(AggregateFunction::Sum, Some("n"), DataType::Int64),
        call(AggregateFunction::Min, Some("n"), DataType::Int64),
        call(AggregateFunction::Max, Some("n"), DataType::Int64),
        call(AggregateFunction::Sum, Some("x"), DataType::Float64),
        call(AggregateFunction::Max, Some("x"), DataType::Float64),
        filtered,
        distinct,
        joined(Reads::All),
        joined(Reads::First(2)),
        joined(Reads::Last),
    ];
    let group: Vec<Arc<dyn PhysicalExpr>> =
        keys.iter().map(|key| col(key, &schema).unwrap()).collect();
    let fields = keys
        .iter()
        .map(|key| Arc::new(schema.field_with_name(key).unwrap().clone()));
    let fields: Vec<FieldRef> = fields
        .chain(calls.iter().map(|call| Arc::clone(&call.field)))
        .collect();
    Aggregate::new(AggregateConfig {
        group,
        calls,
        schema: Arc::new(Schema::new(fields)),
    })
    .unwrap()
}

type Row = (Option<&'static str>, Option<i64>, Option<f64>);

fn delta(rows: &[(Row, i64)]) -> Delta {
    let columns: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|(row, _)| row.0).collect::<StringArray>()),
        Arc::new(rows.iter().map(|(row, _)| row.1).collect::<Int64Array>()),
        Arc::new(rows.iter().map(|(row, _)| row.2).collect::<Float64Array>()),
    ];
    let batch = RecordBatch::try_new(input_schema(), columns).unwrap();
    Delta::new(
        batch,
        rows.iter().map(|(_, weight)| Some(*weight)).collect(),
    )
    .unwrap()
}

#[derive(Default)]
struct Integral {
    rows: BTreeMap<String, i64>,
    errors: BTreeMap<String, i64>,
}

fn line(batch: &RecordBatch, row: usize) -> String {
    let values = batch.columns().iter().map(|column| {
        if column.is_null(row) {
            "NULL".to_owned()
        } else {
            array_value_to_string(column, row).unwrap()
        }
    });
    values.collect::<Vec<_>>().join("|")
}

impl Integral {
    fn step(&mut self, operator: &mut Aggregate, deltas: Deltas) {
        let mut cx = StepContext::default();
        for delta in operator.step(&[deltas], &mut cx).unwrap() {
            for row in 0..delta.rows() {
                add(&mut self.rows, line(delta.batch(), row), delta.weight(row));
            }
        }
        for error in cx.errors {
            let text = format!("{} {}", error.error.code(), line(&error.row, 0));
            add(&mut self.errors, text, error.weight);
        }
        assert!(
            self.rows.values().all(|weight| *weight == 1),
            "{:?}",
            self.rows
        );
    }
}

#[expect(clippy::needless_pass_by_value, reason = "the key is made for it")]
fn add(map: &mut BTreeMap<String, i64>, key: String, weight: i64) {
    let total = map.entry(key.clone()).or_insert(0);
    *total += weight;
    if *total == 0 {
        map.remove(&key);
    }
}

/// What the functions that put numbers together are given.
fn in_order(rows: &[Row]) -> Vec<String> {
    let mut sorted: Vec<Option<i64>> = rows.iter().map(|row| row.1).collect();
    // None sorts below every number, and so comes last
    sorted.sort_unstable_by(|a, b| b.cmp(a));
    let text = |n: &Option<i64>| n.map_or_else(|| "-".to_owned(), |n| n.to_string());
    sorted.iter().map(text).collect()
}

/// What SQL says, group by group, from the rows themselves; groups without a result are left out. Float sums only of values whose sums are exact.
fn reference(rows: &[(Row, i64)], global: bool) -> BTreeMap<String, i64> {
    let mut groups: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    if global {
        groups.insert(String::new(), Vec::new());
    }
    for (row, weight) in rows {
        let key = if global {
            String::new()
        } else {
            format!("{}|", row.0.unwrap_or("NULL"))
        };
        let group = groups.entry(key).or_default();
        for _ in 0..*weight {
            group.push(*row);
        }
        for _ in *weight..0 {
            let at = group
                .iter()
                .position(|held| format!("{held:?}") == format!("{row:?}"))
                .unwrap();
            group.swap_remove(at);
        }
    }
    let show = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
    let mut out = BTreeMap::new();
    for (key, rows) in groups {
        if rows.is_empty() && !global {
            continue;
        }
        let ints: Vec<i64> = rows.iter().filter_map(|row| row.1).collect();
        let sum: i128 = ints.iter().map(|n| i128::from(*n)).sum();
        if i64::try_from(sum).is_err() {
            continue;
        }
        let texts = in_order(&rows);
        if texts.join(",").contains(&format!("{0},{0}", i64::MIN)) {
            continue;
        }
        let text = |texts: &[String]| show((!texts.is_empty()).then(|| texts.join(",")));
        let floats: Vec<f64> = rows.iter().filter_map(|row| row.2).collect();
        let float = |values: &[f64]| {
            (!values.is_empty()).then(|| format!("{:?}", values.iter().sum::<f64>() + 0.0))
        };
        let mut different = floats.clone();
        different.sort_by(f64::total_cmp);
        different.dedup_by(|a, b| a == b);
        let line = [
            rows.len().to_string(),
            show((!ints.is_empty()).then(|| sum.to_string())),
            show(ints.iter().min().map(ToString::to_string)),
            show(ints.iter().max().map(ToString::to_string)),
            show(float(&floats)),
            show(
                floats
                    .iter()
                    .copied()
                    .reduce(f64::max)
                    .map(|value| format!("{:?}", value + 0.0)),
            ),
            ints.iter().filter(|n| **n > 0).count().to_string(),
            show(float(&different)),
            text(&texts),
            text(&texts[..texts.len().min(2)]),
            text(&texts[texts.len().saturating_sub(1)..]),
        ];
        out.insert(format!("{key}{}", line.join("|")), 1);
    }
    out
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let key = prop_oneof![Just(None), Just(Some("a")), Just(Some("b")), Just(Some(""))];
    let number = prop_oneof![
        Just(None),
        (-5..5_i64).prop_map(Some),
        Just(Some(i64::MAX)),
        Just(Some(i64::MIN))
    ];
    let float = prop_oneof![
        Just(None),
        Just(Some(-0.0)),
        (-8..8_i32).prop_map(|v| Some(f64::from(v) / 4.0))
    ];
    prop::collection::vec((key, number, float), 0..24)
}

proptest! {
    #[test]
    fn steps_of_any_size_integrate_to_the_batch_result(rows in rows(), removals in prop::collection::vec(any::<prop::sample::Index>(), 0..12), cuts in prop::collection::vec(0..40_usize, 0..6)) {
        for keys in [&["k"][..], &[], &["k", "x"]] {
            let global = keys.is_empty();
            let mut stream: Vec<(Row, i64)> = rows.iter().map(|row| (*row, 1)).collect();
            let mut left = rows.clone();
            for index in &removals {
                if !left.is_empty() {
                    stream.push((left.swap_remove(index.index(left.len())), -1));
                }
            }
            let mut operator = aggregate(keys);
            let mut integral = Integral::default();
            integral.step(&mut operator, Deltas::new());
            let mut cuts = cuts.clone();
            cuts.sort_unstable();
            let mut from = 0;
            for cut in cuts.into_iter().chain([stream.len()]) {
                let to = cut.clamp(from, stream.len());
                integral.step(&mut operator, vec![delta(&stream[from..to])]);
                from = to;
                if keys.len() < 2 {
                    prop_assert_eq!(&integral.rows, &reference(&stream[..to], global));
                }
            }
            // the same in one step, in another order
            let mut once = Integral::default();
            let mut other = aggregate(keys);
            let backwards: Vec<_> = stream.iter().rev().copied().collect();
            once.step(&mut other, vec![delta(&backwards)]);
            prop_assert_eq!(&integral.rows, &once.rows);
            prop_assert_eq!(&integral.errors, &once.errors);
            // everything taken back
            let back: Vec<_> = left.iter().map(|row| (*row, -1)).collect();
            integral.step(&mut operator, vec![delta(&back)]);
            prop_assert_eq!(&integral.rows, &reference(&[], global));
            prop_assert!(integral.errors.is_empty());
            prop_assert_eq!(operator.state_rows(), usize::from(global));
        }
    }
}

#[test]
fn a_group_out_of_range_is_reported_until_it_is_mended() {
    let mut operator = aggregate(&["k"]);
    let mut integral = Integral::default();
    let row: Row = (Some("a"), Some(i64::MAX), None);
    integral.step(&mut operator, vec![delta(&[(row, 1)])]);
    assert_eq!(integral.rows.len(), 1);
    integral.step(&mut operator, vec![delta(&[(row, 1)])]);
    assert_eq!(integral.rows.len(), 0);
    assert_eq!(integral.errors, BTreeMap::from([("22003 a".to_owned(), 1)]));
    integral.step(&mut operator, vec![delta(&[(row, -1)])]);
    assert_eq!(integral.rows.len(), 1);
    assert!(integral.errors.is_empty());
}

#[test]
fn calls_that_keep_the_same_share_it() {
    // min and max of n; the three that put n together
    let operator = aggregate(&["k"]);
    assert_eq!(operator.shared, [0, 1, 2, 2, 4, 5, 6, 7, 8, 8, 8]);
}

#[test]
fn a_group_whose_results_stay_gives_nothing() {
    let mut operator = aggregate(&["k"]);
    let mut cx = StepContext::default();
    let first = delta(&[((Some("a"), Some(1), Some(2.0)), 1)]);
    operator.step(&[vec![first]], &mut cx).unwrap();
    let same = delta(&[
        ((Some("a"), Some(1), Some(2.0)), 1),
        ((Some("a"), Some(1), Some(2.0)), -1),
    ]);
    assert!(operator.step(&[vec![same]], &mut cx).unwrap().is_empty());
}

#[test]
fn slots_of_vanished_groups_are_used_again() {
    let mut operator = aggregate(&["k", "n"]);
    let mut integral = Integral::default();
    for round in 0..50 {
        let row: Row = (Some("a"), Some(round), None);
        integral.step(&mut operator, vec![delta(&[(row, 1)])]);
        integral.step(&mut operator, vec![delta(&[(row, -1)])]);
    }
    assert!(integral.rows.is_empty());
    assert_eq!(operator.table.slots(), 1);
}
