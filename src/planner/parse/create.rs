//! CREATE of tables, sources, views, models and sinks.

use arrow::datatypes::DataType;
use sqlparser::ast;
use sqlparser::dialect::{Dialect, Precedence};
use sqlparser::tokenizer::{Location, Token};

use super::external;
use super::index;
use super::input::{DIALECT, Input, parser_over, unsupported};
use super::names::Name;
use super::options::{self, Encoding, Options};
use super::statement::Statement;
use super::types::arrow_type;
use crate::base::{Error, Kind, Result};

/// A declared column.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// The name, folded.
    pub name: String,
    /// Its Arrow type.
    pub data_type: DataType,
    /// False when NOT NULL or part of the primary key.
    pub nullable: bool,
    /// The DEFAULT expression.
    pub default: Option<ast::Expr>,
}

/// A UNIQUE constraint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unique {
    /// What CONSTRAINT called it.
    pub name: Option<String>,
    /// Names of its columns, in order.
    pub columns: Vec<String>,
}

/// `WATERMARK FOR column AS expression`.
#[derive(Clone, Debug, PartialEq)]
pub struct Watermark {
    /// The event-time column.
    pub column: String,
    /// The bound: no row older than this will count.
    pub bound: ast::Expr,
}

/// CREATE TABLE or CREATE SOURCE.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateRelation {
    /// What to call it.
    pub name: Name,
    /// OR REPLACE was written.
    pub or_replace: bool,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// Declared columns; empty means inferred from the connector or taken from `query`.
    pub columns: Vec<Column>,
    /// Names of the key's columns, in order; empty means no key.
    pub primary_key: Vec<String>,
    /// The UNIQUE constraints, in order.
    pub unique: Vec<Unique>,
    /// The event-time bound.
    pub watermark: Option<Watermark>,
    /// WITH (...).
    pub options: Options,
    /// FORMAT ... ENCODE ....
    pub encoding: Option<Encoding>,
    /// CREATE TABLE ... AS query.
    pub query: Option<DefiningQuery>,
}

/// CREATE TABLE.
pub type CreateTable = CreateRelation;

/// CREATE SOURCE.
pub type CreateSource = CreateRelation;

/// A query that defines an object, as tree and as written.
#[derive(Clone, Debug, PartialEq)]
pub struct DefiningQuery {
    /// The tree.
    pub query: Box<ast::Query>,
    /// The text, comments included: what the catalog stores.
    pub text: String,
}

/// CREATE VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    /// What to call it.
    pub name: Name,
    /// OR REPLACE was written.
    pub or_replace: bool,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// Names for the columns; empty means the query's own. May be fewer than the query's columns.
    pub columns: Vec<String>,
    /// What it shows.
    pub query: DefiningQuery,
}

/// CREATE MATERIALIZED VIEW.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateMaterializedView {
    /// What to call it, and what it holds.
    pub view: CreateView,
    /// WITH (...), such as `on_error = 'fail'`.
    pub options: Options,
    /// EMIT ON WINDOW CLOSE was written.
    pub emit_on_close: bool,
}

/// What a sink writes.
#[derive(Clone, Debug, PartialEq)]
pub enum SinkInput {
    /// FROM relation.
    Relation(Name),
    /// AS query.
    Query(DefiningQuery),
}

/// CREATE SINK.
#[derive(Clone, Debug, PartialEq)]
pub struct CreateSink {
    /// What to call it.
    pub name: Name,
    /// OR REPLACE was written.
    pub or_replace: bool,
    /// IF NOT EXISTS was written.
    pub if_not_exists: bool,
    /// What it writes.
    pub input: SinkInput,
    /// WITH (...).
    pub options: Options,
    /// FORMAT ... ENCODE ....
    pub encoding: Option<Encoding>,
}

/// Reads what follows CREATE.
pub(super) fn create(input: &mut Input<'_>) -> Result<Statement> {
    let or_replace = input.accept(&["OR", "REPLACE"]);
    if input.accept(&["TABLE"]) {
        return Ok(Statement::CreateTable(relation(input, or_replace, true)?));
    }
    if input.accept(&["SOURCE"]) {
        return Ok(Statement::CreateSource(relation(input, or_replace, false)?));
    }
    if input.accept(&["EXTERNAL", "TABLE"]) {
        return Ok(Statement::CreateExternalTable(external::create(
            input, or_replace,
        )?));
    }
    if input.accept(&["MATERIALIZED", "VIEW"]) {
        return Ok(Statement::CreateMaterializedView(materialized(
            input, or_replace,
        )?));
    }
    if input.accept(&["VIEW"]) {
        return Ok(Statement::CreateView(view(input, or_replace)?));
    }
    if input.accept(&["SINK"]) {
        return Ok(Statement::CreateSink(sink(input, or_replace)?));
    }
    let is_unique = input.peek_word() == "UNIQUE" && input.peek_nth_word(1) == "INDEX";
    if !or_replace && (is_unique || input.accept(&["INDEX"])) {
        return Ok(Statement::CreateIndex(index::create(input)?));
    }
    match input.peek_word().as_str() {
        "" => input
            .unexpected("TABLE, SOURCE, VIEW, MATERIALIZED VIEW, SINK, INDEX or EXTERNAL TABLE"),
        word => unsupported(format!("CREATE {word}")),
    }
}

fn relation(input: &mut Input<'_>, or_replace: bool, table: bool) -> Result<CreateRelation> {
    let if_not_exists = input.if_not_exists();
    let name = input.name()?;
    let body = body(input)?;
    let mut options = options::with(input)?;
    let mut encoding = options::encoding(input)?;
    if encoding.is_none() {
        encoding = options::encoding(input)?;
    }
    if options.is_empty() {
        options = options::with(input)?;
    }
    let query = match table && input.accept(&["AS"]) {
        true => Some(defining_query(input, None)?),
        false => None,
    };
    let inferred = options.contains_key("connector") || options.contains_key("path");
    if body.columns.is_empty() && query.is_none() && !inferred {
        return Err(
            Error::new(Kind::Invalid, "42601", format!("\"{name}\" has no columns"))
                .with_hint("give a column list, or WITH (connector = ..., ...) to infer it"),
        );
    }
    Ok(CreateRelation {
        name,
        or_replace,
        if_not_exists,
        columns: body.columns,
        primary_key: body.primary_key,
        unique: body.unique,
        watermark: body.watermark,
        options,
        encoding,
        query,
    })
}

/// What stands in the brackets of CREATE TABLE.
#[derive(Default)]
pub(super) struct Body {
    /// In order.
    pub columns: Vec<Column>,
    /// The key's columns.
    pub primary_key: Vec<String>,
    /// The UNIQUE constraints.
    pub unique: Vec<Unique>,
    /// At most one.
    pub watermark: Option<Watermark>,
}

/// Reads `(column type ..., PRIMARY KEY (...), WATERMARK FOR ...)` if a bracket is next.
pub(super) fn body(input: &mut Input<'_>) -> Result<Body> {
    let mut body = Body::default();
    if !input.accept_token(&Token::LParen) {
        return Ok(body);
    }
    loop {
        if input.peek_word() == "WATERMARK" && input.peek_nth_word(1) == "FOR" {
            watermark(input, &mut body)?;
        } else if !constraint(input, &mut body)? {
            column(input, &mut body)?;
        }
        if !input.accept_token(&Token::Comma) {
            break;
        }
    }
    input.parser.expect_token(&Token::RParen)?;
    check_key(&mut body)?;
    Ok(body)
}

fn watermark(input: &mut Input<'_>, body: &mut Body) -> Result<()> {
    input.expect(&["WATERMARK", "FOR"])?;
    let column = input.ident()?;
    input.expect(&["AS"])?;
    let bound = input.parser.parse_expr()?;
    if body
        .watermark
        .replace(Watermark { column, bound })
        .is_some()
    {
        return Err(Error::syntax("a relation has at most one WATERMARK"));
    }
    Ok(())
}

fn constraint(input: &mut Input<'_>, body: &mut Body) -> Result<bool> {
    let mut name = None;
    if input.accept(&["CONSTRAINT"]) {
        name = Some(input.ident()?);
    } else if !matches!(
        (input.peek_word().as_str(), input.peek_nth_word(1).as_str()),
        ("PRIMARY" | "FOREIGN", "KEY") | ("UNIQUE" | "CHECK" | "EXCLUDE", "") | ("UNIQUE", "NULLS")
    ) {
        return Ok(false);
    }
    if input.accept(&["PRIMARY", "KEY"]) {
        let key = input.ident_list()?;
        if key.is_empty() {
            return input.unexpected("(column, ...)");
        }
        set_key(body, key)?;
        return Ok(true);
    }
    if input.accept(&["UNIQUE"]) {
        nulls_distinct(input)?;
        let columns = input.ident_list()?;
        if columns.is_empty() {
            return input.unexpected("(column, ...)");
        }
        body.unique.push(Unique { name, columns });
        return Ok(true);
    }
    match input.peek_word().as_str() {
        "" => input.unexpected("a constraint"),
        word => unsupported(format!("constraint {word}")),
    }
}

/// Reads NULLS [NOT] DISTINCT.
pub(super) fn nulls_distinct(input: &mut Input<'_>) -> Result<()> {
    if input.accept(&["NULLS", "NOT", "DISTINCT"]) {
        return unsupported("NULLS NOT DISTINCT");
    }
    input.accept(&["NULLS", "DISTINCT"]);
    Ok(())
}

fn set_key(body: &mut Body, key: Vec<String>) -> Result<()> {
    if body.primary_key.is_empty() {
        body.primary_key = key;
        Ok(())
    } else {
        Err(Error::new(
            Kind::Invalid,
            "42P16",
            "multiple primary keys are not allowed",
        ))
    }
}

fn column(input: &mut Input<'_>, body: &mut Body) -> Result<()> {
    let name = input.ident()?;
    if body.columns.iter().any(|column| column.name == name) {
        return Err(Error::new(
            Kind::Invalid,
            "42701",
            format!("column \"{name}\" specified more than once"),
        ));
    }
    let data_type = arrow_type(&input.parser.parse_data_type()?)?;
    let mut column = Column {
        name,
        data_type,
        nullable: true,
        default: None,
    };
    loop {
        let name = match input.accept(&["CONSTRAINT"]) {
            true => Some(input.ident()?),
            false => None,
        };
        if input.accept(&["NOT", "NULL"]) {
            column.nullable = false;
        } else if input.accept(&["NULL"]) {
            column.nullable = true;
        } else if input.accept(&["PRIMARY", "KEY"]) {
            set_key(body, vec![column.name.clone()])?;
        } else if input.accept(&["UNIQUE"]) {
            nulls_distinct(input)?;
            let columns = vec![column.name.clone()];
            body.unique.push(Unique { name, columns });
        } else if input.accept(&["DEFAULT"]) {
            // as in PostgreSQL, the NOT NULL that follows is the column's and not the expression's
            let above = DIALECT.prec_value(Precedence::Is);
            column.default = Some(input.parser.parse_subexpr(above)?);
        } else if name.is_some() && input.peek_word().is_empty() {
            return input.unexpected("a constraint");
        } else {
            break;
        }
    }
    match input.peek_word().as_str() {
        "" => {}
        word @ ("CHECK" | "REFERENCES" | "GENERATED" | "COLLATE" | "AS") => {
            return unsupported(format!("{word} on column \"{}\"", column.name));
        }
        _ => return input.unexpected("a column option, \",\" or \")\""),
    }
    body.columns.push(column);
    Ok(())
}

fn check_key(body: &mut Body) -> Result<()> {
    let inferred = body.columns.is_empty();
    for (place, key) in body.primary_key.iter().enumerate() {
        if body
            .primary_key
            .iter()
            .take(place)
            .any(|before| before == key)
        {
            return Err(Error::new(
                Kind::Invalid,
                "42701",
                format!("column \"{key}\" appears twice in primary key"),
            ));
        }
        match body.columns.iter_mut().find(|column| column.name == *key) {
            Some(column) => column.nullable = false,
            // Columns may be inferred as a whole, but not one by one.
            None if inferred => {}
            None => return Err(missing(key)),
        }
    }
    for unique in &body.unique {
        for (place, column) in unique.columns.iter().enumerate() {
            if unique
                .columns
                .iter()
                .take(place)
                .any(|before| before == column)
            {
                return Err(Error::new(
                    Kind::Invalid,
                    "42701",
                    format!("column \"{column}\" appears twice in unique constraint"),
                ));
            }
        }
    }
    match &body.watermark {
        Some(mark) if !body.columns.iter().any(|column| column.name == mark.column) => {
            Err(missing(&mark.column))
        }
        _ => Ok(()),
    }
}

fn missing(column: &str) -> Error {
    Error::new(
        Kind::Invalid,
        "42703",
        format!("column \"{column}\" does not exist"),
    )
}

/// Reads a query up to the end or to `until`, and keeps its text.
pub(super) fn defining_query(
    input: &mut Input<'_>,
    until: Option<Location>,
) -> Result<DefiningQuery> {
    let from = input.here();
    let query = input.query()?;
    input.finish()?;
    Ok(DefiningQuery {
        query,
        text: input.between(from, until),
    })
}

fn view(input: &mut Input<'_>, or_replace: bool) -> Result<CreateView> {
    let if_not_exists = input.if_not_exists();
    let name = input.name()?;
    let columns = input.ident_list()?;
    input.expect(&["AS"])?;
    let query = defining_query(input, None)?;
    Ok(CreateView {
        name,
        or_replace,
        if_not_exists,
        columns,
        query,
    })
}

const EMIT_ON_CLOSE: &[&str] = &["EMIT", "ON", "WINDOW", "CLOSE"];

fn materialized(input: &mut Input<'_>, or_replace: bool) -> Result<CreateMaterializedView> {
    let if_not_exists = input.if_not_exists();
    let name = input.name()?;
    let columns = input.ident_list()?;
    let mut options = options::with(input)?;
    let mut emit_on_close = false;
    input.expect(&["AS"])?;
    let tail = input.cut_at_with();
    let until = tail.as_ref().map(|tail| tail.peek_token_ref().span.start);
    let query = defining_query(input, until)?;
    if let Some(tail) = tail {
        input.parser = tail;
        emit_on_close = input.accept(EMIT_ON_CLOSE);
        if input.accept(&["WITH", "NO", "DATA"]) {
            return unsupported("WITH NO DATA");
        }
        if !input.accept(&["WITH", "DATA"]) {
            options.extend(options::with(input)?);
        }
        emit_on_close = emit_on_close || input.accept(EMIT_ON_CLOSE);
    }
    let view = CreateView {
        name,
        or_replace,
        if_not_exists,
        columns,
        query,
    };
    Ok(CreateMaterializedView {
        view,
        options,
        emit_on_close,
    })
}

fn sink(input: &mut Input<'_>, or_replace: bool) -> Result<CreateSink> {
    let if_not_exists = input.if_not_exists();
    let name = input.name()?;
    let from = if input.accept(&["FROM"]) {
        SinkInput::Relation(input.name()?)
    } else {
        input.expect(&["AS"])?;
        let tail = input.cut_at_with();
        let until = tail.as_ref().map(|tail| tail.peek_token_ref().span.start);
        let query = defining_query(input, until)?;
        input.parser = tail.unwrap_or_else(|| parser_over(Vec::new()));
        SinkInput::Query(query)
    };
    if input.peek_word() != "WITH" {
        return input.unexpected("WITH (connector = ..., ...)");
    }
    let options = options::with(input)?;
    let encoding = options::encoding(input)?;
    Ok(CreateSink {
        name,
        or_replace,
        if_not_exists,
        input: from,
        options,
        encoding,
    })
}
