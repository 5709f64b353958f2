//! Common expressions computed once, but no constant of another type among them.
//!
//! To DataFusion a timestamp with a zone equals the one without, so `min('1970-01-01Z'::timestamptz)` would be taken for
//! `min('1970-01-01'::timestamp)`, and a plan of mixed types come of it.

use std::collections::HashMap;

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
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

/// Whether two constants of `plan` are equal but of different types.
fn has_alike(plan: &LogicalPlan) -> Outcome<bool> {
    let mut seen: HashMap<ScalarValue, DataType> = HashMap::new();
    let mut alike = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Literal(value, _) = expr
                    && let found @ DataType::Timestamp(..) = value.data_type()
                {
                    let first = seen.entry(value.clone()).or_insert_with(|| found.clone());
                    alike |= *first != found;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(alike)
}
