//! A file's records, in the runner's own words.

use std::path::Path;

use sqllogictest::{
    Condition, DefaultColumnType, ExpectedError, QueryExpect, Record, SortMode, StatementExpect,
};

/// One thing to do.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// `file:line`.
    pub(crate) place: String,
    pub(crate) sql: String,
    pub(crate) expect: Expect,
}

/// What should come of it.
#[derive(Clone, Debug)]
pub(crate) enum Expect {
    /// No error.
    Success,
    /// So many rows touched.
    Count(u64),
    /// This error.
    Error(ExpectedError),
    /// These rows: a line each, values parted by blanks.
    Rows {
        lines: Vec<String>,
        width: usize,
        ordered: bool,
    },
}

/// Reads a file; records that `onlyif` or `skipif` take away for these labels are left out.
pub(crate) fn read(path: &Path, labels: &[&str]) -> Result<Vec<Step>, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    steps(&text, &path.to_string_lossy(), labels)
}

/// The steps of a file's text.
pub(crate) fn steps(text: &str, name: &str, labels: &[&str]) -> Result<Vec<Step>, String> {
    let records = sqllogictest::parse_with_name::<DefaultColumnType>(text, name)
        .map_err(|error| error.to_string())?;
    let mut steps = Vec::new();
    for record in records {
        match record {
            Record::Statement {
                loc,
                conditions,
                sql,
                expected,
                ..
            } if runs(&conditions, labels) => {
                let expect = match expected {
                    StatementExpect::Ok => Expect::Success,
                    StatementExpect::Count(count) => Expect::Count(count),
                    StatementExpect::Error(error) => Expect::Error(error),
                };
                steps.push(Step {
                    place: place(&loc),
                    sql,
                    expect,
                });
            }
            Record::Query {
                loc,
                conditions,
                sql,
                expected,
                ..
            } if runs(&conditions, labels) => {
                steps.push(Step {
                    place: place(&loc),
                    sql,
                    expect: query(expected),
                });
            }
            Record::Halt { .. } => break,
            Record::System { loc, .. } | Record::Sleep { loc, .. } => {
                return Err(format!(
                    "{loc}: commands and pauses have no place in these tests"
                ));
            }
            _ => {}
        }
    }
    Ok(steps)
}

fn query(expected: QueryExpect<DefaultColumnType>) -> Expect {
    match expected {
        QueryExpect::Error(error) => Expect::Error(error),
        QueryExpect::Results {
            types,
            sort_mode,
            results,
            ..
        } => Expect::Rows {
            lines: results,
            width: types.len(),
            ordered: sort_mode.is_none_or(|mode| mode == SortMode::NoSort),
        },
    }
}

fn place(location: &sqllogictest::Location) -> String {
    format!("{}:{}", location.file(), location.line())
}

fn runs(conditions: &[Condition], labels: &[&str]) -> bool {
    conditions.iter().all(|condition| match condition {
        Condition::OnlyIf { label } => labels.contains(&label.as_str()),
        Condition::SkipIf { label } => !labels.contains(&label.as_str()),
    })
}
