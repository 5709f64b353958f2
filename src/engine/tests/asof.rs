//! ASOF joins against their law.

use arrow::datatypes::{DataType, SchemaRef};
use proptest::prelude::{Just, ProptestConfig, TestCaseError, prop_oneof, proptest};

use super::schema;
use crate::engine::operators::{AsofConfig, AsofJoin, AsofMatch};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Row, Subject, Table, add, check};

fn left() -> SchemaRef {
    schema(&[("k", DataType::Utf8View), ("at", DataType::Int64)])
}

fn right() -> SchemaRef {
    schema(&[
        ("v", DataType::Float64),
        ("at", DataType::Int64),
        ("k", DataType::Utf8View),
    ])
}

fn config(matching: AsofMatch, outer: bool, keyed: bool) -> AsofConfig {
    AsofConfig {
        left: left(),
        right: right(),
        keys: if keyed { vec![(0, 2)] } else { Vec::new() },
        times: (1, 1),
        matching,
        outer,
        schema: schema(&[
            ("k", DataType::Utf8View),
            ("at", DataType::Int64),
            ("v", DataType::Float64),
            ("right_at", DataType::Int64),
            ("right_k", DataType::Utf8View),
        ]),
    }
}

/// How far behind the left row a right one lies, where it matches.
fn distance(config: &AsofConfig, left: &Row, right: &Row) -> Option<i64> {
    let keys = config.keys.iter();
    let equal = |(l, r): &(usize, usize)| left[*l] != Cell::Null && left[*l] == right[*r];
    let (Cell::Int(from), Cell::Int(to)) = (&left[1], &right[1]) else {
        return None;
    };
    let compares = match config.matching {
        AsofMatch::AtOrBefore => from >= to,
        AsofMatch::Before => from > to,
        AsofMatch::AtOrBehind => from <= to,
        AsofMatch::Behind => from < to,
    };
    (compares && keys.clone().all(equal)).then_some((from - to).abs())
}

/// The order of values: numbers, then NaN, then NULL.
fn value(cell: &Cell) -> (bool, bool, f64) {
    match cell {
        Cell::Float(bits) => {
            let value = f64::from_bits(*bits);
            (
                false,
                value.is_nan(),
                if value.is_nan() { 0.0 } else { value },
            )
        }
        _ => (true, false, 0.0),
    }
}

fn expected(config: &AsofConfig, left: &Table, right: &Table) -> Table {
    let mut output = Table::new();
    for (row, weight) in left.iter().filter(|(_, weight)| **weight > 0) {
        let there = right.iter().filter(|(_, weight)| **weight > 0);
        let near = there.filter_map(|(other, _)| Some((distance(config, row, other)?, other)));
        let nearest = near.min_by(|(one, a), (two, b)| {
            // In one distance the keys differ by text alone where there are none to join by.
            let texts = |row: &Row| (row[2] == Cell::Null, row[2].clone());
            one.cmp(two)
                .then(value(&a[0]).partial_cmp(&value(&b[0])).unwrap())
                .then(texts(a).cmp(&texts(b)))
        });
        let mut row = row.clone();
        match nearest {
            Some((_, other)) => row.extend(other.iter().cloned()),
            None if config.outer => row.extend([Cell::Null, Cell::Null, Cell::Null]),
            None => continue,
        }
        add(&mut output, row, *weight);
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn asof_joins_obey_the_laws(
        history in histories(&[left(), right()], 5),
        matching in prop_oneof![
            Just(AsofMatch::AtOrBefore),
            Just(AsofMatch::Before),
            Just(AsofMatch::AtOrBehind),
            Just(AsofMatch::Behind),
        ],
        outer: bool,
        keyed: bool,
    ) {
        let config = config(matching, outer, keyed);
        let subject = Subject {
            operator: &|| Box::new(AsofJoin::new(config.clone()).unwrap()),
            inputs: vec![left(), right()],
            reference: &|tables| expected(&config, &tables[0], &tables[1]),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn keys_of_two_types_are_refused() {
    let config = AsofConfig {
        keys: vec![(0, 1)],
        ..config(AsofMatch::Before, false, true)
    };
    assert!(AsofJoin::new(config).is_err());
}
