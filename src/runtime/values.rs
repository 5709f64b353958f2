//! `INSERT ... VALUES` of literals and parameters, straight to columns.
//!
//! Most inserts are of this kind. Planning them would cost more than everything else together, so
//! the texts of a column's literals become one array that Arrow casts as a whole.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, ListArray, RecordBatch, StringBuilder, new_null_array,
};
use arrow::compute::{CastOptions, cast_with_options, concat};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::util::display::FormatOptions;
use datafusion::common::ScalarValue;
use lotic_udfs::json;
use sqlparser::ast;

use super::defaults::Defaults;
use crate::base::{Error, Kind, Result};
use crate::catalog::Object;
use crate::planner::functions::casts::before_cast;
use crate::sources::other_value;

/// The rows of `values` as a batch for `object`, or `None` where an expression is not so simple.
///
/// `targets[i]` is the column that position `i` of a row goes to; other columns get their defaults.
///
/// # Errors
/// 22P02 or 22003, naming column and row, when a literal does not fit, 42601 when rows differ in length.
pub(crate) fn literal_rows(
    rows: &[Vec<&ast::Expr>],
    targets: &[usize],
    object: &Object,
    defaults: &Defaults,
    parameters: &[ScalarValue],
) -> Result<Option<RecordBatch>> {
    let schema = &object.schema;
    if rows.iter().any(|row| row.len() > targets.len()) {
        return Err(Error::syntax(
            "INSERT has more expressions than target columns",
        ));
    }
    if rows.iter().any(|row| row.len() < targets.len()) {
        return Err(Error::syntax(
            "INSERT has more target columns than expressions",
        ));
    }
    let mut columns = defaults.columns(schema, rows.len())?;
    for (position, target) in targets.iter().enumerate() {
        let data_type = schema.field(*target).data_type();
        let cells: Vec<&ast::Expr> = rows.iter().map(|row| row[position]).collect();
        let column = column_of(&cells, data_type, parameters).map_err(|error| {
            let row = failing_cell(&cells, data_type, parameters);
            error.at(format!("{}, row {row}", place_of(object, *target)))
        })?;
        let Some(column) = column else {
            return Ok(None);
        };
        columns[*target] = column;
    }
    check_not_null(schema, &columns)?;
    Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
}

/// The number of the first cell that does not fit, from 1.
fn failing_cell(cells: &[&ast::Expr], data_type: &DataType, parameters: &[ScalarValue]) -> usize {
    let fits = |cell: &&ast::Expr| column_of(&[*cell], data_type, parameters).is_ok();
    1 + cells.iter().take_while(|cell| fits(cell)).count()
}

/// A column of a table, for people.
pub(super) fn place_of(object: &Object, column: usize) -> String {
    format!(
        "column \"{}\" of \"{}\"",
        object.schema.field(column).name(),
        object.name
    )
}

/// Refuses NULL where the schema does.
///
/// # Errors
/// 23502, naming the column.
pub(crate) fn check_not_null(schema: &SchemaRef, columns: &[ArrayRef]) -> Result<()> {
    for (field, column) in schema.fields().iter().zip(columns) {
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(Error::new(
                Kind::Conflict,
                "23502",
                format!(
                    "null value in column \"{}\" violates not-null constraint",
                    field.name()
                ),
            ));
        }
    }
    Ok(())
}

/// `column` as `data_type`; a value that does not fit is an error, never NULL.
///
/// # Errors
/// 22P02 or 22003.
pub(crate) fn strict_cast(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    if *data_type == json::TYPE && !column.data_type().is_null() {
        return as_json(column);
    }
    if let (DataType::List(from), DataType::List(to)) = (column.data_type(), data_type)
        && *to.data_type() == json::TYPE
        && from.data_type().is_string()
    {
        let list = column.as_list::<i32>();
        let items = as_json(list.values())?;
        let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
        let list = ListArray::try_new(Arc::clone(to), offsets, items, nulls)?;
        return Ok(Arc::new(list));
    }
    if data_type.is_nested() && column.data_type().is_string() {
        return nested_from_texts(column, data_type);
    }
    let options = CastOptions {
        safe: false,
        format_options: FormatOptions::default(),
    };
    let column = before_cast(column, data_type)?;
    Ok(cast_with_options(&column, data_type, &options)?)
}

/// Arrays (and structures) of their texts: `{1,2}`.
fn nested_from_texts(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    let texts = cast_with_options(column, &DataType::Utf8View, &CastOptions::default())?;
    let missing = new_null_array(data_type, 1);
    let mut values = vec![new_null_array(data_type, 0)];
    for text in texts.as_string_view() {
        values.push(match text {
            None => Arc::clone(&missing),
            Some(text) => other_value(text.as_bytes(), data_type)
                .ok_or_else(|| Error::bad_value(format!("malformed array literal: \"{text}\"")))?,
        });
    }
    let values: Vec<&dyn Array> = values.iter().map(AsRef::as_ref).collect();
    Ok(concat(&values)?)
}

/// Texts as JSON.
fn as_json(column: &ArrayRef) -> Result<ArrayRef> {
    if !column.data_type().is_string() {
        let message = "column is of type jsonb but expression is of another type";
        return Err(Error::new(Kind::Invalid, "42804", message)
            .with_hint("to_jsonb() makes JSON of any value"));
    }
    Ok(json::parsed(column)?)
}

/// One column of cells, all literals or parameters.
fn column_of(
    cells: &[&ast::Expr],
    data_type: &DataType,
    parameters: &[ScalarValue],
) -> Result<Option<ArrayRef>> {
    let text = |cell: &&ast::Expr| {
        matches!(cell, ast::Expr::Value(value)
            if matches!(value.value, ast::Value::SingleQuotedString(_) | ast::Value::Null))
    };
    let nested = data_type.is_nested() && !cells.iter().all(text);
    if nested || matches!(data_type, DataType::Binary | DataType::BinaryView) {
        return parameters_only(cells, data_type, parameters);
    }
    let mut texts = StringBuilder::with_capacity(cells.len(), cells.len() * 8);
    for cell in cells {
        match literal_text(cell, data_type) {
            Some(Literal::Null) => texts.append_null(),
            Some(Literal::Text(text)) => texts.append_value(text),
            None => return parameters_only(cells, data_type, parameters),
        }
    }
    let texts: ArrayRef = Arc::new(texts.finish());
    strict_cast(&texts, data_type).map(Some)
}

/// A column where each cell is a parameter or NULL.
fn parameters_only(
    cells: &[&ast::Expr],
    data_type: &DataType,
    parameters: &[ScalarValue],
) -> Result<Option<ArrayRef>> {
    let mut pieces = Vec::with_capacity(cells.len());
    for cell in cells {
        let ast::Expr::Value(value) = cell else {
            return Ok(None);
        };
        let piece = match &value.value {
            ast::Value::Placeholder(name) => {
                let index = name.trim_start_matches('$').parse::<usize>().unwrap_or(0);
                let Some(parameter) = index.checked_sub(1).and_then(|i| parameters.get(i)) else {
                    return Err(Error::new(
                        Kind::Invalid,
                        "42P02",
                        format!("there is no parameter {name}"),
                    ));
                };
                strict_cast(&parameter.to_array()?, data_type)?
            }
            ast::Value::Null => new_null_array(data_type, 1),
            _ => return Ok(None),
        };
        pieces.push(piece);
    }
    if let [piece] = pieces.as_slice() {
        return Ok(Some(Arc::clone(piece)));
    }
    let all: Vec<&dyn Array> = pieces.iter().map(AsRef::as_ref).collect();
    Ok(Some(concat(&all)?))
}

enum Literal {
    Null,
    Text(String),
}

/// The text of a literal whose cast from text means what SQL means by it.
fn literal_text(expr: &ast::Expr, data_type: &DataType) -> Option<Literal> {
    match expr {
        ast::Expr::Value(value) => match &value.value {
            ast::Value::Null => Some(Literal::Null),
            ast::Value::Boolean(flag) if *data_type == DataType::Boolean => {
                Some(Literal::Text(flag.to_string()))
            }
            ast::Value::SingleQuotedString(text) => Some(Literal::Text(text.clone())),
            ast::Value::Number(text, _) => number(text, data_type).map(Literal::Text),
            _ => None,
        },
        ast::Expr::UnaryOp {
            op: ast::UnaryOperator::Minus,
            expr,
        } => match expr.as_ref() {
            ast::Expr::Value(value) => match &value.value {
                ast::Value::Number(text, _) => {
                    number(text, data_type).map(|text| Literal::Text(format!("-{text}")))
                }
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// A number's text, where the column takes numbers of this form without rounding rules.
fn number(text: &str, data_type: &DataType) -> Option<String> {
    let whole = text.bytes().all(|byte| byte.is_ascii_digit());
    let fits = match data_type {
        _ if data_type.is_integer() => whole,
        DataType::Utf8 | DataType::Utf8View => true,
        DataType::Decimal128(_, scale) => {
            let decimals = text.split_once('.').map_or(0, |(_, after)| after.len());
            !text.contains(['e', 'E']) && i8::try_from(decimals).is_ok_and(|d| d <= *scale)
        }
        _ => data_type.is_floating(),
    };
    fits.then(|| text.to_owned())
}
