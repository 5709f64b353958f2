//! DROP.

use sqlparser::tokenizer::Token;

use super::input::{Input, unsupported};
use super::names::Name;
use crate::base::Result;

/// A kind of object that has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectKind {
    /// TABLE; EXTERNAL TABLE is dropped by this word too.
    Table,
    /// SOURCE.
    Source,
    /// VIEW.
    View,
    /// MATERIALIZED VIEW.
    MaterializedView,
    /// SINK.
    Sink,
    /// INDEX.
    Index,
}

/// `DROP kind [IF EXISTS] name, ... [CASCADE]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The kind that was written; another kind of that name is an error.
    pub kind: ObjectKind,
    /// IF EXISTS was written.
    pub if_exists: bool,
    /// What to drop.
    pub names: Vec<Name>,
    /// CASCADE was written: what depends on it goes too.
    pub cascade: bool,
}

/// Reads what follows DROP.
pub(super) fn drop(input: &mut Input<'_>) -> Result<Drop> {
    let kind = if input.accept(&["TABLE"]) || input.accept(&["EXTERNAL", "TABLE"]) {
        ObjectKind::Table
    } else if input.accept(&["SOURCE"]) {
        ObjectKind::Source
    } else if input.accept(&["VIEW"]) {
        ObjectKind::View
    } else if input.accept(&["MATERIALIZED", "VIEW"]) {
        ObjectKind::MaterializedView
    } else if input.accept(&["SINK"]) {
        ObjectKind::Sink
    } else if input.accept(&["INDEX"]) {
        input.accept(&["CONCURRENTLY"]);
        ObjectKind::Index
    } else {
        return match input.peek_word().as_str() {
            "" => input.unexpected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW, SINK or INDEX"),
            word => unsupported(format!("DROP {word}")),
        };
    };
    let if_exists = input.accept(&["IF", "EXISTS"]);
    let names = names(input)?;
    let cascade = input.accept(&["CASCADE"]);
    if !cascade {
        input.accept(&["RESTRICT"]);
    }
    Ok(Drop {
        kind,
        if_exists,
        names,
        cascade,
    })
}

/// Reads `name, ...`.
pub(super) fn names(input: &mut Input<'_>) -> Result<Vec<Name>> {
    let mut names = vec![input.name()?];
    while input.accept_token(&Token::Comma) {
        names.push(input.name()?);
    }
    Ok(names)
}
