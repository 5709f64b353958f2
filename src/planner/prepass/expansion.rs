//! A bound on what CTEs expand to: DataFusion copies a CTE to every place that reads it, so thirty
//! lines of `b AS (SELECT * FROM a, a)` would be a plan of a billion nodes, and a long chain a deep one.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use sqlparser::ast::{Query, TableFactor, Visit, Visitor};

use crate::base::Result;
use crate::planner::parse::{MAX_DEPTH, Name, fold_ident, name_of, too_deep};

/// The most FROM items that a query may have once its CTEs are copied in.
const MAX_RELATIONS: usize = 20_000;

/// What a piece of a query becomes.
#[derive(Clone, Copy, Default)]
struct Size {
    relations: usize,
    depth: usize,
}

/// Refuses a query that its CTEs blow up (54001).
pub(super) fn check(query: &Query) -> Result<()> {
    let size = measure(query, &BTreeMap::new());
    // A level of CTE is a subquery alias, a projection and often a filter or an aggregate.
    if size.relations > MAX_RELATIONS || size.depth > MAX_DEPTH / 4 {
        return Err(too_deep());
    }
    Ok(())
}

fn measure(query: &Query, outer: &BTreeMap<Name, Size>) -> Size {
    let mut counter = Counter { scopes: vec![outer.clone()], total: vec![Size::default()] };
    let _done = query.visit(&mut counter);
    counter.total.pop().unwrap_or_default()
}

struct Counter {
    scopes: Vec<BTreeMap<Name, Size>>,
    total: Vec<Size>,
}

impl Visitor for Counter {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let Some(with) = &query.with else { return ControlFlow::Continue(()) };
        let mut scope = self.scopes.last().cloned().unwrap_or_default();
        for cte in &with.cte_tables {
            let inner = measure(&cte.query, &scope);
            let size = Size { relations: inner.relations.max(1), depth: inner.depth + 1 };
            scope.insert(Name::bare(fold_ident(&cte.alias.name)), size);
        }
        self.scopes.push(scope);
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if query.with.is_some() {
            self.scopes.pop();
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let TableFactor::Table { name, .. } = factor else { return ControlFlow::Continue(()) };
        let known = name_of(name).ok().and_then(|name| self.scopes.last()?.get(&name).copied());
        let size = known.unwrap_or(Size { relations: 1, depth: 0 });
        if let Some(total) = self.total.last_mut() {
            total.relations = total.relations.saturating_add(size.relations);
            total.depth = total.depth.max(size.depth);
        }
        ControlFlow::Continue(())
    }
}
