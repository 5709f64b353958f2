//! The random changes of a case: epochs of rows that come and go, which can be made fewer.

use std::collections::BTreeMap;

use super::choices::Choices;
use super::tables::{TABLES, TableOf};
use crate::testing::sql_laws::{Changes, Row};

/// Copies of a row that come (positive) or go.
#[derive(Clone, Debug)]
pub(super) struct Change {
    /// Where the table stands in [`TABLES`].
    pub(super) table: usize,
    pub(super) row: Row,
    pub(super) weight: i64,
}

/// The changes of one step.
pub(super) type Epoch = Vec<Change>;

/// The tables that `sql` reads, itself or by a view.
pub(super) fn tables_of(sql: &str) -> Vec<usize> {
    let words: Vec<&str> = words(sql).collect();
    let reads = |name: &str| {
        words.contains(&name)
            || super::tables::VIEWS.iter().any(|(view, query, _)| {
                words.contains(view) && self::words(query).any(|word| word == name)
            })
    };
    (0..TABLES.len())
        .filter(|at| reads(TABLES[*at].name))
        .collect()
}

/// The words of `sql`.
pub(super) fn words(sql: &str) -> impl Iterator<Item = &str> {
    sql.split(|part: char| !part.is_ascii_alphanumeric() && part != '_')
}

/// Random epochs over `tables`.
pub(super) fn history(choices: &mut Choices, tables: &[usize]) -> Vec<Epoch> {
    let mut held: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    let count = 3 + choices.below(4);
    let mut epochs = Vec::with_capacity(count);
    for at in 0..count {
        let mut epoch = Epoch::new();
        for table in tables {
            if at > 0 && choices.once_in(3) {
                continue;
            }
            let rows = held.entry(*table).or_default();
            let more = if at == 0 { 3 } else { 0 };
            changes_of(choices, *table, rows, more, &mut epoch);
        }
        epochs.push(epoch);
    }
    epochs
}

fn changes_of(
    choices: &mut Choices,
    table: usize,
    held: &mut Vec<Row>,
    more: usize,
    epoch: &mut Epoch,
) {
    let of = &TABLES[table];
    let mut change = |row: Row, weight: i64| epoch.push(Change { table, row, weight });
    for _ in 0..choices.below(4) + more {
        let row = random_row(choices, of);
        if of.key > 0
            && let Some(at) = held.iter().position(|old| old[..of.key] == row[..of.key])
        {
            change(std::mem::replace(&mut held[at], row.clone()), -1);
            change(row, 1);
            continue;
        }
        // Now and then a row comes twice: multiplicities are part of the law.
        let copies = if of.key == 0 && choices.once_in(4) {
            2
        } else {
            1
        };
        held.extend(std::iter::repeat_n(row.clone(), copies));
        change(row, i64::try_from(copies).unwrap());
    }
    for _ in 0..choices.below(3) {
        if held.is_empty() {
            break;
        }
        let gone = held.swap_remove(choices.below(held.len()));
        change(gone.clone(), -1);
        let column = of.key + choices.below(of.columns.len() - of.key);
        if choices.once_in(2) {
            let mut updated = gone;
            let (_, kind, nullable) = of.columns[column];
            updated[column] = kind.value(choices, nullable);
            held.push(updated.clone());
            change(updated, 1);
        }
    }
}

fn random_row(choices: &mut Choices, of: &TableOf) -> Row {
    let values = of.columns.iter();
    values
        .map(|(_, kind, nullable)| kind.value(choices, *nullable))
        .collect()
}

/// `epochs` without what no table could do: a row that goes but is not there, a key that comes twice.
pub(super) fn valid(epochs: &[Epoch]) -> Vec<Epoch> {
    let mut held: BTreeMap<usize, Vec<Row>> = BTreeMap::new();
    let keep = |change: &Change, held: &mut BTreeMap<usize, Vec<Row>>| {
        let rows = held.entry(change.table).or_default();
        let key = TABLES[change.table].key;
        let Ok(copies) = usize::try_from(change.weight) else {
            let at = rows.iter().position(|row| *row == change.row);
            return at.map(|at| rows.swap_remove(at)).is_some();
        };
        if key > 0 && rows.iter().any(|row| row[..key] == change.row[..key]) {
            return false;
        }
        rows.extend(std::iter::repeat_n(change.row.clone(), copies));
        true
    };
    let mut kept = Vec::with_capacity(epochs.len());
    for epoch in epochs {
        let epoch: Epoch = epoch
            .iter()
            .filter(|change| keep(change, &mut held))
            .cloned()
            .collect();
        kept.push(epoch);
    }
    kept
}

/// An epoch as the laws take it.
pub(super) fn by_table(epoch: &[Change]) -> Changes {
    let mut changes = Changes::new();
    for change in epoch {
        let name = TABLES[change.table].name.to_owned();
        let row = (change.row.clone(), change.weight);
        changes.entry(name).or_default().push(row);
    }
    changes
}

/// `epochs` with fewer epochs, fewer changes and duller values, for which `fails` still holds.
pub(super) fn shrink(
    mut epochs: Vec<Epoch>,
    mut fails: impl FnMut(&[Epoch]) -> bool,
) -> Vec<Epoch> {
    let mut attempt = |tried: Vec<Epoch>, epochs: &mut Vec<Epoch>| {
        let tried = valid(&tried);
        let better = fails(&tried);
        if better {
            *epochs = tried;
        }
        better
    };
    for at in (0..epochs.len()).rev() {
        let mut tried = epochs.clone();
        tried.remove(at);
        attempt(tried, &mut epochs);
    }
    let mut width = 8;
    while width > 0 {
        let mut start = 0;
        while start < epochs.iter().map(Vec::len).sum::<usize>() {
            let mut place = 0;
            let mut tried = epochs.clone();
            for epoch in &mut tried {
                epoch.retain(|_| {
                    place += 1;
                    place <= start || place > start + width
                });
            }
            if !attempt(tried, &mut epochs) {
                start += width;
            }
        }
        width /= 2;
    }
    for (table, of) in TABLES.iter().enumerate() {
        for (column, (_, kind, nullable)) in of.columns.iter().enumerate() {
            if column < of.key {
                continue;
            }
            let dull = if *nullable {
                kind.null()
            } else {
                kind.value(&mut Choices::replay(Vec::new()), false)
            };
            let mut tried = epochs.clone();
            let rows = tried
                .iter_mut()
                .flatten()
                .filter(|change| change.table == table);
            rows.for_each(|change| change.row[column] = dull.clone());
            attempt(tried, &mut epochs);
        }
    }
    epochs.retain(|epoch| !epoch.is_empty());
    epochs
}
