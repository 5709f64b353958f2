//! A text cut into statements: tokens, own text and line of each.

use sqlparser::tokenizer::{Location, Token, TokenWithSpan, Tokenizer};

use super::dialect::LoticDialect;
use crate::base::Result;

/// One statement before it is read.
pub(super) struct Piece<'a> {
    /// Its tokens, blanks included, without the semicolon.
    pub tokens: Vec<TokenWithSpan>,
    /// Its own text, from its first to its last token that is not blank.
    pub text: &'a str,
    /// Where its text starts.
    pub start: Location,
}

/// Walks a text forward from a known place; lines and columns count characters from 1.
pub(super) struct Walker<'a> {
    text: &'a str,
    at: Location,
    byte: usize,
}

impl<'a> Walker<'a> {
    /// A walker at the start of `text`, whose first character is at `at`.
    pub(super) fn new(text: &'a str, at: Location) -> Self {
        Self { text, at, byte: 0 }
    }

    /// The byte offset of `place`, which must not lie before the last one asked for.
    pub(super) fn offset(&mut self, place: Location) -> usize {
        let rest = self.text.get(self.byte..).unwrap_or("");
        for c in rest.chars() {
            if (self.at.line, self.at.column) >= (place.line, place.column) {
                break;
            }
            self.byte += c.len_utf8();
            if c == '\n' {
                self.at.line += 1;
                self.at.column = 1;
            } else {
                self.at.column += 1;
            }
        }
        self.byte
    }
}

/// Cuts `text` at its semicolons. Empty statements are left out, unless there is nothing else.
pub(super) fn split(text: &str) -> Result<Vec<Piece<'_>>> {
    let tokens = Tokenizer::new(&LoticDialect, text).tokenize_with_location()?;
    let mut walker = Walker::new(text, Location { line: 1, column: 1 });
    let mut pieces = Vec::new();
    let mut own = Vec::new();
    for token in tokens {
        if token.token == Token::SemiColon {
            push(&mut pieces, std::mem::take(&mut own), &mut walker, text);
        } else {
            own.push(token);
        }
    }
    push(&mut pieces, own, &mut walker, text);
    Ok(pieces)
}

fn push<'a>(
    pieces: &mut Vec<Piece<'a>>,
    mut tokens: Vec<TokenWithSpan>,
    walker: &mut Walker<'a>,
    text: &'a str,
) {
    let blank = |token: &TokenWithSpan| matches!(token.token, Token::Whitespace(_));
    let Some(first) = tokens.iter().position(|token| !blank(token)) else { return };
    tokens.drain(..first);
    while tokens.last().is_some_and(blank) {
        tokens.pop();
    }
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { return };
    let start = first.span.start;
    let from = walker.offset(start);
    let to = walker.offset(last.span.end);
    pieces.push(Piece { text: text.get(from..to).unwrap_or(""), tokens, start });
}
