//! FETCH FIRST becomes LIMIT, and WITH TIES becomes a condition on rank().

use sqlparser::ast::{
    BinaryOperator, Expr, Function, FunctionArgumentList, FunctionArguments, GroupByExpr, Ident,
    LimitClause, ObjectName, OrderByExpr, OrderByKind, Query, SelectItem, SetExpr, Value,
    WindowSpec, WindowType,
};

use crate::base::{Error, Result};

/// Rewrites the FETCH clause of `query`.
pub(super) fn rewrite(query: &mut Query) -> Result<()> {
    let Some(fetch) = query.fetch.take() else {
        return Ok(());
    };
    // FETCH FIRST ROW without a number is one row.
    let quantity = fetch
        .quantity
        .unwrap_or_else(|| Expr::Value(Value::Number("1".into(), false).into()));
    if fetch.with_ties {
        return with_ties(query, quantity);
    }
    query.limit_clause = match query.limit_clause.take() {
        None => Some(limit(quantity, None)),
        Some(LimitClause::LimitOffset {
            limit: None,
            offset,
            ..
        }) => Some(limit(quantity, offset)),
        Some(_) => return Err(Error::syntax("a query has either LIMIT or FETCH")),
    };
    Ok(())
}

fn limit(quantity: Expr, offset: Option<sqlparser::ast::Offset>) -> LimitClause {
    LimitClause::LimitOffset {
        limit: Some(quantity),
        offset,
        limit_by: Vec::new(),
    }
}

/// `... QUALIFY rank() OVER (ORDER BY keys) <= n ORDER BY keys`.
fn with_ties(query: &mut Query, quantity: Expr) -> Result<()> {
    let keys = match query.order_by.as_ref().map(|order_by| &order_by.kind) {
        Some(OrderByKind::Expressions(keys)) if !keys.is_empty() => keys.clone(),
        _ => {
            return Err(Error::syntax(
                "WITH TIES cannot be specified without ORDER BY clause",
            ));
        }
    };
    let SetExpr::Select(select) = query.body.as_mut() else {
        return Err(complex());
    };
    let grouped = match &select.group_by {
        GroupByExpr::All(_) => true,
        GroupByExpr::Expressions(keys, modifiers) => !keys.is_empty() || !modifiers.is_empty(),
    };
    if query.limit_clause.is_some()
        || select.distinct.is_some()
        || grouped
        || select.qualify.is_some()
    {
        return Err(complex());
    }
    let keys = keys
        .into_iter()
        .map(|key| resolve(key, &select.projection))
        .collect::<Result<Vec<_>>>()?;
    select.qualify = Some(Expr::BinaryOp {
        left: Box::new(rank(keys)),
        op: BinaryOperator::LtEq,
        right: Box::new(quantity),
    });
    Ok(())
}

fn complex() -> Error {
    Error::unsupported("WITH TIES beside OFFSET, DISTINCT, GROUP BY, QUALIFY or a set operation is not supported")
        .with_hint("put the query in a subquery: SELECT * FROM (...) ORDER BY ... FETCH FIRST n ROWS WITH TIES")
}

/// In a window, ORDER BY knows no output names and no ordinals: these become the expressions they stand for.
fn resolve(mut key: OrderByExpr, projection: &[SelectItem]) -> Result<OrderByExpr> {
    match &key.expr {
        Expr::Identifier(name) => {
            let item = projection.iter().find_map(|item| match item {
                SelectItem::ExprWithAlias { expr, alias } if same(alias, name) => {
                    Some(expr.clone())
                }
                _ => None,
            });
            key.expr = item.unwrap_or(key.expr);
        }
        Expr::Value(value) => {
            let Value::Number(text, _) = &value.value else {
                return Ok(key);
            };
            let place = text
                .parse::<usize>()
                .ok()
                .and_then(|place| place.checked_sub(1));
            let plain = projection.iter().all(|item| {
                matches!(
                    item,
                    SelectItem::UnnamedExpr(_) | SelectItem::ExprWithAlias { .. }
                )
            });
            key.expr = match place
                .filter(|_| plain)
                .and_then(|place| projection.get(place))
            {
                Some(SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. }) => {
                    expr.clone()
                }
                _ => return Err(complex()),
            };
        }
        _ => {}
    }
    Ok(key)
}

/// Whether two names are the same: quotes keep upper and lower case apart.
pub(super) fn same(alias: &Ident, name: &Ident) -> bool {
    if alias.quote_style.is_some() || name.quote_style.is_some() {
        alias.value == name.value
    } else {
        alias.value.eq_ignore_ascii_case(&name.value)
    }
}

fn rank(order_by: Vec<OrderByExpr>) -> Expr {
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new("rank")]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: Vec::new(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: Some(WindowType::WindowSpec(WindowSpec {
            window_name: None,
            partition_by: Vec::new(),
            order_by,
            window_frame: None,
        })),
        within_group: Vec::new(),
    })
}
