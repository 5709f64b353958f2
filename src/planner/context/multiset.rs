//! INTERSECT ALL and EXCEPT ALL with the multiplicities of SQL.
//!
//! DataFusion plans both as a plain semi or anti join over all columns, which keeps or drops all copies of a row at once.
//! Numbering equal rows on both sides makes every copy a row of its own: the k-th copy on the left meets the k-th on the
//! right. The DISTINCT forms have a `Distinct` under the join's left side, and need nothing.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, JoinType, NullEquality};
use datafusion::logical_expr::{
    Expr, ExprFunctionExt, Join, LogicalPlan, LogicalPlanBuilder, SubqueryAlias,
};

use crate::base::Result;
use crate::planner::functions::row_number;

const NUMBER: &str = "__copy_number";

/// Rewrites every INTERSECT ALL and EXCEPT ALL of `plan`, subqueries included.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan
        .transform_up_with_subqueries(|node| match node {
            LogicalPlan::Join(join) if is_set_all(&join) => Ok(Transformed::yes(number(join)?)),
            node => Ok(Transformed::no(node)),
        })?
        .data)
}

/// Only a set operation plans a join where NULL equals NULL.
fn is_set_all(join: &Join) -> bool {
    join.null_equality == NullEquality::NullEqualsNull
        && matches!(join.join_type, JoinType::LeftSemi | JoinType::LeftAnti)
        && join.filter.is_none()
        && join.on.len() == join.left.schema().fields().len()
        && !is_distinct(&join.left)
}

fn is_distinct(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Distinct(_) => true,
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, .. }) => is_distinct(input),
        _ => false,
    }
}

fn number(join: Join) -> Result<LogicalPlan, datafusion::common::DataFusionError> {
    let columns: Vec<Expr> = join
        .left
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let left = numbered(Arc::unwrap_or_clone(join.left))?;
    let right = numbered(Arc::unwrap_or_clone(join.right))?;
    let (left_on, right_on) = (last(&left), last(&right));
    let mut on = join.on;
    on.push((left_on, right_on));
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        on,
        None,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?;
    LogicalPlanBuilder::from(LogicalPlan::Join(joined))
        .project(columns)?
        .build()
}

fn last(plan: &LogicalPlan) -> Expr {
    let schema = plan.schema();
    let place = schema.fields().len().saturating_sub(1);
    Expr::Column(Column::from(schema.qualified_field(place)))
}

fn numbered(plan: LogicalPlan) -> Result<LogicalPlan, datafusion::common::DataFusionError> {
    let columns: Vec<Expr> = plan
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let number = row_number().partition_by(columns.clone()).build()?;
    let name = number.schema_name().to_string();
    let mut kept = columns;
    kept.push(Expr::Column(Column::from_name(name)).alias(NUMBER));
    LogicalPlanBuilder::from(plan)
        .window(vec![number])?
        .project(kept)?
        .build()
}
