//! Bounds on a statement, checked on its tokens before any tree exists.
//!
//! A flat chain (`1+1+...`, `a OR b OR ...`, `q UNION q ...`, `a JOIN b JOIN c ...`) costs the parser no
//! depth, yet becomes a tree as deep as it is long; planning, cloning, evaluating or merely dropping such a
//! tree recurses, and a stack that runs out ends the process. So the depth that a statement *will* have is
//! bounded from above here, by counting tokens: brackets nest; inside a bracket, operators and keywords add
//! up between separators, AND and OR add up over the terms they join, joins and set operations
//! add up over the whole query. Lists (`IN (...)`, VALUES, arguments) stay free: they are wide, not deep.

use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Token, TokenWithSpan};

use super::failure::too_deep;
use crate::base::{Error, Kind, Result};

/// The largest text of a statement or script, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 8 << 20;

/// The most tokens a text may have. A token costs about 100 bytes while it is parsed.
pub const MAX_TOKENS: usize = 4_000_000;

/// The deepest tree a statement may have. DataFusion overflows the 2 MiB stack of a worker thread
/// at about 2,000, measured; execution and `Drop` run there, so the bound is half of that.
pub const MAX_DEPTH: usize = 1_000;

/// The deepest nesting of brackets and CASE: a level of brackets may be a subquery, and each costs the planner
/// many frames.
pub(super) const MAX_NESTING: usize = 128;

/// The deepest nesting of WITH inside WITH. DataFusion's resolver walks the queries of a WITH twice, so the time
/// doubles at each level.
pub(super) const MAX_WITH: usize = 8;

/// Refuses a text that is too large to tokenize within bounded memory.
pub(super) fn check_size(text: &str) -> Result<()> {
    if text.len() > MAX_STATEMENT_BYTES {
        return Err(Error::new(
            Kind::Limit,
            "54000",
            format!(
                "statement of {} bytes is over the limit of {MAX_STATEMENT_BYTES}",
                text.len()
            ),
        )
        .with_hint("load data with COPY, which streams"));
    }
    if count_tokens(text) > MAX_TOKENS {
        return Err(Error::new(
            Kind::Limit,
            "54000",
            format!("statement has over {MAX_TOKENS} tokens"),
        )
        .with_hint("load data with COPY, which streams"));
    }
    Ok(())
}

/// An upper bound of the tokens of `text`: runs of word bytes and of blanks count once, all else one each.
fn count_tokens(text: &str) -> usize {
    #[derive(PartialEq, Clone, Copy)]
    enum Class {
        Word,
        Blank,
        Other,
    }
    let mut last = Class::Other;
    let mut count = 0;
    for byte in text.bytes() {
        let class = match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'_' | 0x80.. => Class::Word,
            b' ' | b'\t' | b'\r' | b'\n' => Class::Blank,
            _ => Class::Other,
        };
        if class == Class::Other || class != last {
            count += 1;
        }
        last = class;
    }
    count
}

/// The running depth inside one bracket.
#[derive(Default)]
struct Level {
    /// Opened by CASE, so that END closes it.
    case: bool,
    /// Has a WITH of its own.
    with: bool,
    /// Inside a FROM list, where a comma is a join.
    from: bool,
    /// Set operations and joins: they add up over the whole level.
    relations: usize,
    /// AND and OR since the last separator.
    logical: usize,
    /// Other operators since the last separator, AND or OR.
    inner: usize,
    /// The deepest term since the last separator, with what is nested in it.
    term: usize,
    /// The deepest bracket in the current term.
    nested: usize,
    /// The deepest segment so far.
    deepest: usize,
}

impl Level {
    fn end_term(&mut self) {
        self.term = self.term.max(self.inner + self.nested);
        self.inner = 0;
        self.nested = 0;
    }

    fn end_segment(&mut self) {
        self.end_term();
        self.deepest = self.deepest.max(self.logical + self.term);
        self.logical = 0;
        self.term = 0;
    }

    fn depth(&self) -> usize {
        let open = self.logical + self.term.max(self.inner + self.nested);
        self.relations + self.deepest.max(open)
    }
}

/// Refuses the tokens of one statement if their tree would be too deep (54001).
pub(super) fn check_depth(tokens: &[TokenWithSpan]) -> Result<()> {
    let mut levels = vec![Level::default()];
    let mut before = Keyword::NoKeyword;
    let mut periods = 0_usize;
    for token in tokens {
        let Some(level) = levels.last_mut() else {
            return Err(too_deep());
        };
        match &token.token {
            Token::Whitespace(_) => continue,
            Token::LParen | Token::LBracket | Token::LBrace => {
                // `a[1][1]...` and calls of calls chain without nesting, so a bracket counts in its parent too.
                level.inner += usize::from(token.token == Token::LBracket);
                levels.push(Level::default());
            }
            Token::RParen | Token::RBracket | Token::RBrace => close(&mut levels),
            Token::Comma => comma(level),
            Token::SemiColon => level.end_segment(),
            Token::Word(word) if word.quote_style.is_none() => {
                keyword(&mut levels, word.keyword, before);
                before = word.keyword;
            }
            Token::Word(_) | Token::Number(..) | Token::EOF => {}
            Token::Period => {
                // `schema.table.column` is one name, a longer run is a chain of field accesses.
                periods += 1;
                level.inner += usize::from(periods > 3);
                continue;
            }
            other if is_literal(other) => {}
            _ => level.inner += 1,
        }
        if !matches!(token.token, Token::Word(_)) {
            before = Keyword::NoKeyword;
            periods = 0;
        } else if !matches!(before, Keyword::NoKeyword) {
            periods = 0;
        }
        let open = levels.last().map_or(0, Level::depth);
        let nested_with =
            before == Keyword::WITH && levels.iter().filter(|level| level.with).count() > MAX_WITH;
        if levels.len() > MAX_NESTING || open > MAX_DEPTH || nested_with {
            return Err(too_deep());
        }
    }
    Ok(())
}

fn close(levels: &mut Vec<Level>) {
    if levels.len() < 2 {
        return; // an unbalanced bracket: the parser says where
    }
    let Some(closed) = levels.pop() else { return };
    if let Some(parent) = levels.last_mut() {
        parent.nested = parent.nested.max(closed.depth() + 1);
    }
}

fn comma(level: &mut Level) {
    if level.from {
        level.relations += 1;
    }
    level.end_segment();
}

fn keyword(levels: &mut Vec<Level>, word: Keyword, before: Keyword) {
    let Some(level) = levels.last_mut() else {
        return;
    };
    match word {
        Keyword::NoKeyword => {}
        Keyword::WITH => level.with = true,
        Keyword::CASE => levels.push(Level {
            case: true,
            ..Level::default()
        }),
        Keyword::END => {
            if level.case {
                close(levels);
            }
        }
        Keyword::AND | Keyword::OR => {
            level.logical += 1;
            level.end_term();
        }
        Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT | Keyword::MINUS => {
            level.from = false;
            level.relations += 1;
            level.end_segment();
        }
        Keyword::JOIN => {
            level.relations += 1;
            level.end_segment();
        }
        // `a IS DISTINCT FROM b` is an operator and chains.
        Keyword::FROM if before != Keyword::DISTINCT => {
            level.from = true;
            level.end_segment();
        }
        Keyword::SELECT
        | Keyword::WHERE
        | Keyword::GROUP
        | Keyword::HAVING
        | Keyword::ORDER
        | Keyword::WINDOW
        | Keyword::QUALIFY
        | Keyword::LIMIT
        | Keyword::VALUES
        | Keyword::RETURNING => {
            level.from = false;
            level.end_segment();
        }
        Keyword::ON | Keyword::WHEN | Keyword::THEN | Keyword::ELSE => level.end_segment(),
        // Any other keyword may be a prefix (NOT, INTERVAL) or an infix operator (LIKE, IS, AT TIME ZONE).
        _ => level.inner += 1,
    }
}

fn is_literal(token: &Token) -> bool {
    matches!(
        token,
        Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::DollarQuotedString(_)
            | Token::NationalStringLiteral(_)
            | Token::EscapedStringLiteral(_)
            | Token::UnicodeStringLiteral(_)
            | Token::HexStringLiteral(_)
            | Token::SingleQuotedByteStringLiteral(_)
            | Token::Placeholder(_)
    )
}
