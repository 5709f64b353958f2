//! Patterns: `a SIMILAR TO 'pattern'` is a match of the regular expression that the pattern means, for which DataFusion takes the
//! pattern itself, `a LIKE ANY (ARRAY['x', 'y'])` is one LIKE or another, and a backslash takes the place of another ESCAPE.

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArguments, UnaryOperator, Value, ValueWithSpan,
};

use super::arrays::{all_or_any, elements_of, read, text_of};
use super::from_functions::plain;
use crate::base::{Error, Kind, Result};

/// Rewrites `expr` where it is such a match.
///
/// # Errors
/// 0A000 for a pattern that is no literal, or patterns that are not written out, 22019 for an escape of more than one letter, 22025 for a pattern that ends with it.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::SimilarTo { .. } => similar(expr),
        Expr::Like {
            pattern,
            escape_char: Some(escape),
            ..
        }
        | Expr::ILike {
            pattern,
            escape_char: Some(escape),
            ..
        } if !is_backslash(escape) => {
            let Some(text) = text_of(pattern) else {
                return Err(Error::unsupported(
                    "LIKE with an escape of its own and a pattern that is not a literal is not supported",
                )
                .with_hint("escape with a backslash, which is what LIKE does without ESCAPE"));
            };
            let text = with_backslashes(text, letter_of(escape)?);
            **pattern = Expr::Value(Value::SingleQuotedString(text).into());
            escape.value = Value::SingleQuotedString("\\".to_owned());
            Ok(())
        }
        Expr::Like { any, pattern, .. } | Expr::ILike { any, pattern, .. } => {
            let is_any = *any;
            let patterns = if is_any {
                Some(written_out(pattern)?)
            } else {
                all_call(pattern).map(|all| written_out(&all)).transpose()?
            };
            if let Some(patterns) = patterns {
                let likes = patterns.into_iter().map(|pattern| like(expr, pattern));
                *expr = all_or_any(is_any, likes.collect::<Vec<_>>().into_iter());
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn is_backslash(escape: &ValueWithSpan) -> bool {
    matches!(&escape.value, Value::SingleQuotedString(text) if text == "\\")
}

/// The letter of ESCAPE; none where it is empty.
fn letter_of(escape: &ValueWithSpan) -> Result<Option<char>> {
    let Value::SingleQuotedString(text) = &escape.value else {
        return Err(one_letter());
    };
    let mut letters = text.chars();
    match (letters.next(), letters.next()) {
        (letter, None) => Ok(letter),
        _ => Err(one_letter()),
    }
}

/// The pattern of a LIKE with backslashes in the place of `escape`.
fn with_backslashes(pattern: &str, escape: Option<char>) -> String {
    let mut written = String::with_capacity(pattern.len());
    let mut letters = pattern.chars();
    while let Some(letter) = letters.next() {
        if Some(letter) == escape {
            written.push('\\');
            written.extend(letters.next());
        } else {
            written.extend((letter == '\\').then_some('\\'));
            written.push(letter);
        }
    }
    written
}

/// The argument of what the parser takes for a call of a function ALL.
fn all_call(pattern: &Expr) -> Option<Expr> {
    let Expr::Function(call) = pattern else {
        return None;
    };
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let is_all = call.name.to_string().eq_ignore_ascii_case("all");
    plain(&list.args)
        .filter(|args| is_all && args.len() == 1)?
        .pop()
}

fn written_out(patterns: &Expr) -> Result<Vec<Expr>> {
    let read = text_of(patterns).map(read).transpose()?;
    let patterns = elements_of(read.as_ref().unwrap_or(patterns));
    patterns.map(<[Expr]>::to_vec).ok_or_else(|| {
        Error::unsupported(
            "LIKE ANY and LIKE ALL of patterns that are not written out are not supported",
        )
        .with_hint("write them out: LIKE ANY (ARRAY['a%', 'b%'])")
    })
}

/// `expr`, a LIKE, with one pattern.
fn like(expr: &Expr, one: Expr) -> Expr {
    let mut like = expr.clone();
    if let Expr::Like { any, pattern, .. } | Expr::ILike { any, pattern, .. } = &mut like {
        *any = false;
        **pattern = one;
    }
    like
}

fn similar(expr: &mut Expr) -> Result<()> {
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
        Some(escape) => letter_of(escape)?,
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
