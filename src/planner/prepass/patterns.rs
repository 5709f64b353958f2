//! `a SIMILAR TO 'pattern'` as a match of the regular expression that the pattern means: DataFusion takes the pattern for one.

use sqlparser::ast::{BinaryOperator, Expr, UnaryOperator, Value};

use super::arrays::text_of;
use crate::base::{Error, Kind, Result};

/// Rewrites `expr` where it is such a match.
///
/// # Errors
/// 0A000 for a pattern that is no literal, 22019 for an escape of more than one letter, 22025 for a pattern that ends with it.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    let Expr::SimilarTo {
        negated,
        expr: tested,
        pattern,
        escape_char,
    } = expr
    else {
        return Ok(());
    };
    let pattern = text_of(pattern).ok_or_else(|| {
        Error::unsupported("SIMILAR TO with a pattern that is not a literal is not supported")
            .with_hint("use ~ with a regular expression")
    })?;
    let escape = match escape_char {
        None => Some('\\'),
        Some(value) => {
            let text = match &value.value {
                Value::SingleQuotedString(text) => text.as_str(),
                _ => return Err(one_letter()),
            };
            let mut letters = text.chars();
            match (letters.next(), letters.next()) {
                (letter, None) => letter,
                _ => return Err(one_letter()),
            }
        }
    };
    let regex = regex_of(pattern, escape)?;
    let matches = Expr::BinaryOp {
        left: tested.clone(),
        op: BinaryOperator::PGRegexMatch,
        right: Box::new(Expr::Value(Value::SingleQuotedString(regex).into())),
    };
    let matches = Expr::Nested(Box::new(matches));
    *expr = if *negated {
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr: Box::new(matches),
        }
    } else {
        matches
    };
    Ok(())
}

fn one_letter() -> Error {
    Error::new(
        Kind::Invalid,
        "22019",
        "an escape string is empty or one character",
    )
}

/// The whole text matches: `%` is any letters, `_` one; `| * + ? {} ()` and, within brackets, all but the escape are as in regular expressions.
fn regex_of(pattern: &str, escape: Option<char>) -> Result<String> {
    let mut regex = String::from("^(?s:");
    let mut in_brackets = false;
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            let literal = letters.next().ok_or_else(|| {
                Error::new(
                    Kind::Invalid,
                    "22025",
                    "a SIMILAR TO pattern must not end with its escape character",
                )
            })?;
            push_literal(&mut regex, literal);
            continue;
        }
        match letter {
            ']' if in_brackets => {
                in_brackets = false;
                regex.push(']');
            }
            '\\' => regex.push_str("\\\\"),
            '[' | '&' | '~' if in_brackets => {
                regex.push('\\');
                regex.push(letter);
            }
            letter if in_brackets => regex.push(letter),
            '[' => {
                in_brackets = true;
                regex.push('[');
            }
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '|' | '*' | '+' | '?' | '{' | '}' | '(' | ')' => regex.push(letter),
            other => push_literal(&mut regex, other),
        }
    }
    regex.push_str(")$");
    Ok(regex)
}

fn push_literal(regex: &mut String, letter: char) {
    const MEANING: &str = "\\.+*?()|[]{}^$#&-~";
    if MEANING.contains(letter) {
        regex.push('\\');
    }
    regex.push(letter);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_means_the_whole_text() {
        for (pattern, wanted) in [
            ("abc", "^(?s:abc)$"),
            ("%(b|d)%", "^(?s:.*(b|d).*)$"),
            ("a.c_", "^(?s:a\\.c.)$"),
            ("[a-c%]+", "^(?s:[a-c%]+)$"),
            ("[^a[]", "^(?s:[^a\\[])$"),
            ("\\%x^,", "^(?s:%x\\^,)$"),
        ] {
            assert_eq!(regex_of(pattern, Some('\\')).unwrap(), wanted);
        }
        assert_eq!(regex_of("a\\_", None).unwrap(), "^(?s:a\\\\.)$");
        assert_eq!(regex_of("a!", Some('!')).unwrap_err().code(), "22025");
    }
}
