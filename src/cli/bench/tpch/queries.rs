//! The 22 queries, with the validation parameters of the specification.

use crate::base::{Error, Kind, Result};

const TEXTS: [&str; 22] = [
    include_str!("queries/q01.sql"),
    include_str!("queries/q02.sql"),
    include_str!("queries/q03.sql"),
    include_str!("queries/q04.sql"),
    include_str!("queries/q05.sql"),
    include_str!("queries/q06.sql"),
    include_str!("queries/q07.sql"),
    include_str!("queries/q08.sql"),
    include_str!("queries/q09.sql"),
    include_str!("queries/q10.sql"),
    include_str!("queries/q11.sql"),
    include_str!("queries/q12.sql"),
    include_str!("queries/q13.sql"),
    include_str!("queries/q14.sql"),
    include_str!("queries/q15.sql"),
    include_str!("queries/q16.sql"),
    include_str!("queries/q17.sql"),
    include_str!("queries/q18.sql"),
    include_str!("queries/q19.sql"),
    include_str!("queries/q20.sql"),
    include_str!("queries/q21.sql"),
    include_str!("queries/q22.sql"),
];

/// One query.
#[derive(Clone, Debug)]
pub(super) struct Query {
    /// `q1` to `q22`; its model has the same name.
    pub(super) name: String,
    /// The statement.
    pub(super) sql: String,
}

impl Query {
    /// Whether it reads `table`.
    pub(super) fn reads(&self, table: &str) -> bool {
        let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        // the first line is a comment
        let body = self.sql.split_once('\n').map_or("", |(_, body)| body);
        body.split(|c| !is_of_name(c)).any(|word| word == table)
    }
}

/// All queries in order. The threshold of the 11th falls with the scale, as the specification wants.
pub(super) fn all(scale: f64) -> Vec<Query> {
    let fraction = format!("{:.12}", 0.0001 / scale);
    let query = |(number, text): (usize, &&str)| Query {
        name: format!("q{}", number + 1),
        sql: text.replace("${fraction}", &fraction),
    };
    TEXTS.iter().enumerate().map(query).collect()
}

/// The queries of these names, in their order; all where none, or `all`, is named.
///
/// # Errors
/// When there is no such query.
pub(super) fn chosen(scale: f64, names: &[String]) -> Result<Vec<Query>> {
    let mut queries = all(scale);
    if names.is_empty() || names.iter().any(|name| name == "all") {
        return Ok(queries);
    }
    for name in names {
        if !queries.iter().any(|query| query.name == *name) {
            let message = format!("there is no query \"{name}\"");
            return Err(Error::new(Kind::Missing, "42704", message).with_hint("q1 to q22, or all"));
        }
    }
    queries.retain(|query| names.contains(&query.name));
    Ok(queries)
}
