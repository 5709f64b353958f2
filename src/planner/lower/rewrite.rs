//! The shape of a model's plan that both modes run.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::LogicalPlan;
use datafusion::logical_expr::logical_plan::Subquery;

use super::hoist;
use super::merge;
use super::region::leads_to_sort;
use super::scalars::join_counted;
use super::temporal;
use crate::base::Result;

/// `plan` without the sorts that nothing reads, with every expression that can fail on a row in a
/// projection or a filter, and with the subqueries joined that may give more than the one row that is wanted. Both modes run this plan, so a failing row is missing from the same place in both.
/// Applying it twice is the same as applying it once.
pub(super) fn plan_for_both_modes(plan: &LogicalPlan) -> Result<LogicalPlan> {
    let plan = without_idle_sorts(plan.clone(), false)?;
    let plan = plan.transform_up_with_subqueries(merge::merge)?.data;
    let plan = plan.transform_up_with_subqueries(hoist::hoist)?.data;
    let plan = join_counted(plan)?;
    let plan = plan.transform_up_with_subqueries(temporal::split)?.data;
    Ok(plan)
}

/// A model is a multiset: only LIMIT sees the order of rows.
fn without_idle_sorts(
    plan: LogicalPlan,
    order_is_read: bool,
) -> Result<LogicalPlan, DataFusionError> {
    let plan = match plan {
        LogicalPlan::Sort(sort) if sort.fetch.is_none() && !order_is_read => {
            return without_idle_sorts(Arc::unwrap_or_clone(sort.input), false);
        }
        plan => plan,
    };
    let order_is_read = match &plan {
        LogicalPlan::Limit(limit) => leads_to_sort(&limit.input),
        LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => order_is_read,
        _ => false,
    };
    let plan = plan.map_subqueries(|subquery| {
        let LogicalPlan::Subquery(Subquery {
            subquery,
            outer_ref_columns,
            spans,
        }) = subquery
        else {
            return Ok(Transformed::no(subquery));
        };
        let inner = without_idle_sorts(Arc::unwrap_or_clone(subquery), false)?;
        Ok(Transformed::yes(LogicalPlan::Subquery(Subquery {
            subquery: Arc::new(inner),
            outer_ref_columns,
            spans,
        })))
    })?;
    let plan = plan
        .data
        .map_children(|child| Ok(Transformed::yes(without_idle_sorts(child, order_is_read)?)))?;
    Ok(plan.data)
}
