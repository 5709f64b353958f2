//! A failing case as a sqllogictest file.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::changes::{Change, Epoch, tables_of, words};
use super::kinds::{Kind, text};
use super::run::Failure;
use super::tables::{TABLES, VIEWS};
use crate::testing::sql_laws::Row;

/// The file for `sql` and `epochs`; `seed` and `failure` are told in its comment.
pub(super) fn file(sql: &str, epochs: &[Epoch], seed: u64, failure: &Failure) -> String {
    let mut out = format!(
        "# Lotic only. Found by random queries (seed {seed}): {}.\n",
        failure.law
    );
    let kept = kept_columns(sql, epochs);
    for table in tables_of(sql) {
        let of = &TABLES[table];
        let create = of.create(|column| kept[&table].iter().any(|at| of.columns[*at].0 == column));
        statement(&mut out, &create);
    }
    for (view, query, _) in VIEWS {
        if words(sql).any(|word| word == view) {
            statement(&mut out, &format!("CREATE VIEW {view} AS {query}"));
        }
    }
    statement(&mut out, &format!("CREATE MATERIALIZED VIEW m AS {sql}"));
    check(&mut out);
    let mut held: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    for epoch in epochs {
        for change in epoch {
            let rows = held.entry(change.table).or_default();
            statement(&mut out, &of_change(change, rows, &kept[&change.table]));
        }
        check(&mut out);
    }
    out
}

fn statement(out: &mut String, sql: &str) {
    writeln!(out, "statement ok\n{sql}\n").unwrap();
}

fn check(out: &mut String) {
    writeln!(out, "statement count 0\nCHECK MATERIALIZED VIEW m\n").unwrap();
}

/// The columns that the query may read, or that are not NULL throughout.
fn kept_columns(sql: &str, epochs: &[Epoch]) -> BTreeMap<usize, Vec<usize>> {
    let mut texts = vec![sql];
    texts.extend(
        VIEWS
            .iter()
            .filter(|view| words(sql).any(|word| word == view.0))
            .map(|view| view.1),
    );
    let kept = TABLES.iter().enumerate().map(|(table, of)| {
        let columns = (0..of.columns.len()).filter(|at| {
            let (name, _, nullable) = of.columns[*at];
            let named = texts
                .iter()
                .any(|text| words(text).any(|word| word == name));
            let mut rows = epochs
                .iter()
                .flatten()
                .filter(|change| change.table == table);
            named || !nullable || rows.any(|change| !change.row[*at].is_null())
        });
        (table, columns.collect())
    });
    kept.collect()
}

fn of_change(change: &Change, held: &mut Vec<Row>, kept: &[usize]) -> String {
    let of = &TABLES[change.table];
    let value = |row: &Row, at: usize| text(of.columns[at].1, &row[at]);
    let tuple = |row: &Row| {
        let values: Vec<String> = kept.iter().map(|at| value(row, *at)).collect();
        format!("({})", values.join(", "))
    };
    if let Ok(copies) = usize::try_from(change.weight) {
        held.extend(std::iter::repeat_n(change.row.clone(), copies));
        let tuples = vec![tuple(&change.row); copies];
        return format!("INSERT INTO {} VALUES {}", of.name, tuples.join(", "));
    }
    let before = held.len();
    held.retain(|row| *row != change.row);
    let tests: Vec<String> = kept
        .iter()
        .filter(|at| of.columns[**at].1 != Kind::Ints || change.row[**at].is_null())
        .map(|at| {
            format!(
                "{} IS NOT DISTINCT FROM {}",
                of.columns[*at].0,
                value(&change.row, *at)
            )
        })
        .collect();
    let mut sql = format!("DELETE FROM {} WHERE {}", of.name, tests.join(" AND "));
    let copies = before - held.len() - 1;
    if copies > 0 {
        held.extend(std::iter::repeat_n(change.row.clone(), copies));
        let tuples = vec![tuple(&change.row); copies];
        write!(
            sql,
            "\n\nstatement ok\nINSERT INTO {} VALUES {}",
            of.name,
            tuples.join(", ")
        )
        .unwrap();
    }
    sql
}
