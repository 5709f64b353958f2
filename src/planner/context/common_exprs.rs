//! Common expressions computed once, but no constant of another type among them, and no window for another.
//!
//! To DataFusion a timestamp with a zone equals the one without, so `min('1970-01-01Z'::timestamptz)` would be taken for
//! `min('1970-01-01'::timestamp)`, and a plan of mixed types come of it. Of two windows it compares as many keys as the shorter
//! lists have, and so takes `OVER (PARTITION BY k ORDER BY k)` for `OVER (ORDER BY k, k)`; what it then makes cannot be run.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::cse::NormalizeEq;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::OptimizerRule;
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;

use super::around::{Outcome, Rule, put_around};

/// Sets DataFusion's rule right.
pub(super) fn share_rightly(rules: &mut [Rule]) {
    put_around(
        rules,
        CommonSubexprEliminate::new().name(),
        |theirs, plan, config| {
            if has_alike(&plan)? {
                return Ok(Transformed::no(plan));
            }
            theirs.rewrite(plan, config)
        },
    );
}

/// Whether two constants of `plan`, or two windows, are equal to DataFusion but not the same.
fn has_alike(plan: &LogicalPlan) -> Outcome<bool> {
    let mut seen = Seen::default();
    let mut alike = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                alike |= seen.has_other(expr);
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(alike)
}

#[derive(Default)]
struct Seen {
    moments: HashMap<ScalarValue, DataType>,
    windows: Vec<Expr>,
}

impl Seen {
    /// Whether an expression was here before that equals `expr` to DataFusion alone.
    fn has_other(&mut self, expr: &Expr) -> bool {
        match expr {
            Expr::Literal(value, _) => {
                let found = value.data_type();
                if !matches!(found, DataType::Timestamp(..)) {
                    return false;
                }
                let first = self.moments.entry(value.clone());
                *first.or_insert_with(|| found.clone()) != found
            }
            Expr::WindowFunction(_) => {
                let other = |seen: &Expr| lengths(seen) != lengths(expr) && seen.normalize_eq(expr);
                let found = self.windows.iter().any(other);
                if !self.windows.contains(expr) {
                    self.windows.push(expr.clone());
                }
                found
            }
            _ => false,
        }
    }
}

/// How many keys of each kind a window has.
fn lengths(window: &Expr) -> (usize, usize) {
    match window {
        Expr::WindowFunction(call) => {
            let params = &call.params;
            (params.partition_by.len(), params.order_by.len())
        }
        _ => (0, 0),
    }
}
