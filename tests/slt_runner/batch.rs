//! A file as it stands.

use super::compare;
use super::records::{Expect, Step};
use super::session::{Output, Session, SqlError};

/// Runs the steps in order, up to the first that does not do what it should.
pub(crate) async fn run(session: &mut dyn Session, steps: &[Step]) -> Result<(), String> {
    for step in steps {
        if !session.reads_its_writes() && matches!(step.expect, Expect::Rows { .. }) {
            session
                .settle()
                .await
                .map_err(|error| failure(step, &error.to_string()))?;
        }
        one(session, step).await?;
    }
    Ok(())
}

/// One step, compared with what it should do.
pub(crate) async fn one(session: &mut dyn Session, step: &Step) -> Result<(), String> {
    let outcome = session.run(&step.sql).await;
    judge(step, outcome).map_err(|reason| failure(step, &reason))
}

fn judge(step: &Step, outcome: Result<Output, SqlError>) -> Result<(), String> {
    match (&step.expect, outcome) {
        (Expect::Error(expected), Err(error)) => {
            if expected.is_match(&error.message, Some(&error.sqlstate)) {
                return Ok(());
            }
            Err(format!("another error than expected: {error}"))
        }
        (Expect::Error(_), Ok(_)) => Err("no error, although one was expected".to_owned()),
        (_, Err(error)) => Err(error.to_string()),
        (Expect::Success, Ok(_)) => Ok(()),
        (Expect::Count(expected), Ok(output)) => {
            let count = match output {
                Output::Done(count) => count,
                Output::Rows(rows) => rows.len().try_into().unwrap_or(u64::MAX),
            };
            if count == *expected {
                return Ok(());
            }
            Err(format!("{count} rows, expected {expected}"))
        }
        (
            Expect::Rows {
                lines,
                width,
                ordered,
            },
            Ok(Output::Rows(rows)),
        ) => {
            if let Some(row) = rows.iter().find(|row| row.len() != *width) {
                return Err(format!("{} columns, expected {width}", row.len()));
            }
            compare::same(&compare::lines(&rows), lines, *ordered)
        }
        (Expect::Rows { .. }, Ok(Output::Done(_))) => Err("no rows from a query".to_owned()),
    }
}

/// A reason with its place and its SQL.
pub(crate) fn failure(step: &Step, reason: &str) -> String {
    format!("{}: {reason}\n  in: {}", step.place, step.sql)
}
