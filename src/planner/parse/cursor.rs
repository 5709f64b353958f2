//! DECLARE, FETCH, MOVE, CLOSE: cursors that go forward.

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::input::{Input, unsupported};
use crate::base::{Error, Kind, Result};

/// DECLARE name CURSOR FOR query.
#[derive(Clone, Debug, PartialEq)]
pub struct Declare {
    /// The cursor's name.
    pub name: String,
    /// BINARY was written.
    pub binary: bool,
    /// WITH HOLD was written: it outlives the transaction.
    pub hold: bool,
    /// What it reads.
    pub query: Box<ast::Query>,
}

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FetchCount {
    /// So many rows.
    Rows(u64),
    /// To the end.
    All,
}

/// FETCH or MOVE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// The cursor's name.
    pub name: String,
    /// How far.
    pub count: FetchCount,
    /// MOVE: the rows are not returned.
    pub move_only: bool,
}

/// Reads what follows DECLARE.
pub(super) fn declare(input: &mut Input<'_>) -> Result<Declare> {
    let name = input.ident()?;
    let mut binary = false;
    loop {
        if input.accept(&["BINARY"]) {
            binary = true;
        } else if input.accept(&["SCROLL"]) {
            return unsupported("a SCROLL cursor");
        } else if !(input.accept(&["INSENSITIVE"])
            || input.accept(&["ASENSITIVE"])
            || input.accept(&["NO", "SCROLL"]))
        {
            break;
        }
    }
    input.expect(&["CURSOR"])?;
    let hold = input.accept(&["WITH", "HOLD"]);
    if !hold {
        input.accept(&["WITHOUT", "HOLD"]);
    }
    input.expect(&["FOR"])?;
    let query = input.query()?;
    Ok(Declare {
        name,
        binary,
        hold,
        query,
    })
}

/// Reads what follows FETCH or MOVE.
pub(super) fn fetch(input: &mut Input<'_>, move_only: bool) -> Result<Fetch> {
    let forward = input.accept(&["FORWARD"]);
    let backward = || -> Result<FetchCount> {
        Err(Error::new(
            Kind::Unsupported,
            "55000",
            "cursor can only scan forward",
        ))
    };
    let count = match input.peek_word().as_str() {
        "NEXT" if !forward => {
            input.accept(&["NEXT"]);
            FetchCount::Rows(1)
        }
        "ALL" => {
            input.accept(&["ALL"]);
            FetchCount::All
        }
        "PRIOR" | "FIRST" | "LAST" | "ABSOLUTE" | "RELATIVE" | "BACKWARD" => backward()?,
        _ => match &input.parser.peek_token_ref().token {
            Token::Number(..) => FetchCount::Rows(input.parser.parse_literal_uint()?),
            Token::Minus => backward()?,
            _ => FetchCount::Rows(1),
        },
    };
    if !input.accept(&["FROM"]) {
        input.accept(&["IN"]);
    }
    Ok(Fetch {
        name: input.ident()?,
        count,
        move_only,
    })
}
