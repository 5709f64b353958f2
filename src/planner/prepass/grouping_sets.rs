//! Grouping sets that name their columns by number, those within GROUPING SETS, and the empty one alone: `GROUP BY ROLLUP (1, 2)`,
//! `GROUP BY GROUPING SETS (ROLLUP (a, b), c)`, `GROUP BY ()`.

use sqlparser::ast::{Expr, FunctionArguments, GroupByExpr, Select, SelectItem, Value};

use super::from_functions::plain;
use crate::base::{Error, Kind, Result};

/// Writes them out.
///
/// # Errors
/// 42P10 for a number that no column has.
pub(super) fn rewrite(select: &mut Select) -> Result<()> {
    let GroupByExpr::Expressions(groups, _) = &mut select.group_by else {
        return Ok(());
    };
    let empty = |group: &Expr| matches!(group, Expr::Tuple(keys) if keys.is_empty());
    if groups.iter().any(empty) {
        groups.retain(|group| !empty(group));
        if groups.is_empty() {
            groups.push(Expr::GroupingSets(vec![Vec::new()]));
        }
    }
    for group in groups {
        let sets = match group {
            Expr::GroupingSets(sets) => {
                *sets = std::mem::take(sets)
                    .into_iter()
                    .flat_map(written_out)
                    .collect();
                sets
            }
            Expr::Rollup(sets) | Expr::Cube(sets) => sets,
            _ => continue,
        };
        for key in sets.iter_mut().flatten() {
            number_to_column(key, &select.projection)?;
        }
    }
    Ok(())
}

fn number_to_column(key: &mut Expr, projection: &[SelectItem]) -> Result<()> {
    let Expr::Value(value) = key else {
        return Ok(());
    };
    let Value::Number(text, _) = &value.value else {
        return Ok(());
    };
    // any other number is a constant
    let Ok(place) = text.parse::<usize>() else {
        return Ok(());
    };
    let before = place.checked_sub(1);
    let before = before.filter(|before| {
        let items = projection.iter().take(*before);
        !items.into_iter().any(|item| column(item).is_none())
    });
    match before.and_then(|before| column(projection.get(before)?)) {
        Some(expr) => *key = expr.clone(),
        None => {
            let message = format!("GROUP BY position {text} is not in select list");
            return Err(Error::new(Kind::Invalid, "42P10", message));
        }
    }
    Ok(())
}

fn column(item: &SelectItem) -> Option<&Expr> {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => Some(expr),
        _ => None,
    }
}

/// The sets that one of GROUPING SETS stands for: several where it is a ROLLUP or a CUBE, which the parser takes for calls.
fn written_out(set: Vec<Expr>) -> Vec<Vec<Expr>> {
    let [Expr::Function(call)] = &set[..] else {
        return vec![set];
    };
    let name = call.name.to_string().to_lowercase();
    let FunctionArguments::List(list) = &call.args else {
        return vec![set];
    };
    let Some(keys) = plain(&list.args) else {
        return vec![set];
    };
    let keys: Vec<Vec<Expr>> = keys
        .into_iter()
        .map(|key| match key {
            Expr::Tuple(keys) => keys,
            Expr::Nested(key) => vec![*key],
            key => vec![key],
        })
        .collect();
    match name.as_str() {
        "rollup" => (0..=keys.len())
            .rev()
            .map(|end| keys[..end].concat())
            .collect(),
        // as many sets as PostgreSQL allows
        "cube" if keys.len() <= 12 => (0..1_usize << keys.len())
            .rev()
            .map(|chosen| {
                let places = (0..keys.len()).filter(|at| chosen >> (keys.len() - 1 - at) & 1 == 1);
                places.flat_map(|at| keys[at].clone()).collect()
            })
            .collect(),
        _ => vec![set],
    }
}
