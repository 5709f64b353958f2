//! `IN` over values that rows choose by a CASE.
//!
//! DataFusion takes a list for constant when it can be evaluated over no rows, and a CASE over no rows is its first branch:
//! `x IN (1, CASE WHEN y > 0 THEN 2 ELSE z END)` would be `x IN (1, 2)`. Such values are compared one by one here. By then COALESCE and NULLIF
//! have become CASE.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Expr, lit};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;

use super::around::Rule;
use super::each_node::EachPlan;
use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

/// The optimizer rule.
const CHOSEN_IN_LISTS: EachPlan = EachPlan {
    name: "lotic_chosen_in_lists",
    change: |plan| rewrite_over_inputs(plan, split),
};

/// Puts it where what is compared several times is computed once.
pub(crate) fn compare_chosen(rules: &mut Vec<Rule>) {
    let shared = CommonSubexprEliminate::new();
    let at = rules.iter().position(|rule| rule.name() == shared.name());
    rules.insert(at.unwrap_or(rules.len()), Arc::new(CHOSEN_IN_LISTS));
}

fn split(expr: Expr, _schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    match expr {
        // A value that is another one each time has to be one for the whole list.
        Expr::InList(test) if test.list.iter().any(is_chosen) && !test.expr.is_volatile() => {
            Ok(Transformed::yes(one_by_one(test)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The same test without chosen values in a list.
fn one_by_one(test: InList) -> Expr {
    let InList {
        expr: value,
        list,
        negated,
    } = test;
    let (chosen, others): (Vec<_>, Vec<_>) = list.into_iter().partition(is_chosen);
    let compared = chosen.into_iter().map(|other| match negated {
        true => value.as_ref().clone().not_eq(other),
        false => value.as_ref().clone().eq(other),
    });
    let listed = (!others.is_empty()).then(|| value.as_ref().clone().in_list(others, negated));
    let tests = listed.into_iter().chain(compared);
    let all = tests.reduce(if negated { Expr::and } else { Expr::or });
    all.unwrap_or_else(|| lit(negated))
}

/// Whether a CASE chooses `value` by the row.
fn is_chosen(value: &Expr) -> bool {
    let has_case = value.exists(|part| Ok(matches!(part, Expr::Case(_))));
    has_case.unwrap_or(true) && !value.column_refs().is_empty()
}
