//! `t FOR SYSTEM_TIME AS OF PROCTIME()`, which sqlparser reads only together with words that are aliases in PostgreSQL, in a
//! form that it does read: `lotic_present(t)`. The pre-pass knows it again.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::input::word_of;
use crate::planner::prepass::PRESENT;

/// What stands behind the table's name.
const WORDS: [&str; 5] = ["FOR", "SYSTEM_TIME", "AS", "OF", "PROCTIME"];

/// Rewrites the tables among `tokens`.
pub(super) fn rewrite(tokens: &mut Vec<TokenWithSpan>) {
    let is_time = |token: &TokenWithSpan| word_of(&token.token) == "SYSTEM_TIME";
    if !tokens.iter().any(is_time) {
        return;
    }
    let mut at = 0;
    while at < tokens.len() {
        if let Some((name, words, end)) = version(tokens, at) {
            for token in &mut tokens[words..=end] {
                token.token = Token::Whitespace(Whitespace::Space);
            }
            tokens[words].token = Token::RParen;
            let span = tokens[name].span;
            let call = [Token::make_word(PRESENT, None), Token::LParen];
            let call = call.map(|token| TokenWithSpan { token, span });
            tokens.splice(name..name, call);
            at = end + 2;
        }
        at += 1;
    }
}

/// The first token of the table's name, the word FOR at `at`, and the closing bracket of PROCTIME().
fn version(tokens: &[TokenWithSpan], at: usize) -> Option<(usize, usize, usize)> {
    let is_space = |place: &usize| matches!(tokens[*place].token, Token::Whitespace(_));
    let mut ahead = (at..tokens.len()).filter(|place| !is_space(place));
    for word in WORDS {
        if word_of(&tokens[ahead.next()?].token) != word {
            return None;
        }
    }
    if tokens[ahead.next()?].token != Token::LParen {
        return None;
    }
    let end = ahead
        .next()
        .filter(|place| tokens[*place].token == Token::RParen)?;
    let mut name = None;
    let mut wants_name = true;
    for place in (0..at).rev().filter(|place| !is_space(place)) {
        match &tokens[place].token {
            Token::Word(word) if wants_name && (word.keyword != Keyword::JOIN) => {
                name = Some(place);
                wants_name = false;
            }
            Token::Period if !wants_name => wants_name = true,
            _ => break,
        }
    }
    Some((name?, at, end))
}
