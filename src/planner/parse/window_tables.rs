//! Window tables as the SQL standard and Flink write them, `SESSION(TABLE t PARTITION BY k, DESCRIPTOR(ts), gap)`, in words that
//! sqlparser reads: `SESSION(t, DESCRIPTOR(ts), gap, k)`. The pre-pass takes DESCRIPTOR off.

use sqlparser::tokenizer::{Token, TokenWithSpan, Whitespace};

use super::input::word_of;

/// Rewrites the calls among `tokens`.
pub(super) fn rewrite(tokens: &mut Vec<TokenWithSpan>) {
    let mut at = 0;
    // Calls get shorter as they are rewritten.
    while at < tokens.len() {
        if let Some(table) = table_word(tokens, at) {
            tokens[table].token = Token::Whitespace(Whitespace::Space);
            move_keys(tokens, table);
        }
        at += 1;
    }
}

/// The place of the word TABLE behind a call that begins at `at`.
fn table_word(tokens: &[TokenWithSpan], at: usize) -> Option<usize> {
    let is_call = match &tokens[at].token {
        Token::Word(word) => ["TUMBLE", "HOP", "SESSION"]
            .iter()
            .any(|name| word.value.eq_ignore_ascii_case(name)),
        _ => false,
    };
    if !is_call {
        return None;
    }
    let mut behind = (at + 1..tokens.len())
        .filter(|place| !matches!(tokens[*place].token, Token::Whitespace(_)));
    let bracket = behind.next()?;
    let table = behind.next()?;
    let name = behind.next()?;
    let found = tokens[bracket].token == Token::LParen
        && word_of(&tokens[table].token) == "TABLE"
        && matches!(tokens[name].token, Token::Word(_));
    found.then_some(table)
}

/// Moves `PARTITION BY keys` from behind the table to the end of the call's arguments.
fn move_keys(tokens: &mut Vec<TokenWithSpan>, table: usize) {
    let mut depth = 0_usize;
    let (mut partition, mut by, mut keys_end, mut end) = (None, None, None, None);
    for place in table..tokens.len() {
        match &tokens[place].token {
            Token::LParen => depth += 1,
            Token::RParen if depth == 0 => {
                end = Some(place);
                break;
            }
            Token::RParen => depth -= 1,
            Token::Comma if depth == 0 => {
                let next = tokens[place + 1..]
                    .iter()
                    .find(|token| !matches!(token.token, Token::Whitespace(_)));
                let ends = next.is_some_and(|next| word_of(&next.token) == "DESCRIPTOR");
                if keys_end.is_none() && (ends || by.is_none()) {
                    keys_end = Some(place);
                }
            }
            token if depth == 0 => match word_of(token).as_str() {
                "PARTITION" if partition.is_none() => partition = Some(place),
                "BY" if by.is_none() && partition.is_some() => by = Some(place),
                _ => {}
            },
            _ => {}
        }
    }
    let (Some(partition), Some(by), Some(keys_end), Some(end)) = (partition, by, keys_end, end)
    else {
        return;
    };
    if keys_end < by {
        return;
    }
    let mut moved: Vec<TokenWithSpan> = tokens[keys_end..=keys_end].to_vec();
    moved.extend_from_slice(&tokens[by + 1..keys_end]);
    tokens.splice(end..end, moved);
    tokens.drain(partition..keys_end);
}
