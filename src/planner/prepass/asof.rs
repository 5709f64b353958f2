//! `a ASOF JOIN b MATCH_CONDITION (m) ON k` becomes a join ON a marked `m` and `k`, which the planner knows again.
//!
//! The parser has no ASOF LEFT JOIN; `parse` wrote it as a GLOBAL one, which Lotic has not.

use sqlparser::ast::{BinaryOperator, Expr, Join, JoinConstraint, JoinOperator};

use super::from_functions::function;
use crate::base::{Error, Result};
use crate::planner::functions::ASOF_MARK;

/// Rewrites the ASOF joins among `joins`.
pub(super) fn rewrite(joins: &mut [Join]) -> Result<()> {
    for join in joins {
        let JoinOperator::AsOf {
            match_condition,
            constraint,
        } = &join.join_operator
        else {
            continue;
        };
        let mark = function(ASOF_MARK, vec![match_condition.clone()]);
        let condition = match constraint {
            JoinConstraint::None => mark,
            JoinConstraint::On(on) => Expr::BinaryOp {
                left: Box::new(mark),
                op: BinaryOperator::And,
                right: Box::new(Expr::Nested(Box::new(on.clone()))),
            },
            JoinConstraint::Using(_) | JoinConstraint::Natural => {
                return Err(Error::unsupported("USING in an ASOF JOIN is not supported")
                    .with_hint("write ON a.k = b.k"));
            }
        };
        let condition = JoinConstraint::On(condition);
        join.join_operator = if std::mem::take(&mut join.global) {
            JoinOperator::LeftOuter(condition)
        } else {
            JoinOperator::Inner(condition)
        };
    }
    Ok(())
}
