//! `WITH (key = value, ...)` and `FORMAT ... ENCODE ...`.

use std::collections::BTreeMap;

use sqlparser::tokenizer::Token;

use super::input::Input;
use crate::base::{Error, Result};

/// Options by lower-case key.
pub type Options = BTreeMap<String, String>;

/// `FORMAT PLAIN ENCODE JSON (...)`, RisingWave's way to name an encoding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoding {
    /// Upper case: PLAIN, UPSERT, DEBEZIUM, ...
    pub format: String,
    /// Upper case: JSON, CSV, AVRO, ...
    pub encode: String,
    /// The options in brackets.
    pub options: Options,
}

/// Reads `(key = value, ...)` after WITH or OPTIONS; `=` may be left out before a literal, as DataFusion writes it.
pub(super) fn bracketed(input: &mut Input<'_>) -> Result<Options> {
    input.parser.expect_token(&Token::LParen)?;
    let mut options = Options::new();
    if input.accept_token(&Token::RParen) {
        return Ok(options);
    }
    loop {
        let key = key(input)?;
        let _written = input.accept_token(&Token::Eq);
        let value = value(input)?;
        if options.insert(key.clone(), value).is_some() {
            return Err(Error::syntax(format!("option \"{key}\" is given twice")));
        }
        if !input.accept_token(&Token::Comma) {
            break;
        }
    }
    input.parser.expect_token(&Token::RParen)?;
    Ok(options)
}

/// Reads `WITH (...)` if it is next.
pub(super) fn with(input: &mut Input<'_>) -> Result<Options> {
    if input.accept(&["WITH"]) {
        bracketed(input)
    } else {
        Ok(Options::new())
    }
}

/// Reads `FORMAT f ENCODE e [(...)]` if it is next.
pub(super) fn encoding(input: &mut Input<'_>) -> Result<Option<Encoding>> {
    if !input.accept(&["FORMAT"]) {
        return Ok(None);
    }
    let format = input.ident()?.to_uppercase();
    input.expect(&["ENCODE"])?;
    let encode = input.ident()?.to_uppercase();
    let bracket = input.parser.peek_token_ref().token == Token::LParen;
    let options = if bracket {
        bracketed(input)?
    } else {
        Options::new()
    };
    Ok(Some(Encoding {
        format,
        encode,
        options,
    }))
}

fn key(input: &mut Input<'_>) -> Result<String> {
    let mut key = match &input.parser.peek_token_ref().token {
        Token::SingleQuotedString(_) => return Ok(input.string()?.to_lowercase()),
        _ => input.ident()?,
    };
    while input.accept_token(&Token::Period) {
        key.push('.');
        key.push_str(&input.ident()?);
    }
    Ok(key)
}

/// Reads a literal or a word as text.
pub(super) fn value(input: &mut Input<'_>) -> Result<String> {
    let token = input.parser.next_token();
    match token.token {
        Token::SingleQuotedString(text)
        | Token::EscapedStringLiteral(text)
        | Token::DoubleQuotedString(text)
        | Token::Number(text, _) => Ok(text),
        Token::DollarQuotedString(text) => Ok(text.value),
        Token::Word(word) if word.quote_style.is_some() => Ok(word.value),
        Token::Word(word) => Ok(word.value.to_lowercase()),
        Token::Minus => Ok(format!("-{}", number(input)?)),
        Token::Plus => number(input),
        _ => Ok(input.parser.expected("a value", token)?),
    }
}

fn number(input: &mut Input<'_>) -> Result<String> {
    let token = input.parser.next_token();
    match token.token {
        Token::Number(text, _) => Ok(text),
        _ => Ok(input.parser.expected("a number", token)?),
    }
}
