//! Session windows against their law.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use proptest::prelude::{ProptestConfig, TestCaseError, proptest};

use super::schema;
use crate::engine::operators::{Session, SessionBound, SessionConfig};
use crate::testing::laws::strategy::histories;
use crate::testing::laws::{Cell, Row, Subject, Table, add, check};

fn input() -> SchemaRef {
    schema(&[
        ("k", DataType::Utf8View),
        ("at", DataType::Int64),
        ("v", DataType::Int64),
    ])
}

fn config(gap: i64, bounds: &[SessionBound]) -> SessionConfig {
    let mut fields = vec![
        ("k", DataType::Utf8View),
        ("at", DataType::Int64),
        ("v", DataType::Int64),
    ];
    fields.extend(bounds.iter().map(|bound| match bound {
        SessionBound::Start => ("first", DataType::Int64),
        SessionBound::End => ("end", DataType::Int64),
    }));
    SessionConfig {
        input: input(),
        group: vec![0],
        time: 1,
        gap,
        bounds: bounds.to_vec(),
        schema: schema(&fields),
    }
}

/// The window of a time: from there to both sides as long as there is another within the gap.
fn window(times: &[i64], time: i64, gap: i64) -> (i64, i64) {
    let (mut first, mut last) = (time, time);
    loop {
        let before = times.iter().filter(|at| **at < first && first - **at < gap);
        let behind = times.iter().filter(|at| **at > last && **at - last < gap);
        match (before.min(), behind.max()) {
            (None, None) => return (first, last + gap),
            (before, behind) => {
                first = before.copied().unwrap_or(first);
                last = behind.copied().unwrap_or(last);
            }
        }
    }
}

fn expected(rows: &Table, config: &SessionConfig) -> Table {
    let mut times: BTreeMap<&Cell, Vec<i64>> = BTreeMap::new();
    let there = || rows.iter().filter(|(_, weight)| **weight > 0);
    for (row, _) in there() {
        if let Cell::Int(time) = row[1] {
            times.entry(&row[0]).or_default().push(time);
        }
    }
    let mut output = Table::new();
    for (row, weight) in there() {
        let window = match row[1] {
            Cell::Int(time) => Some(window(&times[&row[0]], time, config.gap)),
            _ => None,
        };
        let mut row: Row = row.clone();
        for bound in &config.bounds {
            row.push(match (window, bound) {
                (None, _) => Cell::Null,
                (Some((first, _)), SessionBound::Start) => Cell::Int(first),
                (Some((_, end)), SessionBound::End) => Cell::Int(end),
            });
        }
        add(&mut output, row, *weight);
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sessions_obey_the_laws(
        history in histories(&[input()], 6),
        gap in 1..4_i64,
        bounds in 0..3_usize,
    ) {
        let bounds = match bounds {
            0 => vec![SessionBound::Start],
            1 => vec![SessionBound::End],
            _ => vec![SessionBound::Start, SessionBound::End],
        };
        let config = config(gap, &bounds);
        let subject = Subject {
            operator: &|| Box::new(Session::new(config.clone()).unwrap()),
            inputs: vec![input()],
            reference: &|tables| expected(&tables[0], &config),
        };
        check(&subject, &history).map_err(TestCaseError::fail)?;
    }
}

#[test]
fn times_of_fewer_bits_are_refused() {
    let narrow = SessionConfig {
        input: schema(&[("at", DataType::Int32)]),
        group: Vec::new(),
        time: 0,
        ..config(1, &[])
    };
    assert!(Session::new(narrow.clone()).is_err());
    let wide = SessionConfig {
        input: Arc::new(schema(&[("at", DataType::Int64)]).as_ref().clone()),
        ..narrow
    };
    assert!(Session::new(wide).is_ok());
}
