//! LATERAL: a FROM item that reads the items before it.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::logical_expr::{Expr, Join, LogicalPlan, Projection};

use super::Outcome;
use super::domain::{condition_of, join_on_values, with_fixed_choices};
use super::push::push;
use super::rewriter::Rewriter;
use super::scope::free_columns;
use super::{row_wise, simple};

/// The join without its look outside, unless DataFusion makes that of it too.
pub(super) fn rewrite(rewriter: &mut Rewriter, join: Join) -> Outcome<LogicalPlan> {
    let outer: Vec<_> = free_columns(&join.right)?
        .into_iter()
        .filter(|column| join.left.schema().has_column(column))
        .collect();
    if outer.is_empty() {
        return plain(join);
    }
    let fits = matches!(join.join_type, JoinType::Inner | JoinType::Left);
    if !fits || simple::lateral(&join)? {
        return Ok(LogicalPlan::Join(join));
    }
    if let Some(chain) = row_wise::rewrite(&join, &rewriter.name())? {
        return Ok(chain);
    }
    let condition = condition_of(&join);
    let left = with_fixed_choices(Arc::unwrap_or_clone(join.left))?;
    let domain = rewriter.domain(outer, &left)?;
    let right = push(rewriter, Arc::unwrap_or_clone(join.right), &domain)?;
    let pairs = domain
        .outer()
        .iter()
        .cloned()
        .zip(domain.columns())
        .collect();
    let joined = join_on_values(left, right, join.join_type, pairs, condition)?;
    let columns = join
        .schema
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(
        columns,
        Arc::new(joined),
    )?))
}

/// A join whose right side does not read the left one. DataFusion asks its mark for references of any scope, and takes those
/// of a LATERAL within it for its own.
fn plain(join: Join) -> Outcome<LogicalPlan> {
    let right = Arc::new(unmarked(Arc::unwrap_or_clone(join.right))?);
    Ok(LogicalPlan::Join(Join { right, ..join }))
}

/// What [`super::scope::is_lateral`] knows, without the mark that it goes by.
fn unmarked(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    match plan {
        LogicalPlan::Subquery(subquery) => Ok(Arc::unwrap_or_clone(subquery.subquery)),
        plan => {
            let below = |plan| Ok(Transformed::yes(unmarked(plan)?));
            Ok(plan.map_children(below)?.data)
        }
    }
}
