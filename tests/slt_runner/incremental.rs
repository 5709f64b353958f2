//! A file whose queries are materialized views from before the first row.

use super::batch::{self, failure};
use super::compare;
use super::records::{Expect, Step};
use super::session::{Output, Session};

/// What is done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Step so and so, as it stands.
    Run(usize),
    /// Makes the view of query so and so.
    Create(usize),
    /// Compares the view of query so and so with the query's answer.
    Compare(usize),
    /// Deletes all rows and puts them back; compares all views before, in between and after.
    Churn,
    /// Drops all views, so that what they read can be dropped.
    Drop,
}

/// The actions for a file.
///
/// A view is made as early as it can be: after the last statement before its query that is no change of
/// rows. Tables that are made and never dropped come first, so that most views are there before any row.
/// A statement that drops or alters parts the file: views end there.
pub(crate) fn plan(steps: &[Step]) -> Vec<Action> {
    let drops = steps
        .iter()
        .any(|step| leading(&step.sql, &["drop", "alter"]));
    let early = |step: &Step| !drops && succeeds(step) && leading(&step.sql, &["create table"]);
    let mut actions: Vec<Action> = Vec::new();
    let mut order: Vec<usize> = Vec::new();
    order.extend((0..steps.len()).filter(|k| early(&steps[*k])));
    order.extend((0..steps.len()).filter(|k| !early(&steps[*k])));
    let mut barrier = 0;
    let mut open = false;
    for k in order {
        let step = &steps[k];
        if is_view(step) {
            actions.insert(barrier, Action::Create(k));
            barrier += 1;
            open = true;
            actions.push(Action::Compare(k));
            continue;
        }
        let changes = leading(
            &step.sql,
            &["insert", "update", "delete", "truncate", "flush"],
        );
        let reads = matches!(step.expect, Expect::Rows { .. } | Expect::Error(_));
        if leading(&step.sql, &["drop", "alter"]) && open {
            actions.extend([Action::Churn, Action::Drop]);
            open = false;
        }
        actions.push(Action::Run(k));
        if !changes && !reads {
            barrier = actions.len();
        }
    }
    if open {
        actions.extend([Action::Churn, Action::Drop]);
    }
    actions
}

/// Is this a query that becomes a view?
fn is_view(step: &Step) -> bool {
    matches!(step.expect, Expect::Rows { .. })
        && leading(&step.sql, &["select", "with", "values", "("])
}

fn succeeds(step: &Step) -> bool {
    !matches!(step.expect, Expect::Error(_))
}

/// Does the statement begin with one of these?
fn leading(sql: &str, words: &[&str]) -> bool {
    let begin: Vec<String> = sql
        .split_whitespace()
        .take(3)
        .map(str::to_ascii_lowercase)
        .collect();
    let begin = begin.join(" ");
    words.iter().any(|word| begin.starts_with(word))
}

/// Runs a file by its plan.
pub(crate) async fn run(session: &mut dyn Session, steps: &[Step]) -> Result<(), String> {
    let mut views: Vec<usize> = Vec::new();
    for action in plan(steps) {
        match action {
            Action::Run(k) => {
                let step = &steps[k];
                if matches!(step.expect, Expect::Rows { .. }) {
                    settle(session, step).await?;
                }
                batch::one(session, step).await?;
            }
            Action::Create(k) => {
                create(session, &steps[k], k).await?;
                views.push(k);
            }
            Action::Compare(k) => {
                let step = &steps[k];
                settle(session, step).await?;
                compare_view(session, step, k).await?;
            }
            Action::Churn => churn(session, steps, &views).await?,
            Action::Drop => {
                for k in views.drain(..) {
                    let sql = format!("DROP MATERIALIZED VIEW {}", name(k));
                    session
                        .run(&sql)
                        .await
                        .map_err(|e| failure(&steps[k], &e.to_string()))?;
                }
            }
        }
    }
    Ok(())
}

fn name(k: usize) -> String {
    format!("slt_view_{k}")
}

async fn settle(session: &mut dyn Session, step: &Step) -> Result<(), String> {
    session
        .settle()
        .await
        .map_err(|error| failure(step, &format!("flush: {error}")))
}

/// The view of a query. Its columns are numbered: a query may give two of them one name.
async fn create(session: &mut dyn Session, step: &Step, k: usize) -> Result<(), String> {
    let Expect::Rows { width, .. } = step.expect else {
        return Ok(());
    };
    let columns: Vec<String> = (1..=width).map(|column| format!("c{column}")).collect();
    let query = step.sql.trim().trim_end_matches(';');
    let sql = format!(
        "CREATE MATERIALIZED VIEW {} ({}) AS {query}",
        name(k),
        columns.join(", ")
    );
    session
        .run(&sql)
        .await
        .map_err(|error| failure(step, &format!("as a model: {error}")))?;
    Ok(())
}

async fn compare_view(session: &mut dyn Session, step: &Step, k: usize) -> Result<(), String> {
    let Expect::Rows { lines, .. } = &step.expect else {
        return Ok(());
    };
    let got = rows(session, &format!("SELECT * FROM {}", name(k))).await;
    let got = got.map_err(|error| failure(step, &format!("reading the model: {error}")))?;
    compare::same(&got, lines, false)
        .map_err(|reason| failure(step, &format!("the model differs: {reason}")))
}

/// The rows of a query as lines.
async fn rows(session: &mut dyn Session, sql: &str) -> Result<Vec<String>, String> {
    match session.run(sql).await {
        Ok(Output::Rows(rows)) => Ok(compare::lines(&rows)),
        Ok(Output::Done(_)) => Err("no rows from a query".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// All rows out, all rows in again.
async fn churn(session: &mut dyn Session, steps: &[Step], views: &[usize]) -> Result<(), String> {
    let tables = tables(session, steps).await?;
    let before = contents(session, steps, views).await?;
    for (table, _) in &tables {
        done(session, &format!("DELETE FROM {table}")).await?;
    }
    let empty = contents(session, steps, views).await?;
    for (k, lines) in &empty {
        // A query that fails over nothing has no answer to compare with.
        if let Ok(expected) = rows(session, &steps[*k].sql).await {
            compare::same(lines, &expected, false).map_err(|reason| {
                failure(
                    &steps[*k],
                    &format!("over no rows the model differs: {reason}"),
                )
            })?;
        }
    }
    for (table, inserts) in &tables {
        for insert in inserts {
            done(session, &format!("INSERT INTO {table} VALUES {insert}")).await?;
        }
    }
    let after = contents(session, steps, views).await?;
    for ((k, before), (_, after)) in before.iter().zip(&after) {
        compare::same(after, before, false).map_err(|reason| {
            failure(
                &steps[*k],
                &format!("after the rows went and came: {reason}"),
            )
        })?;
    }
    Ok(())
}

async fn done(session: &mut dyn Session, sql: &str) -> Result<(), String> {
    session
        .run(sql)
        .await
        .map(|_| ())
        .map_err(|error| format!("churn: {error}\n  in: {sql}"))
}

/// The views with what they hold now.
async fn contents(
    session: &mut dyn Session,
    steps: &[Step],
    views: &[usize],
) -> Result<Vec<(usize, Vec<String>)>, String> {
    session
        .settle()
        .await
        .map_err(|error| format!("flush: {error}"))?;
    let mut held = Vec::new();
    for k in views {
        let lines = rows(session, &format!("SELECT * FROM {}", name(*k))).await;
        held.push((*k, lines.map_err(|error| failure(&steps[*k], &error))?));
    }
    Ok(held)
}

/// The tables of the file that are there now, each with its rows as lists of literals. Tables that a
/// connector fills are left alone.
async fn tables(
    session: &mut dyn Session,
    steps: &[Step],
) -> Result<Vec<(String, Vec<String>)>, String> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for step in steps.iter().filter(|step| succeeds(step)) {
        if !leading(&step.sql, &["create table"]) || step.sql.contains("connector") {
            continue;
        }
        let rest = step
            .sql
            .trim_start()
            .get("create table".len()..)
            .unwrap_or("");
        let end = rest.find('(').unwrap_or(rest.len());
        let table = rest.get(..end).unwrap_or("").trim().to_owned();
        if found.iter().any(|(name, _)| *name == table) {
            continue;
        }
        // Not there any more, or not yet: nothing to churn.
        if let Ok(Output::Rows(rows)) = session.run(&format!("SELECT * FROM {table}")).await {
            let inserts = rows.chunks(500).map(|rows| {
                let tuples: Vec<String> = rows.iter().map(|row| literals(row)).collect();
                tuples.join(", ")
            });
            found.push((table, inserts.collect()));
        }
    }
    Ok(found)
}

/// A row as literals: texts that the columns' types read.
fn literals(row: &[Option<String>]) -> String {
    let values: Vec<String> = row
        .iter()
        .map(|value| {
            value.as_ref().map_or_else(
                || "NULL".to_owned(),
                |text| format!("'{}'", text.replace('\'', "''")),
            )
        })
        .collect();
    format!("({})", values.join(", "))
}
