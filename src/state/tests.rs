//! An arrangement against a map, through merging and rewriting of chunks.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{AsArray, Int64Array, RecordBatch, StringViewArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use proptest::collection::vec;
use proptest::prelude::{ProptestConfig, prop_assert, prop_assert_eq, proptest};

use super::{Arrangement, Keyed, Keys};
use crate::zset::hash::row_hashes;
use crate::zset::{Delta, consolidate, gather, merge};

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("k", DataType::Int64, true),
        Field::new("v", DataType::Utf8View, true),
    ]))
}

fn delta(rows: &[(i64, i64, i64)]) -> Delta {
    let keys = Int64Array::from_iter_values(rows.iter().map(|row| row.0));
    let values =
        StringViewArray::from_iter_values(rows.iter().map(|row| format!("a long value {}", row.1)));
    let batch = RecordBatch::try_new(schema(), vec![Arc::new(keys), Arc::new(values)]).unwrap();
    Delta::new(batch, rows.iter().map(|row| row.2).collect::<Int64Array>()).unwrap()
}

fn apply(arrangement: &mut Arrangement, rows: &[(i64, i64, i64)]) {
    for piece in merge(&[delta(rows)]).unwrap() {
        let mut hashes = Vec::new();
        row_hashes(&piece.batch.columns()[..1], piece.rows(), &mut hashes).unwrap();
        arrangement.apply(&piece, Some(&hashes), None).unwrap();
    }
}

/// The sum of weights under each key, by looking every key up.
fn by_key(arrangement: &Arrangement, keys: std::ops::Range<i64>) -> BTreeMap<i64, (usize, i64)> {
    let columns = [Arc::new(Int64Array::from_iter_values(keys)) as _];
    let mut hashes = Vec::new();
    let rows = arrow::array::Array::len(&columns[0]);
    row_hashes(&columns, rows, &mut hashes).unwrap();
    let mut found = BTreeMap::new();
    let keys = Keys {
        columns: &columns,
        hashes: &hashes,
    };
    arrangement
        .probe(keys, 0..rows, &mut |probing, slots| {
            let stored = arrangement.gather(slots, &[0]).unwrap();
            let stored = stored[0].as_primitive::<Int64Type>();
            for (index, slot) in slots.iter().enumerate() {
                let key = columns[0].as_primitive::<Int64Type>();
                let key = key.value(usize::try_from(probing[index]).unwrap());
                assert_eq!(stored.value(index), key);
                let entry = found.entry(key).or_insert((0, 0));
                entry.0 += 1;
                entry.1 += arrangement.weight(*slot);
            }
            Ok(())
        })
        .unwrap();
    found
}

fn expected(rows: &BTreeMap<(i64, i64), i64>) -> BTreeMap<i64, (usize, i64)> {
    let mut keys = BTreeMap::new();
    for ((key, _), weight) in rows {
        let entry = keys.entry(*key).or_insert((0, 0));
        entry.0 += 1;
        entry.1 += weight;
    }
    keys
}

fn add(rows: &mut BTreeMap<(i64, i64), i64>, changes: &[(i64, i64, i64)]) {
    for (key, value, weight) in changes {
        *rows.entry((*key, *value)).or_insert(0) += weight;
    }
    rows.retain(|_, weight| *weight != 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_arrangement_is_a_map_of_rows_to_weights(
        steps in vec(vec((0..6_i64, 0..6_i64, -2..=2_i64), 0..12), 0..60)
    ) {
        let mut arrangement = Arrangement::new(schema(), Some(vec![0]));
        let mut rows = BTreeMap::new();
        for step in &steps {
            apply(&mut arrangement, step);
            add(&mut rows, step);
            prop_assert_eq!(arrangement.len(), rows.len());
        }
        prop_assert_eq!(by_key(&arrangement, 0..6), expected(&rows));
        let all: Vec<_> = rows.iter().map(|((k, v), w)| (*k, *v, -*w)).collect();
        let mut scanned = arrangement.scan().unwrap();
        scanned.push(delta(&all));
        prop_assert!(consolidate(&scanned).unwrap().is_empty());
    }
}

#[test]
fn rows_survive_the_rewriting_of_many_chunks() {
    let mut arrangement = Arrangement::new(schema(), Some(vec![0]));
    let mut rows = BTreeMap::new();
    for step in 0..400_i64 {
        let inserts: Vec<_> = (0..100)
            .map(|row| ((step * 7 + row) % 900, step, 1))
            .collect();
        let deletes: Vec<_> = (0..80)
            .map(|row| (((step - 3) * 7 + row) % 900, step - 3, -1))
            .collect();
        apply(&mut arrangement, &inserts);
        add(&mut rows, &inserts);
        if step >= 3 {
            apply(&mut arrangement, &deletes);
            add(&mut rows, &deletes);
        }
    }
    assert_eq!(arrangement.len(), rows.len());
    assert_eq!(by_key(&arrangement, 0..900), expected(&rows));
    let full = arrangement.bytes();
    let rest: Vec<_> = rows.iter().map(|((k, v), w)| (*k, *v, -*w)).collect();
    apply(&mut arrangement, &rest);
    assert!(arrangement.is_empty());
    assert!(arrangement.bytes() < full / 10);
}

#[test]
fn deleted_rows_do_not_hold_their_memory() {
    let mut arrangement = Arrangement::new(schema(), Some(vec![0]));
    let rows: Vec<_> = (0..20_000).map(|row| (row, row, 1)).collect();
    apply(&mut arrangement, &rows);
    let full = arrangement.bytes();
    for part in rows[..18_000].chunks(500) {
        let gone: Vec<_> = part.iter().map(|(k, v, _)| (*k, *v, -1)).collect();
        apply(&mut arrangement, &gone);
    }
    assert_eq!(arrangement.len(), 2_000);
    // A row's columns take 44 bytes and more; the arrays beside them keep their length.
    let freed = full.saturating_sub(arrangement.bytes());
    assert!(freed > 18_000 * 30, "{freed} of {full}");
}

/// Rows under keys. What comes once each goes in unmerged where that is allowed.
struct ByKey(Keyed);

impl ByKey {
    fn new() -> Self {
        Self(Keyed::new(schema(), vec![0], true))
    }

    fn apply(&mut self, rows: &[(i64, i64, i64)]) {
        let unmerged = self.0.takes_unmerged() && rows.iter().all(|row| row.2 == 1);
        let deltas = [delta(rows)];
        let pieces = if unmerged {
            gather(&deltas).unwrap()
        } else {
            merge(&deltas).unwrap()
        };
        for piece in pieces {
            let mut hashes = Vec::new();
            row_hashes(&piece.batch.columns()[..1], piece.rows(), &mut hashes).unwrap();
            if unmerged {
                self.0.insert(piece.batch.columns(), &hashes, None).unwrap();
            } else {
                self.0.apply(&piece, &hashes, None).unwrap();
            }
        }
    }

    /// The sum of weights of each row, by looking every key up.
    fn rows(&self, keys: std::ops::Range<i64>) -> BTreeMap<(i64, String), i64> {
        let columns = [Arc::new(Int64Array::from_iter_values(keys.clone())) as _];
        let count = arrow::array::Array::len(&columns[0]);
        let mut hashes = Vec::new();
        row_hashes(&columns, count, &mut hashes).unwrap();
        let looked_up = Keys {
            columns: &columns,
            hashes: &hashes,
        };
        let mut found = BTreeMap::new();
        self.0
            .probe(looked_up, 0..count, &mut |probing, slots| {
                let stored = self.0.gather(slots, &[0, 1]).unwrap();
                let texts = stored[1].as_string_view();
                for (index, slot) in slots.iter().enumerate() {
                    let key = keys.start + i64::from(probing[index]);
                    assert_eq!(stored[0].as_primitive::<Int64Type>().value(index), key);
                    *found
                        .entry((key, texts.value(index).to_owned()))
                        .or_insert(0) += self.0.weight(*slot);
                }
                Ok(())
            })
            .unwrap();
        found.retain(|_, weight| *weight != 0);
        found
    }
}

fn with_texts(rows: &BTreeMap<(i64, i64), i64>) -> BTreeMap<(i64, String), i64> {
    let text = |((key, value), weight): (&(i64, i64), &i64)| {
        ((*key, format!("a long value {value}")), *weight)
    };
    rows.iter().map(text).collect()
}

fn opposite(rows: &BTreeMap<(i64, i64), i64>) -> Vec<(i64, i64, i64)> {
    rows.iter().map(|((k, v), w)| (*k, *v, -*w)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn rows_by_key_sum_up_in_any_order(
        steps in vec((vec((0..4_i64, 0..4_i64, -2..=2_i64), 0..12), 0..3_u8), 0..60)
    ) {
        let mut keyed = ByKey::new();
        let mut rows = BTreeMap::new();
        for (step, kind) in steps {
            // two of three steps bring rows once each, as they come in life
            let step: Vec<_> = match kind {
                0 => step,
                _ => step.into_iter().map(|(key, value, _)| (key, value, 1)).collect(),
            };
            keyed.apply(&step);
            add(&mut rows, &step);
            prop_assert_eq!(keyed.rows(0..4), with_texts(&rows));
        }
        keyed.apply(&opposite(&rows));
        prop_assert!(keyed.0.is_empty(), "{} slots are left", keyed.0.len());
    }
}

#[test]
fn rows_of_one_key_are_found_by_an_index_once_that_pays() {
    let mut keyed = ByKey::new();
    let mut rows = BTreeMap::new();
    let all: Vec<_> = (0..9_000).map(|row| (row % 2, row / 3, 1)).collect();
    keyed.apply(&all);
    add(&mut rows, &all);
    assert!(keyed.0.takes_unmerged(), "nothing was looked for yet");
    for part in 0..40 {
        // from the middle on, which is the farthest from both ends of a chain
        let changes: Vec<_> = (0..60)
            .map(|row| 3_300 + part * 60 + row)
            .flat_map(|row| [(row % 2, row / 3, -1), (row % 2, 10_000 + row, 1)])
            .collect();
        keyed.apply(&changes);
        add(&mut rows, &changes);
    }
    assert!(
        !keyed.0.takes_unmerged(),
        "chains of 4,500 rows want an index"
    );
    let again: Vec<_> = rows.keys().take(500).map(|(k, v)| (*k, *v, 1)).collect();
    let slots = keyed.0.len();
    keyed.apply(&again);
    add(&mut rows, &again);
    assert_eq!(keyed.0.len(), slots, "equal rows meet");
    assert_eq!(keyed.rows(0..2), with_texts(&rows));
    keyed.apply(&opposite(&rows));
    assert!(keyed.0.is_empty());
    assert!(
        keyed.0.bytes() < 1_000,
        "{} bytes are left",
        keyed.0.bytes()
    );
}
