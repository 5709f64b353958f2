//! What a query reads.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use datafusion::common::TableReference;
use datafusion::sql::parser::Statement as DfStatement;
use datafusion::sql::resolve::resolve_table_references;
use sqlparser::ast::{Expr, Query, Statement, TableFactor, Visit, Visitor};

use super::table;
use crate::base::Result;
use crate::planner::parse::{Name, name_of};

/// The relations that a query names, its own CTEs excepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dependencies {
    /// In order of name. Views are named, not what stands behind them.
    pub relations: BTreeSet<Name>,
}

impl Dependencies {
    /// Adds the names of `other`.
    pub fn extend(&mut self, other: Self) {
        self.relations.extend(other.relations);
    }
}

/// FROM items without arguments: a table function is not a relation.
#[derive(Default)]
struct Plain(BTreeSet<Name>);

impl Visitor for Plain {
    type Break = crate::base::Error;

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<Self::Break> {
        if let TableFactor::Table {
            name, args: None, ..
        } = factor
        {
            match name_of(name) {
                Ok(name) => {
                    self.0.insert(name);
                }
                Err(error) => return ControlFlow::Break(error),
            }
        }
        ControlFlow::Continue(())
    }
}

/// The relations of a prepared query.
pub(super) fn of_query(query: &Query) -> Result<Dependencies> {
    let mut plain = Plain::default();
    if let ControlFlow::Break(error) = query.visit(&mut plain) {
        return Err(error);
    }
    // DataFusion's resolver knows the scopes of CTEs; the plan will load exactly what it finds.
    let statement = DfStatement::Statement(Box::new(Statement::Query(Box::new(query.clone()))));
    let (found, _ctes) = resolve_table_references(&statement, true)?;
    let relations = found
        .into_iter()
        .map(|found| own_name(&found))
        .filter(|name| plain.0.contains(name));
    Ok(Dependencies {
        relations: relations.collect(),
    })
}

/// The relations of the subqueries in a prepared expression.
pub(super) fn of_expression(expr: &Expr) -> Result<Dependencies> {
    let mut select = table::select(Vec::new(), Vec::new());
    select.selection = Some(expr.clone());
    of_query(&table::query(sqlparser::ast::SetExpr::Select(Box::new(
        select,
    ))))
}

fn own_name(found: &TableReference) -> Name {
    Name {
        schema: found.schema().map(str::to_owned),
        name: found.table().to_owned(),
    }
}
