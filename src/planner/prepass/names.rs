//! Output columns named as PostgreSQL names them, and told apart where two have one name.
//!
//! DataFusion names `count(*)` so, PostgreSQL names it `count`; DataFusion refuses `SELECT a, a`, PostgreSQL runs
//! it. So every unnamed expression gets PostgreSQL's name, and a name that is taken gets a mark and a number behind
//! it, which `output_name` takes off again where a schema leaves Lotic.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use sqlparser::ast::{
    AccessExpr, Expr, GroupByExpr, Ident, ObjectNamePart, Select, SelectItem, Value,
};

use crate::base::COPY_MARK;
use crate::planner::parse::fold_ident;

/// The name of the `number`th column that the user sees as `own`.
pub fn copy_name(own: &str, number: usize) -> String {
    format!("{own}{COPY_MARK}{number}")
}

/// The name that the user sees for a column of a plan.
pub fn output_name(name: &str) -> &str {
    name.split_once(COPY_MARK).map_or(name, |(own, _)| own)
}

/// `schema` with the names that the user sees; two columns may then have one name.
pub fn restore_names(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| {
        let name = output_name(field.name());
        if name.len() == field.name().len() {
            Arc::clone(field)
        } else {
            Arc::new(Field::clone(field).with_name(name))
        }
    });
    Arc::new(Schema::new_with_metadata(
        fields.collect::<Vec<_>>(),
        schema.metadata().clone(),
    ))
}

/// Names the columns of `select`.
pub(super) fn rewrite(select: &mut Select) {
    let star = select.projection.iter().any(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    let reserved = grouping_names(&select.group_by);
    let mut taken = BTreeSet::new();
    for item in &mut select.projection {
        name(item, star, &reserved, &mut taken);
    }
}

fn name(
    item: &mut SelectItem,
    star: bool,
    reserved: &BTreeSet<String>,
    taken: &mut BTreeSet<String>,
) {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => {
            let own = fold_ident(alias);
            if !taken.insert(own.clone()) {
                *alias = marked(&own, taken);
            }
        }
        SelectItem::UnnamedExpr(expr) => {
            if expands(expr) {
                return;
            }
            let column = column_name(expr);
            let own = column.clone().unwrap_or_else(|| figure(expr));
            // A column beside `*` is a second copy; an expression named like a grouping column would capture it.
            let clash = match column {
                Some(_) => star || taken.contains(&own),
                None => taken.contains(&own) || reserved.contains(&own),
            };
            let alias = if clash {
                marked(&own, taken)
            } else {
                Ident::with_quote('"', own.clone())
            };
            taken.insert(own);
            if column_name(expr).is_none() || clash {
                let expr = expr.clone();
                *item = SelectItem::ExprWithAlias { expr, alias };
            }
        }
        SelectItem::Wildcard(_)
        | SelectItem::QualifiedWildcard(..)
        | SelectItem::ExprWithAliases { .. } => {}
    }
}

fn marked(own: &str, taken: &mut BTreeSet<String>) -> Ident {
    let mut number = 1_usize;
    loop {
        let name = copy_name(own, number);
        if taken.insert(name.clone()) {
            return Ident::with_quote('"', name);
        }
        number += 1;
    }
}

/// The plain names in GROUP BY: there PostgreSQL looks for an input column first, DataFusion for an alias.
fn grouping_names(group_by: &GroupByExpr) -> BTreeSet<String> {
    let GroupByExpr::Expressions(keys, _) = group_by else {
        return BTreeSet::new();
    };
    keys.iter().filter_map(column_name).collect()
}

fn column_name(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(ident) => Some(fold_ident(ident)),
        Expr::CompoundIdentifier(parts) => parts.last().map(fold_ident),
        _ => None,
    }
}

/// Calls that DataFusion expands to several columns or rows of its own naming.
fn expands(expr: &Expr) -> bool {
    match expr {
        Expr::Function(function) => {
            matches!(function.name.to_string().to_lowercase().as_str(), "unnest")
        }
        _ => false,
    }
}

/// PostgreSQL's FigureColname: the name of an expression that has none.
pub(super) fn figure(expr: &Expr) -> String {
    strong(expr).unwrap_or_else(|| weak(expr).unwrap_or("?column?").to_owned())
}

fn strong(expr: &Expr) -> Option<String> {
    match expr {
        Expr::Identifier(_) | Expr::CompoundIdentifier(_) => column_name(expr),
        Expr::Function(function) => match function.name.0.last()? {
            ObjectNamePart::Identifier(ident) => Some(fold_ident(ident)),
            ObjectNamePart::Function(_) => None,
        },
        Expr::Nested(inner) | Expr::Collate { expr: inner, .. } => strong(inner),
        Expr::CompoundFieldAccess { access_chain, .. } => match access_chain.last()? {
            AccessExpr::Dot(Expr::Identifier(field)) => Some(fold_ident(field)),
            _ => None,
        },
        Expr::Cast {
            expr: inner,
            data_type,
            ..
        } => strong(inner).or_else(|| Some(type_name(&data_type.to_string()))),
        Expr::Extract { .. } => Some("extract".to_owned()),
        Expr::Position { .. } => Some("position".to_owned()),
        Expr::Substring { .. } => Some("substring".to_owned()),
        Expr::Trim { .. } => Some("btrim".to_owned()),
        Expr::Overlay { .. } => Some("overlay".to_owned()),
        Expr::Ceil { .. } => Some("ceil".to_owned()),
        Expr::Floor { .. } => Some("floor".to_owned()),
        Expr::Subquery(query) => match query.body.as_select()?.projection.first()? {
            SelectItem::ExprWithAlias { alias, .. } => Some(fold_ident(alias)),
            SelectItem::UnnamedExpr(inner) => strong(inner),
            _ => None,
        },
        _ => None,
    }
}

fn weak(expr: &Expr) -> Option<&'static str> {
    match expr {
        Expr::Nested(inner) => weak(inner),
        Expr::Case { .. } => Some("case"),
        Expr::Array(_) => Some("array"),
        Expr::Exists { .. } => Some("exists"),
        Expr::Tuple(_) => Some("row"),
        Expr::Interval(_) => Some("interval"),
        Expr::TypedString(_) => None,
        Expr::Value(value) => matches!(value.value, Value::Boolean(_)).then_some("bool"),
        _ => None,
    }
}

/// PostgreSQL's internal name of the types that have another.
fn type_name(sql: &str) -> String {
    let own = sql
        .split(['(', ' ', '['])
        .next()
        .unwrap_or(sql)
        .to_lowercase();
    match own.as_str() {
        "int" | "integer" => "int4",
        "bigint" => "int8",
        "smallint" => "int2",
        "real" => "float4",
        "double" | "float" => "float8",
        "boolean" => "bool",
        "decimal" | "dec" => "numeric",
        other => other,
    }
    .to_owned()
}
