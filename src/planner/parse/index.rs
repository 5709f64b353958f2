//! CREATE INDEX.

use sqlparser::tokenizer::Token;

use super::create::nulls_distinct;
use super::input::{Input, unsupported};
use super::names::Name;
use crate::base::Result;

/// `CREATE [UNIQUE] INDEX [name] ON relation (column, ...)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateIndex {
    /// What to call it; none means a name made of those of the relation and the columns.
    pub name: Option<Name>,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// UNIQUE was written.
    pub unique: bool,
    /// The table or materialized view.
    pub relation: Name,
    /// At least one.
    pub columns: Vec<OrderedColumn>,
}

/// A column with the order that an index has it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderedColumn {
    /// Its name, folded.
    pub name: String,
    /// DESC was written.
    pub descending: bool,
    /// NULLS FIRST was written, or DESC without NULLS LAST.
    pub nulls_first: bool,
}

/// Reads what follows CREATE INDEX, or CREATE where UNIQUE INDEX is next.
pub(super) fn create(input: &mut Input<'_>) -> Result<CreateIndex> {
    let unique = input.accept(&["UNIQUE", "INDEX"]);
    input.accept(&["CONCURRENTLY"]);
    let if_not_exists = input.if_not_exists();
    let name = match input.peek_word() == "ON" && !if_not_exists {
        true => None,
        false => Some(input.name()?),
    };
    input.expect(&["ON"])?;
    input.accept(&["ONLY"]);
    let relation = input.name()?;
    if input.accept(&["USING"]) {
        let method = input.ident()?;
        if !matches!(method.as_str(), "btree" | "hash") {
            return unsupported(format!("access method \"{method}\""));
        }
    }
    if !input.accept_token(&Token::LParen) {
        return input.unexpected("(column, ...)");
    }
    let mut columns = vec![column(input)?];
    while input.accept_token(&Token::Comma) {
        columns.push(column(input)?);
    }
    input.parser.expect_token(&Token::RParen)?;
    nulls_distinct(input)?;
    match input.peek_word().as_str() {
        word @ ("INCLUDE" | "WITH" | "TABLESPACE") => {
            return unsupported(format!("{word} of an index"));
        }
        "WHERE" => return unsupported("an index over some of the rows"),
        _ => {}
    }
    Ok(CreateIndex {
        name,
        if_not_exists,
        unique,
        relation,
        columns,
    })
}

fn column(input: &mut Input<'_>) -> Result<OrderedColumn> {
    let is_call = input.parser.peek_nth_token_ref(1).token == Token::LParen;
    if is_call || input.parser.peek_token_ref().token == Token::LParen {
        return unsupported("an index over expressions");
    }
    let name = input.ident()?;
    let descending = input.accept(&["DESC"]);
    if !descending {
        input.accept(&["ASC"]);
    }
    let nulls_first = if input.accept(&["NULLS", "FIRST"]) {
        true
    } else {
        descending && !input.accept(&["NULLS", "LAST"])
    };
    if !descending && !nulls_first {
        input.accept(&["NULLS", "LAST"]);
    }
    let at_end = matches!(
        input.parser.peek_token_ref().token,
        Token::Comma | Token::RParen
    );
    match input.peek_word().as_str() {
        "" if at_end => Ok(OrderedColumn {
            name,
            descending,
            nulls_first,
        }),
        "" => input.unexpected("ASC, DESC, \",\" or \")\""),
        word => unsupported(format!("{word} in an index")),
    }
}
