//! Consolidation, hashes and bytes of deltas.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Date32Array, DictionaryArray, Float64Array, Int16Array,
    Int64Array, ListArray, RecordBatch, StringArray, StringViewArray, StructArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Float64Type, Int32Type, Schema, SchemaRef};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::encode::{decode_delta, encode_delta};
use super::equal::RowEqual;
use super::hash::partition_hashes;
use super::{Delta, Merged, consolidate, differences, gather, merge, net};
use crate::base::Kind;
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Table, add_deltas, delta_of, integral};

fn mixed() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("b", DataType::Boolean, true),
        Field::new("i", DataType::Int64, true),
        Field::new("f", DataType::Float64, true),
        Field::new("t", DataType::Utf8View, true),
        Field::new("s", DataType::Utf8, true),
    ]))
}

fn ints(values: Vec<i64>) -> RecordBatch {
    let schema = Schema::new(vec![Field::new("i", DataType::Int64, true)]);
    RecordBatch::try_new(Arc::new(schema), vec![Arc::new(Int64Array::from(values))]).unwrap()
}

fn sum(deltas: &[Delta]) -> Table {
    let mut table = Table::new();
    add_deltas(&mut table, deltas).unwrap();
    table
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn consolidation_keeps_the_sum_and_leaves_each_row_once(
        history in histories(&[mixed()], 30)
    ) {
        let deltas: Vec<Delta> =
            history.iter().map(|step| delta_of(&mixed(), &step[0]).unwrap()).collect();
        let expected = integral(1, &history).remove(0);
        let merged = consolidate(&deltas).unwrap();
        prop_assert_eq!(merged.iter().map(Delta::rows).sum::<usize>(), expected.len());
        prop_assert_eq!(&sum(&merged), &expected);
        prop_assert_eq!(&sum(&net(&deltas).unwrap()), &expected);
        prop_assert!(differences(&deltas, &deltas).unwrap().is_empty());
    }

    #[test]
    fn bytes_give_the_delta_back(history in histories(&[mixed()], 30)) {
        for step in history {
            let delta = delta_of(&mixed(), &step[0]).unwrap();
            let back = decode_delta(&mixed(), &bytes_of(&delta)).unwrap();
            prop_assert_eq!(back.rows(), delta.rows());
            prop_assert_eq!(sum(&[back]), sum(&[delta]));
        }
    }

    #[test]
    fn damaged_bytes_never_panic(
        history in histories(&[mixed()], 8),
        damage in proptest::collection::vec((any::<u16>(), any::<u8>()), 1..6),
        cut in any::<u16>(),
    ) {
        for step in history {
            let delta = delta_of(&mixed(), &step[0]).unwrap();
            let mut bytes = bytes_of(&delta);
            let short = &bytes[..usize::from(cut) % bytes.len()];
            prop_assert_eq!(decode_delta(&mixed(), short).unwrap_err().kind(), Kind::Corrupt);
            for (at, value) in &damage {
                let at = usize::from(*at) % bytes.len();
                bytes[at] = *value;
            }
            if let Ok(delta) = decode_delta(&mixed(), &bytes) {
                // What was read must at least be safe to look at.
                consolidate(&[delta]).unwrap();
            }
        }
    }

    #[test]
    fn any_bytes_at_all_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode_delta(&mixed(), &bytes).is_err());
    }
}

#[test]
fn equal_rows_merge_across_pieces_of_a_large_delta() {
    let values: Vec<i64> = (0..200_000).map(|row| row % 150_000).collect();
    let merged = consolidate(&[Delta::inserts(ints(values))]).unwrap();
    assert_eq!(merged.iter().map(Delta::rows).sum::<usize>(), 150_000);
    let total = |delta: &Delta| (0..delta.rows()).map(|row| delta.weight(row)).sum::<i64>();
    assert_eq!(merged.iter().map(total).sum::<i64>(), 200_000);
}

fn bytes_of(delta: &Delta) -> Vec<u8> {
    encode_delta(delta).unwrap().concat()
}

#[test]
fn rows_of_fixed_width_are_equal_where_their_values_are() {
    let moments =
        |values: Vec<Option<i64>>| Arc::new(TimestampMicrosecondArray::from(values)) as ArrayRef;
    let floats = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
    let left = [
        moments(vec![Some(1), Some(2), Some(3)]),
        floats(vec![0.5, f64::NAN, 1.0]),
    ];
    let right = [
        moments(vec![Some(9), Some(1), Some(2), Some(3)]).slice(1, 3),
        floats(vec![0.5, f64::NAN, 2.0]),
    ];
    let equal = RowEqual::new(&left, &right).unwrap();
    let found: Vec<bool> = (0..3).map(|row| equal.equal(row, row)).collect();
    assert_eq!(found, [true, true, false]);
    let known = moments(vec![Some(1), None]);
    let equal = RowEqual::new([&known], [&known]).unwrap();
    assert!(equal.equal(1, 1) && !equal.equal(0, 1));
}

#[test]
fn one_row_that_becomes_another_is_net_and_one_that_stays_is_gone() {
    let gone = Delta::deletes(ints(vec![7]));
    let come = |value| Delta::inserts(ints(vec![value]));
    assert_eq!(net(&[gone.clone(), come(8)]).unwrap().len(), 2);
    assert!(net(&[gone.clone(), come(7)]).unwrap().is_empty());
    let twice = Delta::new(ints(vec![7]), Int64Array::from(vec![2])).unwrap();
    let left = net(&[gone, twice]).unwrap();
    assert_eq!((left.len(), left[0].weight(0)), (1, 1));
}

#[test]
fn large_deltas_are_gathered_as_they_are() {
    let large = || Delta::inserts(ints((0..10_000).collect()));
    let small = || Delta::inserts(ints(vec![1, 2, 3]));
    let pieces = gather(&[small(), small(), large(), small(), large(), small()]).unwrap();
    let rows: Vec<usize> = pieces.iter().map(Merged::rows).collect();
    assert_eq!(rows, [6, 10_000, 3, 10_000, 3]);
}

#[test]
fn large_columns_are_not_copied() {
    let batch = ints((0..10_000).collect());
    let column = batch.column(0).to_data().buffers()[0].clone();
    let weights = Int64Array::from_iter_values((0..10_000).map(|row| row % 3 - 1));
    let delta = Delta::new(batch.clone(), weights).unwrap();
    let pieces = encode_delta(&delta).unwrap();
    assert!(pieces.iter().any(|piece| piece.as_ptr() == column.as_ptr()));
    let back = decode_delta(&batch.schema(), &pieces.concat()).unwrap();
    assert_eq!(back.batch(), delta.batch());
    assert!(differences(&[back], &[delta]).unwrap().is_empty());
    let small = Delta::inserts(batch.slice(5, 3));
    assert_eq!(encode_delta(&small).unwrap().len(), 1);
}

#[test]
fn a_column_of_dictionaries_comes_back_as_one() {
    let words: DictionaryArray<Int32Type> = ["a", "b", "a"].into_iter().collect();
    let schema = Schema::new(vec![Field::new("d", words.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(words)]).unwrap();
    let delta = Delta::deletes(batch.clone());
    let back = decode_delta(&batch.schema(), &bytes_of(&delta)).unwrap();
    assert_eq!(back.batch().schema(), batch.schema());
    assert!(differences(&[back], &[delta]).unwrap().is_empty());
}

#[test]
fn zeros_and_nans_are_equal_inside_lists_and_structs() {
    let list = |value: f64| -> ArrayRef {
        let rows = vec![Some(vec![Some(value), None])];
        Arc::new(ListArray::from_iter_primitive::<Float64Type, _, _>(rows))
    };
    let nested = |value: f64| {
        let list = list(value);
        let inner = Arc::new(Field::new("l", list.data_type().clone(), true));
        let row: ArrayRef = Arc::new(StructArray::from(vec![(inner, list)]));
        let schema = Schema::new(vec![Field::new("s", row.data_type().clone(), true)]);
        RecordBatch::try_new(Arc::new(schema), vec![row]).unwrap()
    };
    for (left, right) in [(0.0, -0.0), (f64::NAN, -f64::NAN)] {
        let left = [Delta::inserts(nested(left))];
        assert!(
            differences(&left, &[Delta::inserts(nested(right))])
                .unwrap()
                .is_empty()
        );
    }
}

#[test]
fn a_weight_past_64_bits_is_an_error() {
    let many = Int64Array::from(vec![i64::MAX]);
    let delta = Delta::new(ints(vec![1]), many).unwrap();
    assert_eq!(
        merge(&[delta.clone(), delta]).unwrap_err().kind(),
        Kind::Limit
    );
}

#[test]
fn rows_without_columns_are_all_equal() {
    let schema: SchemaRef = Arc::new(Schema::empty());
    let rows = super::batch_of(&schema, Vec::new(), 3).unwrap();
    let merged = consolidate(&[Delta::inserts(rows.clone()), Delta::inserts(rows)]).unwrap();
    assert_eq!((merged[0].rows(), merged[0].weight(0)), (1, 6));
}

/// These numbers are on disk in every data folder: they must never change.
#[test]
fn partition_hashes_are_pinned() {
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "int",
            Arc::new(Int64Array::from(vec![Some(1), Some(-5), None])),
        ),
        (
            "short",
            Arc::new(Int16Array::from(vec![Some(1), Some(-5), None])),
        ),
        (
            "float",
            Arc::new(Float64Array::from(vec![
                Some(-0.0),
                Some(0.0),
                Some(-f64::NAN),
            ])),
        ),
        (
            "bool",
            Arc::new(BooleanArray::from(vec![Some(true), Some(false), None])),
        ),
        (
            "text",
            Arc::new(StringArray::from(vec![Some("a"), Some(""), None])),
        ),
        (
            "view",
            Arc::new(StringViewArray::from(vec![Some("a"), Some(""), None])),
        ),
        (
            "date",
            Arc::new(Date32Array::from(vec![Some(1), Some(-5), None])),
        ),
        (
            "time",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1),
                Some(-5),
                None,
            ])),
        ),
    ];
    let hashes = |name: &str| {
        let column = columns.iter().find(|(other, _)| *other == name).unwrap();
        partition_hashes(&[Arc::clone(&column.1)], 3).unwrap()
    };
    assert_eq!(hashes("int"), PINNED_INTS);
    assert_eq!(hashes("text"), PINNED_TEXTS);
    for same in ["short", "date", "time"] {
        assert_eq!(hashes(same), hashes("int"), "{same}");
    }
    assert_eq!(hashes("view"), hashes("text"));
    assert_eq!(hashes("float")[0], hashes("float")[1]);
    assert_ne!(hashes("bool")[0], hashes("bool")[1]);
    assert_eq!(hashes("bool")[2], hashes("int")[2]);
}

const PINNED_INTS: [u64; 3] = [
    9_972_108_661_492_480_446,
    12_429_810_153_892_835_474,
    14_144_645_293_874_801_883,
];
const PINNED_TEXTS: [u64; 3] = [
    2_905_637_939_793_131_809,
    3_547_760_990_396_968_576,
    14_144_645_293_874_801_883,
];
