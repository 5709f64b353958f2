//! The statements of Lotic, and the entry that reads them.

use sqlparser::ast;
use sqlparser::tokenizer::Token;

use super::copy::{self, Copy, CopyFrom, CopyTo};
use super::create::{
    self, CreateMaterializedView, CreateSink, CreateSource, CreateTable, CreateView,
};
use super::cursor::{self, Declare, Fetch};
use super::dml::{self, Delete, Insert, Update};
use super::drop::{self, Drop};
use super::explain::{self, Explain};
use super::external::CreateExternalTable;
use super::guard;
use super::index::CreateIndex;
use super::input::{Input, unsupported};
use super::names::Name;
use super::session::{self, SetValue, Show};
use super::split::{Piece, split};
use super::{asof, lookup, window_tables};
use crate::base::{Error, Result};
use crate::planner::stack::on_big_stack;

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// Nothing: blanks or comments alone.
    Empty,
    /// SELECT, VALUES, TABLE, WITH.
    Query(Box<ast::Query>),
    /// EXPLAIN.
    Explain(Explain),
    /// CREATE TABLE.
    CreateTable(CreateTable),
    /// CREATE SOURCE.
    CreateSource(CreateSource),
    /// CREATE EXTERNAL TABLE.
    CreateExternalTable(CreateExternalTable),
    /// CREATE VIEW.
    CreateView(CreateView),
    /// CREATE MATERIALIZED VIEW.
    CreateMaterializedView(CreateMaterializedView),
    /// CREATE SINK.
    CreateSink(CreateSink),
    /// CREATE INDEX.
    CreateIndex(CreateIndex),
    /// DROP.
    Drop(Drop),
    /// INSERT.
    Insert(Insert),
    /// UPDATE.
    Update(Update),
    /// DELETE.
    Delete(Delete),
    /// TRUNCATE.
    Truncate(Vec<Name>),
    /// COPY ... FROM STDIN.
    CopyFrom(CopyFrom),
    /// COPY ... TO STDOUT.
    CopyTo(CopyTo),
    /// SET name = value.
    Set {
        /// Lower case.
        name: String,
        /// The value.
        value: SetValue,
        /// SET LOCAL: until the transaction ends.
        local: bool,
    },
    /// SET TRANSACTION, whose modes change nothing: every query sees one epoch.
    SetTransaction,
    /// RESET name, or all.
    Reset {
        /// Lower case; none means all.
        name: Option<String>,
    },
    /// SHOW.
    Show(Show),
    /// DESCRIBE.
    Describe(Name),
    /// FLUSH.
    Flush,
    /// CHECK MATERIALIZED VIEW name.
    CheckMaterializedView(Name),
    /// CHECK ALL.
    CheckAll,
    /// REFRESH a bounded source.
    Refresh(Name),
    /// BEGIN, START TRANSACTION.
    Begin {
        /// READ ONLY was written.
        read_only: bool,
    },
    /// COMMIT, END.
    Commit,
    /// ROLLBACK, ABORT.
    Rollback,
    /// DECLARE ... CURSOR.
    Declare(Declare),
    /// FETCH, MOVE.
    Fetch(Fetch),
    /// CLOSE name, or all.
    Close(Option<String>),
    /// DISCARD ALL, PLANS, SEQUENCES, TEMP: the word in upper case.
    Discard(String),
    /// DEALLOCATE name, or all.
    Deallocate(Option<String>),
    /// UNLISTEN: nothing is listened to, so it does nothing.
    Unlisten,
}

/// A statement with its text.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it is.
    pub statement: Statement,
    /// Its own SQL, without the semicolon.
    pub text: String,
    /// The line of the input on which it starts, from 1.
    pub line: usize,
}

/// Reads all statements of `sql`. A text without any yields one `Statement::Empty`.
///
/// # Errors
/// 42601 with line and column for a syntax error anywhere, 0A000 for what Lotic does not run, 54000 and 54001 for
/// what would not fit in memory or on the stack.
pub fn parse(sql: &str) -> Result<Vec<Parsed>> {
    guard::check_size(sql)?;
    on_big_stack(|| {
        let pieces = split(sql)?;
        if pieces.is_empty() {
            let empty = Parsed {
                statement: Statement::Empty,
                text: String::new(),
                line: 1,
            };
            return Ok(vec![empty]);
        }
        pieces.into_iter().map(parse_piece).collect()
    })
}

fn parse_piece(piece: Piece<'_>) -> Result<Parsed> {
    let line = usize::try_from(piece.start.line).unwrap_or(usize::MAX);
    let located = |error: Error| match error.code() {
        "42601" => error, // says line and column itself
        _ if line > 1 => error.at(format!("line {line}")),
        _ => error,
    };
    guard::check_depth(&piece.tokens).map_err(located)?;
    let mut piece = piece;
    asof::rewrite_left(&mut piece.tokens).map_err(located)?;
    window_tables::rewrite(&mut piece.tokens);
    lookup::rewrite(&mut piece.tokens);
    let text = piece.text.to_owned();
    let mut input = Input::new(piece);
    let statement = read(&mut input)
        .and_then(|statement| input.finish().map(|()| statement))
        .map_err(located)?;
    Ok(Parsed {
        statement,
        text,
        line,
    })
}

/// Reads one statement, without looking at what follows it.
pub(super) fn read(input: &mut Input<'_>) -> Result<Statement> {
    let word = input.peek_word();
    let is_query = matches!(word.as_str(), "SELECT" | "WITH" | "VALUES" | "TABLE")
        || input.parser.peek_token_ref().token == Token::LParen;
    if is_query {
        return Ok(Statement::Query(input.query()?));
    }
    match word.as_str() {
        "INSERT" => return Ok(Statement::Insert(dml::insert(input)?)),
        "UPDATE" => return Ok(Statement::Update(dml::update(input)?)),
        "DELETE" => return Ok(Statement::Delete(dml::delete(input)?)),
        "" => return input.unexpected("a statement"),
        _ => {}
    }
    let first = input.parser.next_token();
    match word.as_str() {
        "CREATE" => create::create(input),
        "DROP" => Ok(Statement::Drop(drop::drop(input)?)),
        "TRUNCATE" => truncate(input),
        "COPY" => Ok(match copy::copy(input)? {
            Copy::From(from) => Statement::CopyFrom(from),
            Copy::To(to) => Statement::CopyTo(to),
        }),
        "EXPLAIN" => Ok(Statement::Explain(explain::explain(input)?)),
        "SHOW" => Ok(Statement::Show(session::show(input)?)),
        "DESCRIBE" | "DESC" => {
            input.accept(&["TABLE"]);
            Ok(Statement::Describe(input.name()?))
        }
        "SET" => session::set(input),
        "RESET" => session::reset(input),
        "BEGIN" => session::begin(input, false),
        "START" => session::begin(input, true),
        "COMMIT" | "END" => session::end(input, Statement::Commit),
        "ROLLBACK" | "ABORT" => session::end(input, Statement::Rollback),
        "SAVEPOINT" | "RELEASE" => session::savepoint(),
        "FLUSH" => Ok(Statement::Flush),
        "CHECK" => check(input),
        "REFRESH" => refresh(input),
        "DECLARE" => Ok(Statement::Declare(cursor::declare(input)?)),
        "FETCH" => Ok(Statement::Fetch(cursor::fetch(input, false)?)),
        "MOVE" => Ok(Statement::Fetch(cursor::fetch(input, true)?)),
        "CLOSE" => Ok(Statement::Close(all_or_name(input)?)),
        "DISCARD" => discard(input),
        "DEALLOCATE" => {
            input.accept(&["PREPARE"]);
            Ok(Statement::Deallocate(all_or_name(input)?))
        }
        "UNLISTEN" => {
            if !input.accept_token(&Token::Mul) {
                input.ident()?;
            }
            Ok(Statement::Unlisten)
        }
        _ if is_known(&word) => unsupported(word),
        _ => Ok(input.parser.expected("a statement", first)?),
    }
}

/// Statements of PostgreSQL and of DataFusion that Lotic refuses by name.
fn is_known(word: &str) -> bool {
    matches!(
        word,
        "ALTER"
            | "ANALYZE"
            | "CALL"
            | "CHECKPOINT"
            | "CLUSTER"
            | "COMMENT"
            | "DO"
            | "EXECUTE"
            | "GRANT"
            | "IMPORT"
            | "LISTEN"
            | "LOAD"
            | "LOCK"
            | "MERGE"
            | "NOTIFY"
            | "PREPARE"
            | "REASSIGN"
            | "REINDEX"
            | "REVOKE"
            | "SECURITY"
            | "SUBSCRIBE"
            | "UNLOAD"
            | "USE"
            | "VACUUM"
            | "ATTACH"
            | "DETACH"
            | "PRAGMA"
            | "REPLACE"
            | "KILL"
    )
}

fn truncate(input: &mut Input<'_>) -> Result<Statement> {
    input.accept(&["TABLE"]);
    input.accept(&["ONLY"]);
    let names = drop::names(input)?;
    if input.accept(&["RESTART", "IDENTITY"]) || input.accept(&["CASCADE"]) {
        return unsupported("this form of TRUNCATE");
    }
    if !input.accept(&["CONTINUE", "IDENTITY"]) {
        input.accept(&["RESTRICT"]);
    }
    Ok(Statement::Truncate(names))
}

fn check(input: &mut Input<'_>) -> Result<Statement> {
    if input.accept(&["ALL"]) {
        return Ok(Statement::CheckAll);
    }
    input.expect(&["MATERIALIZED", "VIEW"])?;
    Ok(Statement::CheckMaterializedView(input.name()?))
}

fn refresh(input: &mut Input<'_>) -> Result<Statement> {
    if input.accept(&["MATERIALIZED", "VIEW"]) {
        return Err(
            Error::unsupported("REFRESH MATERIALIZED VIEW is not supported").with_hint(
                "a materialized view is always fresh; FLUSH waits until your writes are visible",
            ),
        );
    }
    if !input.accept(&["TABLE"]) && !input.accept(&["EXTERNAL", "TABLE"]) {
        input.accept(&["SOURCE"]);
    }
    Ok(Statement::Refresh(input.name()?))
}

fn all_or_name(input: &mut Input<'_>) -> Result<Option<String>> {
    if input.accept(&["ALL"]) {
        Ok(None)
    } else {
        Ok(Some(input.ident()?))
    }
}

fn discard(input: &mut Input<'_>) -> Result<Statement> {
    for word in ["ALL", "PLANS", "SEQUENCES", "TEMP", "TEMPORARY"] {
        if input.accept(&[word]) {
            return Ok(Statement::Discard(word.to_owned()));
        }
    }
    input.unexpected("ALL, PLANS, SEQUENCES or TEMP")
}
