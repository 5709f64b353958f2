//! `ASOF LEFT JOIN`, which sqlparser does not read, in words that it does: `GLOBAL ASOF JOIN`.
//!
//! GLOBAL JOIN is another database's and refused, so the words are free; the pre-pass knows them again.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::input::word_of;
use crate::base::{Error, Result};

/// Rewrites the words in place; no token moves.
///
/// # Errors
/// 0A000 where GLOBAL ASOF was written.
pub(super) fn rewrite_left(tokens: &mut [TokenWithSpan]) -> Result<()> {
    let is_asof = |token: &TokenWithSpan| matches!(&token.token, Token::Word(word) if word.keyword == Keyword::ASOF);
    if !tokens.iter().any(is_asof) {
        return Ok(());
    }
    let places: Vec<usize> = (0..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)))
        .collect();
    for at in 0..places.len() {
        let word = |behind: usize| {
            let place = places.get(at + behind);
            place.map_or_else(String::new, |place| word_of(&tokens[*place].token))
        };
        if word(0) == "GLOBAL" && word(1) == "ASOF" {
            return Err(Error::unsupported("GLOBAL JOIN is not supported"));
        }
        if word(0) != "ASOF" || word(1) != "LEFT" {
            continue;
        }
        let has_outer = word(2) == "OUTER";
        if word(2 + usize::from(has_outer)) != "JOIN" {
            continue;
        }
        tokens[places[at]].token = Token::make_keyword("GLOBAL");
        tokens[places[at + 1]].token = Token::make_keyword("ASOF");
        if has_outer {
            tokens[places[at + 2]].token = Token::Whitespace(Whitespace::Space);
        }
    }
    Ok(())
}
