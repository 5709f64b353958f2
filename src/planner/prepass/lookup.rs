//! `JOIN t FOR SYSTEM_TIME AS OF PROCTIME() ON c`, which `parse` wrote as `JOIN lotic_present(t) ON c`, becomes a join ON a mark
//! and `c`, which the planner knows again.

use sqlparser::ast::{
    BinaryOperator, Expr, FunctionArg, FunctionArgExpr, Join, JoinConstraint, JoinOperator,
    ObjectName, TableFactor, Value,
};

use super::from_functions::function;
use super::table::relation;
use crate::base::{Error, Result};
use crate::planner::functions::LOOKUP_MARK;

/// The name of the table function that stands for a table as it is at each moment.
pub const PRESENT: &str = "lotic_present";

/// Rewrites the lookups among `joins`.
pub(super) fn rewrite(joins: &mut [Join]) -> Result<()> {
    for join in joins {
        let Some(table) = table_of(&join.relation) else {
            continue;
        };
        let on = match &join.join_operator {
            JoinOperator::Join(JoinConstraint::On(on))
            | JoinOperator::Inner(JoinConstraint::On(on))
            | JoinOperator::Left(JoinConstraint::On(on))
            | JoinOperator::LeftOuter(JoinConstraint::On(on)) => on.clone(),
            _ => return Err(refused()),
        };
        let outer = matches!(
            join.join_operator,
            JoinOperator::Left(_) | JoinOperator::LeftOuter(_)
        );
        let truth = Expr::Value(Value::Boolean(true).into());
        let condition = JoinConstraint::On(Expr::BinaryOp {
            left: Box::new(function(LOOKUP_MARK, vec![truth])),
            op: BinaryOperator::And,
            right: Box::new(Expr::Nested(Box::new(on))),
        });
        join.relation = table;
        join.join_operator = if outer {
            JoinOperator::LeftOuter(condition)
        } else {
            JoinOperator::Inner(condition)
        };
    }
    Ok(())
}

/// Refuses `factor` where it is still such a table: it stands where no join looks it up.
pub(super) fn check(factor: &TableFactor) -> Result<()> {
    match table_of(factor) {
        Some(_) => Err(refused()),
        None => Ok(()),
    }
}

/// The plain table under its alias.
fn table_of(factor: &TableFactor) -> Option<TableFactor> {
    let TableFactor::Table {
        name,
        args: Some(args),
        alias: own,
        ..
    } = factor
    else {
        return None;
    };
    if name.to_string() != PRESENT {
        return None;
    }
    let name = match args.args.as_slice() {
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::Identifier(name)))] => vec![name.clone()],
        [FunctionArg::Unnamed(FunctionArgExpr::Expr(Expr::CompoundIdentifier(parts)))] => {
            parts.clone()
        }
        _ => return None,
    };
    let mut table = relation(ObjectName::from(name));
    if let TableFactor::Table { alias, .. } = &mut table {
        alias.clone_from(own);
    }
    Some(table)
}

fn refused() -> Error {
    Error::unsupported("FOR SYSTEM_TIME AS OF PROCTIME() is not supported here").with_hint(
        "it stands behind the table of a JOIN or LEFT JOIN with an ON: FROM s JOIN t FOR SYSTEM_TIME AS OF PROCTIME() ON s.k = t.k",
    )
}
