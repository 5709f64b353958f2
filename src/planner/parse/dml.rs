//! INSERT, UPDATE, DELETE.

use sqlparser::ast;

use super::input::{Input, unsupported};
use super::names::{Name, fold, object_name};
use crate::base::{Error, Kind, Result};

/// INSERT INTO table (columns) query. VALUES is a query too.
#[derive(Clone, Debug, PartialEq)]
pub struct Insert {
    /// Where to.
    pub table: Name,
    /// The target columns; empty means all in order.
    pub columns: Vec<String>,
    /// What to insert.
    pub source: Box<ast::Query>,
}

/// UPDATE table SET ... WHERE ....
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// What to change.
    pub table: Name,
    /// The name by which expressions call it.
    pub alias: Option<String>,
    /// Column and new value, in the order written, no column twice.
    pub assignments: Vec<(String, ast::Expr)>,
    /// WHERE.
    pub selection: Option<ast::Expr>,
}

/// DELETE FROM table WHERE ....
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// What to change.
    pub table: Name,
    /// The name by which expressions call it.
    pub alias: Option<String>,
    /// WHERE.
    pub selection: Option<ast::Expr>,
}

/// Reads a whole INSERT.
pub(super) fn insert(input: &mut Input<'_>) -> Result<Insert> {
    let ast::Statement::Insert(insert) = input.parser.parse_statement()? else {
        return unsupported("this form of INSERT");
    };
    if insert.on.is_some() {
        return unsupported("INSERT ... ON CONFLICT");
    }
    if insert.returning.is_some() || insert.output.is_some() {
        return unsupported("INSERT ... RETURNING");
    }
    let rare = insert.or.is_some()
        || insert.ignore
        || insert.overwrite
        || insert.replace_into
        || insert.partitioned.is_some()
        || !insert.assignments.is_empty()
        || !insert.after_columns.is_empty()
        || insert.insert_alias.is_some()
        || insert.settings.is_some()
        || insert.format_clause.is_some();
    if rare {
        return unsupported("this form of INSERT");
    }
    let ast::TableObject::TableName(table) = &insert.table else {
        return unsupported("INSERT into a table function");
    };
    // DEFAULT VALUES is one row that gives no column a value
    let source = match insert.source {
        Some(source) => source,
        None => Box::new(empty_row()),
    };
    let mut columns = Vec::new();
    for column in &insert.columns {
        let column = object_name(column)?.name;
        push_once(&mut columns, column)?;
    }
    Ok(Insert {
        table: object_name(table)?,
        columns,
        source,
    })
}

fn empty_row() -> ast::Query {
    let values = ast::Values {
        explicit_row: false,
        value_keyword: false,
        rows: vec![ast::Parens::with_empty_span(Vec::new())],
    };
    ast::Query {
        with: None,
        body: Box::new(ast::SetExpr::Values(values)),
        order_by: None,
        limit_clause: None,
        fetch: None,
        locks: Vec::new(),
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators: Vec::new(),
    }
}

fn push_once(columns: &mut Vec<String>, column: String) -> Result<()> {
    if columns.contains(&column) {
        return Err(twice(&column));
    }
    columns.push(column);
    Ok(())
}

fn twice(column: &str) -> Error {
    Error::new(
        Kind::Invalid,
        "42701",
        format!("column \"{column}\" specified more than once"),
    )
}

/// Reads a whole UPDATE.
pub(super) fn update(input: &mut Input<'_>) -> Result<Update> {
    let ast::Statement::Update(update) = input.parser.parse_statement()? else {
        return unsupported("this form of UPDATE");
    };
    if update.from.is_some() {
        return unsupported("UPDATE ... FROM");
    }
    if update.returning.is_some() || update.output.is_some() {
        return unsupported("UPDATE ... RETURNING");
    }
    if update.or.is_some() || update.limit.is_some() || !update.order_by.is_empty() {
        return unsupported("this form of UPDATE");
    }
    let (table, alias) = target(&update.table)?;
    let mut assignments: Vec<(String, ast::Expr)> = Vec::new();
    for assignment in update.assignments {
        let ast::AssignmentTarget::ColumnName(column) = assignment.target else {
            return unsupported("UPDATE ... SET (columns) = ...");
        };
        let column = object_name(&column)?.name;
        if assignments.iter().any(|(before, _)| *before == column) {
            return Err(twice(&column));
        }
        assignments.push((column, assignment.value));
    }
    Ok(Update {
        table,
        alias,
        assignments,
        selection: update.selection,
    })
}

/// Reads a whole DELETE.
pub(super) fn delete(input: &mut Input<'_>) -> Result<Delete> {
    let ast::Statement::Delete(delete) = input.parser.parse_statement()? else {
        return unsupported("this form of DELETE");
    };
    if delete.using.is_some() {
        return unsupported("DELETE ... USING");
    }
    if delete.returning.is_some() || delete.output.is_some() {
        return unsupported("DELETE ... RETURNING");
    }
    if delete.limit.is_some() || !delete.order_by.is_empty() || !delete.tables.is_empty() {
        return unsupported("this form of DELETE");
    }
    let from = match &delete.from {
        ast::FromTable::WithFromKeyword(from) | ast::FromTable::WithoutKeyword(from) => from,
    };
    let [table] = from.as_slice() else {
        return unsupported("DELETE from several tables");
    };
    let (table, alias) = target(table)?;
    Ok(Delete {
        table,
        alias,
        selection: delete.selection,
    })
}

fn target(table: &ast::TableWithJoins) -> Result<(Name, Option<String>)> {
    let ast::TableFactor::Table {
        name,
        alias,
        args: None,
        version: None,
        sample: None,
        ..
    } = &table.relation
    else {
        return unsupported("a target that is not a plain table");
    };
    if !table.joins.is_empty() {
        return unsupported("a join as target");
    }
    let alias = alias.as_ref().map(|alias| fold(&alias.name));
    Ok((object_name(name)?, alias))
}
