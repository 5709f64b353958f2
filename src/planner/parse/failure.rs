//! The parser's failures in the words of PostgreSQL, with line and column.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::TokenizerError;

use crate::base::{Error, Kind};

/// What a statement that would nest too deep is answered with (54001).
pub fn too_deep() -> Error {
    Error::new(Kind::Limit, "54001", "stack depth limit exceeded").with_hint(
        "the statement nests too deep or chains too many operators: use IN (...) or = ANY (...) for long \
         lists, and VALUES, UNION of fewer parts or several statements for the rest",
    )
}

impl From<ParserError> for Error {
    fn from(error: ParserError) -> Self {
        match error {
            ParserError::RecursionLimitExceeded => too_deep(),
            ParserError::TokenizerError(text) | ParserError::ParserError(text) => reword(&text),
        }
    }
}

impl From<TokenizerError> for Error {
    fn from(error: TokenizerError) -> Self {
        reword(&error.to_string())
    }
}

/// `Expected: X, found: Y at Line: 1, Column: 2` becomes `syntax error at or near "Y" (line 1, column 2)`
/// with the detail `expected X`.
fn reword(text: &str) -> Error {
    let (what, place) = match text.rsplit_once(" at Line: ") {
        Some((what, place)) => {
            let place = place.to_lowercase().replace("column: ", "column ");
            (what, format!(" (line {place})"))
        }
        None => (text, String::new()),
    };
    let parts = what
        .strip_prefix("Expected: ")
        .and_then(|rest| rest.rsplit_once(", found: "));
    match parts {
        Some((expected, "EOF")) => Error::syntax(format!("syntax error at end of input{place}"))
            .with_detail(format!("expected {expected}")),
        Some((expected, found)) => {
            Error::syntax(format!("syntax error at or near \"{found}\"{place}"))
                .with_detail(format!("expected {expected}"))
        }
        None => Error::syntax(format!("syntax error: {what}{place}")),
    }
}
