//! Arrays: as literal texts, as subqueries, of columns, and behind ANY and ALL.
//!
//! `'{1,2}'::INT[]` becomes `ARRAY['1', '2']::INT[]`. `ARRAY(SELECT ...)` becomes an aggregate in a subquery. `ARRAY[a, b]` over columns becomes
//! `make_array(a, b)`: DataFusion plans the elements of a literal without the scopes around a subquery, so that a
//! column of the row outside is unknown in it. `x = ANY (a)` becomes `NOT x <> ALL (a)`: of the two DataFusion gives ALL alone the
//! value NULL where an element that is NULL leaves it open.

use sqlparser::ast::{
    Array, ArrayElemTypeDef, BinaryOperator, DataType, Distinct, Expr, Function,
    FunctionArgumentClause, FunctionArguments, GroupByExpr, Ident, OrderByExpr, OrderByKind, Query,
    SelectItem, SetExpr, TableAlias, TableAliasColumnDef, TableFactor, TableWithJoins, Value,
};

use super::build::number;
use super::from_functions::{function, reads_columns};
use super::rows::{binary, not};
use super::table::{query as query_of, select as select_of};
use crate::base::{Error, Result};

/// Rewrites `expr` where it is an array.
///
/// # Errors
/// 22P02 for a text that is no array, 0A000 for a subquery whose order an aggregate cannot have.
pub(super) fn rewrite(expr: &mut Expr) -> Result<()> {
    match expr {
        Expr::Array(array) if array.elem.iter().any(reads_columns) => {
            *expr = function("make_array", std::mem::take(&mut array.elem));
        }
        Expr::Cast {
            expr: inner,
            data_type: data_type @ DataType::Array(_),
            ..
        } => {
            if let Some(array) = text_of(inner).map(read).transpose()? {
                // `INT[]` is the type of arrays of any depth
                for _ in depth_of(data_type)..depth(&array) {
                    let element =
                        ArrayElemTypeDef::SquareBracket(Box::new(data_type.clone()), None);
                    *data_type = DataType::Array(element);
                }
                **inner = array;
            }
        }
        Expr::AnyOp { right, .. } | Expr::AllOp { right, .. } => {
            if let Some(array) = text_of(right).map(read).transpose()? {
                **right = numbers_where_they_are(array);
            }
            if let Some(made) = quantified(expr) {
                *expr = made;
            }
        }
        Expr::Function(call) if call.name.to_string().eq_ignore_ascii_case("array") => {
            if let FunctionArguments::Subquery(query) = &mut call.args {
                *expr = collected(query)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// ANY or ALL of the elements of an array, as DataFusion gets them right; `None` where it is one of a subquery, or right as it is.
fn quantified(expr: &Expr) -> Option<Expr> {
    use BinaryOperator::{Eq, Gt, GtEq, Lt, LtEq, NotEq};
    let (left, op, right, is_any) = match expr {
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } => (left, compare_op, right, true),
        Expr::AllOp {
            left,
            compare_op,
            right,
        } => (left, compare_op, right, false),
        _ => return None,
    };
    if matches!(**right, Expr::Subquery(_)) {
        return None;
    }
    let elements = elements_of(right);
    let opposite = match op {
        // a list that DataFusion can look up, and prune files by
        Eq if elements.is_some_and(|all| !all.iter().any(reads_columns)) => return None,
        Eq => NotEq,
        NotEq => Eq,
        Lt => GtEq,
        LtEq => Gt,
        Gt => LtEq,
        GtEq => Lt,
        op => {
            let each = elements?.iter();
            let each = each.map(|element| binary((**left).clone(), op.clone(), element.clone()));
            return Some(all_or_any(is_any, each));
        }
    };
    is_any.then(|| {
        not(Expr::AllOp {
            left: left.clone(),
            compare_op: opposite,
            right: right.clone(),
        })
    })
}

/// The elements of an array that is written out.
pub(super) fn elements_of(array: &Expr) -> Option<&[Expr]> {
    match array {
        Expr::Nested(inner) => elements_of(inner),
        Expr::Array(array) => Some(&array.elem),
        _ => None,
    }
}

/// Whether one of `tests` is true, where `is_any`, else whether all are.
pub(super) fn all_or_any(is_any: bool, tests: impl Iterator<Item = Expr>) -> Expr {
    let op = if is_any {
        BinaryOperator::Or
    } else {
        BinaryOperator::And
    };
    let all = tests.reduce(|left, right| binary(left, op.clone(), right));
    let all = all.unwrap_or_else(|| Expr::Value(Value::Boolean(!is_any).into()));
    Expr::Nested(Box::new(all))
}

/// The text of a literal.
pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Nested(inner) => text_of(inner),
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

/// How deep arrays are nested in a type.
fn depth_of(data_type: &DataType) -> usize {
    match data_type {
        DataType::Array(
            ArrayElemTypeDef::SquareBracket(element, _) | ArrayElemTypeDef::AngleBracket(element),
        ) => 1 + depth_of(element),
        DataType::Array(_) => 1,
        _ => 0,
    }
}

/// How deep they are nested in a value.
fn depth(value: &Expr) -> usize {
    match value {
        Expr::Array(array) => 1 + array.elem.iter().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

fn array(elem: Vec<Expr>) -> Expr {
    Expr::Array(Array { elem, named: true })
}

/// An array of numbers where all elements of `all` are: the other side of `= ANY ('{1,2}')` decides in PostgreSQL.
fn numbers_where_they_are(all: Expr) -> Expr {
    let Expr::Array(Array { elem, .. }) = all else {
        return all;
    };
    let numbers = elem.iter().map(|element| {
        let text = text_of(element)?;
        let is_number = text.parse::<f64>().is_ok_and(f64::is_finite)
            && text.starts_with(|first: char| first.is_ascii_digit());
        is_number.then(|| number(text))
    });
    let numbers: Option<Vec<Expr>> = numbers.collect();
    array(numbers.unwrap_or(elem))
}

/// The array that a text such as `{1,"two, three",NULL,{4}}` says, its elements as texts.
pub(super) fn read(text: &str) -> Result<Expr> {
    let mut reader = Reader {
        text,
        rest: text.trim(),
    };
    let all = reader.array()?;
    if reader.rest.is_empty() {
        Ok(all)
    } else {
        Err(reader.malformed())
    }
}

struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
}

impl Reader<'_> {
    fn malformed(&self) -> Error {
        Error::bad_value(format!("malformed array literal: \"{}\"", self.text))
    }

    fn takes(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        let after = self.rest.strip_prefix(wanted);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn array(&mut self) -> Result<Expr> {
        if !self.takes('{') {
            return Err(self.malformed());
        }
        let mut elements = Vec::new();
        if self.takes('}') {
            return Ok(array(elements));
        }
        loop {
            self.rest = self.rest.trim_start();
            elements.push(match self.rest.chars().next() {
                Some('{') => self.array()?,
                Some('"') => self.quoted()?,
                _ => self.bare()?,
            });
            if self.takes('}') {
                return Ok(array(elements));
            }
            if !self.takes(',') {
                return Err(self.malformed());
            }
        }
    }

    fn quoted(&mut self) -> Result<Expr> {
        let mut value = String::new();
        let mut letters = self.rest.char_indices().skip(1);
        while let Some((at, letter)) = letters.next() {
            match letter {
                '"' => {
                    self.rest = self.rest.get(at + 1..).unwrap_or_default();
                    return Ok(text(value));
                }
                '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
                letter => value.push(letter),
            }
        }
        Err(self.malformed())
    }

    fn bare(&mut self) -> Result<Expr> {
        let end = self.rest.find([',', '{', '}', '"', '\\']);
        let (value, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let value = value.trim();
        if value.is_empty() {
            return Err(self.malformed());
        }
        self.rest = rest;
        Ok(if value.eq_ignore_ascii_case("null") {
            Expr::Value(Value::Null.into())
        } else {
            text(value.to_owned())
        })
    }
}

fn text(value: String) -> Expr {
    Expr::Value(Value::SingleQuotedString(value).into())
}

/// `ARRAY(query)`: what the query's one column holds, in its order.
fn collected(query: &mut Query) -> Result<Expr> {
    let order = match query.order_by.take().map(|order_by| order_by.kind) {
        Some(OrderByKind::Expressions(keys)) => keys,
        Some(OrderByKind::All(_)) => return Err(ordered()),
        None => Vec::new(),
    };
    let is_whole = query.with.is_none() && query.limit_clause.is_none() && query.fetch.is_none();
    if is_whole
        && let SetExpr::Select(select) = query.body.as_mut()
        && let Some(value) = one_value(select)
    {
        let keys = order
            .into_iter()
            .map(|key| means(key, &value, &select.projection[0]));
        let keys = keys.collect::<Result<Vec<_>>>()?;
        select.projection = vec![SelectItem::UnnamedExpr(aggregate(value, keys))];
    } else if order.is_empty() {
        let name = Ident::new("__lotic_elements");
        let alias = TableAlias {
            explicit: true,
            name: name.clone(),
            columns: vec![TableAliasColumnDef {
                name: name.clone(),
                data_type: None,
            }],
            at: None,
        };
        let from = TableWithJoins {
            relation: TableFactor::Derived {
                lateral: false,
                subquery: Box::new(query.clone()),
                alias: Some(alias),
                sample: None,
            },
            joins: Vec::new(),
        };
        let value = aggregate(Expr::Identifier(name), Vec::new());
        let select = select_of(vec![SelectItem::UnnamedExpr(value)], vec![from]);
        *query = query_of(SetExpr::Select(Box::new(select)));
    } else {
        return Err(ordered());
    }
    let value = Expr::Subquery(Box::new(query.clone()));
    Ok(function(
        "coalesce",
        vec![value, function("make_array", Vec::new())],
    ))
}

fn ordered() -> Error {
    Error::unsupported(
        "ARRAY (SELECT ...) with an ORDER BY beside DISTINCT, GROUP BY or LIMIT is not supported",
    )
    .with_hint("use array_agg(column ORDER BY ...) over the query as a derived table")
}

/// The one column of a SELECT whose rows are those of its FROM and WHERE.
fn one_value(select: &sqlparser::ast::Select) -> Option<Expr> {
    let is_plain = matches!(&select.distinct, None | Some(Distinct::All))
        && matches!(&select.group_by, GroupByExpr::Expressions(keys, modifiers) if keys.is_empty() && modifiers.is_empty())
        && select.having.is_none()
        && select.qualify.is_none();
    match &select.projection[..] {
        [SelectItem::UnnamedExpr(value) | SelectItem::ExprWithAlias { expr: value, .. }]
            if is_plain && !calls(value) =>
        {
            Some(value.clone())
        }
        _ => None,
    }
}

/// Whether `expr` calls a function, which may be an aggregate, a window function or one that gives rows.
fn calls(expr: &Expr) -> bool {
    sqlparser::ast::visit_expressions(expr, |inner| match inner {
        Expr::Function(_) => std::ops::ControlFlow::Break(()),
        _ => std::ops::ControlFlow::Continue(()),
    })
    .is_break()
}

/// A key of ORDER BY as one of an aggregate: the column's name or number there means the value.
fn means(mut key: OrderByExpr, value: &Expr, item: &SelectItem) -> Result<OrderByExpr> {
    let is_alias = |name: &Ident| matches!(item, SelectItem::ExprWithAlias { alias, .. } if alias.value == name.value);
    match &key.expr {
        Expr::Identifier(name) if is_alias(name) => key.expr = value.clone(),
        Expr::Value(number) => match &number.value {
            Value::Number(number, _) if number == "1" => key.expr = value.clone(),
            _ => return Err(ordered()),
        },
        _ => {}
    }
    Ok(key)
}

fn aggregate(value: Expr, order: Vec<OrderByExpr>) -> Expr {
    let mut call = function("array_agg", vec![value]);
    if let Expr::Function(Function {
        args: FunctionArguments::List(list),
        ..
    }) = &mut call
        && !order.is_empty()
    {
        list.clauses.push(FunctionArgumentClause::OrderBy(order));
    }
    call
}
