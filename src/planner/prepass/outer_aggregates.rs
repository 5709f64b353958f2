//! Aggregates of the query outside, within a subquery: `SELECT k, (SELECT count(*) FROM u WHERE u.v < max(t.v)) FROM t GROUP BY k`.
//!
//! An aggregate over columns of the outer query alone belongs to that, wherever it stands. DataFusion takes it for one of the
//! subquery. So the outer query's grouping becomes a derived table, whose columns the subquery then reads as any others.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, GroupByExpr, Ident, ObjectName, Query, Select, SelectItem, SetExpr, TableAlias,
    TableFactor, TableWithJoins, VisitMut, VisitorMut, visit_expressions,
};

use super::names::figure;
use super::table::{from, query, select as select_of};
use crate::planner::parse::fold_ident;

/// The derived table's name.
const GROUPS: &str = "__lotic_groups";

/// The aggregates that are looked for.
const AGGREGATES: [&str; 14] = [
    "count",
    "sum",
    "avg",
    "min",
    "max",
    "bool_and",
    "bool_or",
    "every",
    "bit_and",
    "bit_or",
    "bit_xor",
    "string_agg",
    "array_agg",
    "stddev",
];

/// Rewrites `select` where a subquery in its columns or its HAVING has an aggregate of it.
pub(super) fn rewrite(select: &mut Select) {
    let GroupByExpr::Expressions(keys, modifiers) = &select.group_by else {
        return;
    };
    let plain = |key: &Expr| matches!(key, Expr::Identifier(_) | Expr::CompoundIdentifier(_));
    if !modifiers.is_empty() || !keys.iter().all(plain) || !has_subquery(select) {
        return;
    }
    let mut walk = Walk {
        outer: names_of(&select.from),
        keys: keys.clone(),
        scopes: Vec::new(),
        aggregates: Vec::new(),
        found: false,
        replaces: false,
    };
    walk.over(select);
    if !walk.found {
        return;
    }
    for item in &mut select.projection {
        if let SelectItem::UnnamedExpr(expr) = item {
            *item = SelectItem::ExprWithAlias {
                alias: Ident::with_quote('"', figure(expr)),
                expr: expr.clone(),
            };
        }
    }
    walk.replaces = true;
    walk.over(select);
    let columns = walk
        .keys
        .iter()
        .enumerate()
        .map(|(at, key)| (key.clone(), key_name(at)))
        .chain(
            walk.aggregates
                .iter()
                .enumerate()
                .map(|(at, call)| (call.clone(), aggregate_name(at))),
        )
        .map(|(expr, name)| SelectItem::ExprWithAlias {
            expr,
            alias: Ident::new(name),
        });
    let mut groups = select_of(columns.collect(), std::mem::take(&mut select.from));
    groups.selection = select.selection.take();
    groups.group_by = std::mem::replace(
        &mut select.group_by,
        GroupByExpr::Expressions(Vec::new(), Vec::new()),
    );
    select.selection = select.having.take();
    select.from = vec![from(TableFactor::Derived {
        lateral: false,
        subquery: Box::new(query(SetExpr::Select(Box::new(groups)))),
        alias: Some(TableAlias {
            explicit: true,
            name: Ident::new(GROUPS),
            columns: Vec::new(),
            at: None,
        }),
        sample: None,
    })];
}

fn key_name(at: usize) -> String {
    format!("__lotic_key_{at}")
}

fn aggregate_name(at: usize) -> String {
    format!("__lotic_aggregate_{at}")
}

fn column(name: String) -> Expr {
    Expr::CompoundIdentifier(vec![Ident::new(GROUPS), Ident::new(name)])
}

fn has_subquery(select: &Select) -> bool {
    let is_subquery = |expr: &Expr| match expr {
        Expr::Subquery(_) | Expr::Exists { .. } | Expr::InSubquery { .. } => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    visit_expressions(&select.projection, is_subquery).is_break()
        || visit_expressions(&select.having, is_subquery).is_break()
}

/// The names that columns of these items are qualified by.
fn names_of(items: &[TableWithJoins]) -> BTreeSet<String> {
    let relations = items.iter().flat_map(|item| {
        let joined = item.joins.iter().map(|join| &join.relation);
        std::iter::once(&item.relation).chain(joined)
    });
    let name = |factor: &TableFactor| match factor {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => Some(fold_ident(&alias.name)),
            None => last_part(name),
        },
        TableFactor::Derived { alias, .. }
        | TableFactor::Function { alias, .. }
        | TableFactor::UNNEST { alias, .. } => alias.as_ref().map(|alias| fold_ident(&alias.name)),
        _ => None,
    };
    relations.filter_map(name).collect()
}

fn last_part(name: &ObjectName) -> Option<String> {
    name.0.last()?.as_ident().map(fold_ident)
}

/// A walk over the columns and the HAVING of a query, and the subqueries in them.
struct Walk {
    /// The names of the outer query's tables.
    outer: BTreeSet<String>,
    keys: Vec<Expr>,
    /// The names of the tables of the subqueries around, the innermost last.
    scopes: Vec<BTreeSet<String>>,
    /// The aggregates of the outer query, each once.
    aggregates: Vec<Expr>,
    /// Whether one of them stands in a subquery.
    found: bool,
    /// Whether they are replaced by columns of the derived table.
    replaces: bool,
}

impl Walk {
    fn over(&mut self, select: &mut Select) {
        // Nothing breaks off the walk.
        let _never = select.projection.visit(self);
        let _never = select.having.visit(self);
    }

    /// Whether `name`, which qualifies a column here, is one of the outer query's tables.
    fn is_outer(&self, name: &Ident) -> bool {
        let name = fold_ident(name);
        self.outer.contains(&name) && !self.scopes.iter().any(|scope| scope.contains(&name))
    }

    /// Whether `call` is an aggregate of the outer query.
    fn is_own(&self, call: &Function) -> bool {
        let name = call.name.to_string().to_lowercase();
        if call.over.is_some() || !AGGREGATES.contains(&name.as_str()) {
            return false;
        }
        if self.scopes.is_empty() {
            return true;
        }
        let mut columns = 0;
        let foreign = visit_expressions(&call.args, |expr| match expr {
            Expr::CompoundIdentifier(parts) => match parts.first() {
                Some(first) if parts.len() > 1 && self.is_outer(first) => {
                    columns += 1;
                    ControlFlow::Continue(())
                }
                _ => ControlFlow::Break(()),
            },
            Expr::Identifier(_) => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        });
        columns > 0 && foreign.is_continue()
    }

    /// The grouping column that `expr` is.
    fn key_of(&self, expr: &Expr) -> Option<usize> {
        let qualified = match expr {
            Expr::CompoundIdentifier(parts) => self.is_outer(parts.first()?),
            // In a subquery a bare name may be one of its own columns.
            Expr::Identifier(_) => self.scopes.is_empty(),
            _ => false,
        };
        let last = |expr: &Expr| match expr {
            Expr::Identifier(name) => Some(fold_ident(name)),
            Expr::CompoundIdentifier(parts) => parts.last().map(fold_ident),
            _ => None,
        };
        let bare = |expr: &Expr| matches!(expr, Expr::Identifier(_));
        let same = |key: &Expr| key == expr || (bare(key) || bare(expr)) && last(key) == last(expr);
        if qualified {
            self.keys.iter().position(same)
        } else {
            None
        }
    }
}

impl VisitorMut for Walk {
    type Break = std::convert::Infallible;

    fn pre_visit_query(&mut self, query: &mut Query) -> ControlFlow<Self::Break> {
        let names = query.body.as_select().map(|select| names_of(&select.from));
        self.scopes.push(names.unwrap_or_default());
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &mut Query) -> ControlFlow<Self::Break> {
        self.scopes.pop();
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<Self::Break> {
        if let Expr::Function(call) = &*expr
            && self.is_own(call)
        {
            self.found |= !self.scopes.is_empty();
            if self.replaces {
                let known = self.aggregates.iter().position(|known| known == expr);
                let at = known.unwrap_or(self.aggregates.len());
                if known.is_none() {
                    self.aggregates.push(expr.clone());
                }
                *expr = column(aggregate_name(at));
            }
        } else if self.replaces
            && let Some(at) = self.key_of(expr)
        {
            *expr = column(key_name(at));
        }
        ControlFlow::Continue(())
    }
}
