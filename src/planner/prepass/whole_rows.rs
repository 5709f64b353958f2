//! `count(t.*)`: the rows of one table of a join.
//!
//! DataFusion counts all rows of the join, those too in which an outer join found no row of that table.

use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, JoinOperator, ObjectName,
    Query, Select, TableWithJoins, Visit, Visitor,
};

use super::using::relation_name;
use crate::base::{Error, Result};
use crate::planner::parse::fold_ident;

/// Refuses a `count(t.*)` of a table whose rows an outer join may leave out.
///
/// # Errors
/// 0A000 then.
pub(super) fn check(select: &Select) -> Result<()> {
    let mut absent = Vec::new();
    for from in &select.from {
        may_be_absent(from, &mut absent);
    }
    if absent.is_empty() {
        return Ok(());
    }
    let mut counts = Counts { absent, depth: 0 };
    match select.visit(&mut counts) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(name) => Err(Error::unsupported(format!(
            "count({name}.*) of a table that an outer join may find no row of is not supported"
        ))
        .with_hint(format!(
            "count a column of it that is never NULL: count({name}.column)"
        ))),
    }
}

/// Collects the names of what an outer join may give no row of.
fn may_be_absent(from: &TableWithJoins, absent: &mut Vec<String>) {
    let mut before: Vec<String> = relation_name(&from.relation).into_iter().collect();
    for join in &from.joins {
        let right = relation_name(&join.relation);
        match &join.join_operator {
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_) => absent.extend(right.clone()),
            JoinOperator::Right(_) | JoinOperator::RightOuter(_) => {
                absent.extend(before.iter().cloned());
            }
            JoinOperator::FullOuter(_) => {
                absent.extend(before.iter().cloned());
                absent.extend(right.clone());
            }
            _ => {}
        }
        before.extend(right);
    }
}

struct Counts {
    absent: Vec<String>,
    depth: usize,
}

impl Visitor for Counts {
    type Break = ObjectName;

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<ObjectName> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<ObjectName> {
        self.depth -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<ObjectName> {
        if self.depth == 0
            && let Expr::Function(call) = expr
            && let Some(name) = whole_row(call)
            && let Some(last) = name.0.last().and_then(|part| part.as_ident())
            && self.absent.contains(&fold_ident(last))
        {
            return ControlFlow::Break(name.clone());
        }
        ControlFlow::Continue(())
    }
}

/// The table of a `count(t.*)`.
fn whole_row(call: &Function) -> Option<&ObjectName> {
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    match &list.args[..] {
        [FunctionArg::Unnamed(FunctionArgExpr::QualifiedWildcard(name))] => Some(name),
        _ => None,
    }
}
