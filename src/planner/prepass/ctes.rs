//! `WITH q AS (SELECT a.*, b.c ...)` becomes `WITH q AS (SELECT * FROM (SELECT a.*, b.c ...) AS q)`: what names two columns
//! of one name there are is known where a derived table is planned.

use std::collections::BTreeSet;

use sqlparser::ast::{
    Expr, Query, Select, SelectItem, SetExpr, TableAlias, TableFactor, WildcardAdditionalOptions,
};

use super::table::{from, query as query_of, select as select_of};
use crate::planner::parse::fold_ident;

/// Rewrites the common tables of `query`. Those of a recursion have the names of its first term.
pub(super) fn rewrite(query: &mut Query) {
    let Some(with) = query.with.as_mut().filter(|with| !with.recursive) else {
        return;
    };
    for cte in &mut with.cte_tables {
        let SetExpr::Select(select) = cte.query.body.as_ref() else {
            continue;
        };
        if !may_share_names(select) {
            continue;
        }
        let inner = std::mem::replace(
            &mut *cte.query,
            query_of(SetExpr::Values(sqlparser::ast::Values {
                explicit_row: false,
                value_keyword: false,
                rows: Vec::new(),
            })),
        );
        let derived = TableFactor::Derived {
            lateral: false,
            subquery: Box::new(inner),
            alias: Some(TableAlias {
                explicit: true,
                name: cte.alias.name.clone(),
                columns: Vec::new(),
                at: None,
            }),
            sample: None,
        };
        let star = SelectItem::Wildcard(WildcardAdditionalOptions::default());
        let body = select_of(vec![star], vec![from(derived)]);
        *cte.query = query_of(SetExpr::Select(Box::new(body)));
    }
}

/// Whether two columns of `select` may have one name.
fn may_share_names(select: &Select) -> bool {
    let mut names = BTreeSet::new();
    let mut twice = false;
    let mut star = false;
    for item in &select.projection {
        match item {
            SelectItem::ExprWithAlias { alias, .. } => twice |= !names.insert(fold_ident(alias)),
            SelectItem::UnnamedExpr(Expr::Identifier(name)) => {
                twice |= !names.insert(fold_ident(name));
            }
            SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => {
                twice |= parts
                    .last()
                    .is_some_and(|name| !names.insert(fold_ident(name)));
            }
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..) => star = true,
            _ => {}
        }
    }
    let several = select.from.len() > 1 || select.from.iter().any(|from| !from.joins.is_empty());
    twice || star && (several || select.projection.len() > 1)
}
