//! Subqueries in the condition of a join, moved to where there is one row outside.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, Projection};

use super::Outcome;
use super::outer_joins::as_union;
use super::push::columns_from;
use super::rewriter::Rewriter;
use super::scope::{free_columns, has_subquery, subquery_of};
use super::values::wanted;

/// An inner join's condition with a subquery becomes a filter above the join. In any other join a subquery that reads
/// one side alone becomes a column of that side, and one that reads both makes the join a union.
pub(super) fn out_of_join(rewriter: &mut Rewriter, plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let holds =
        matches!(&plan, LogicalPlan::Join(join) if join.filter.as_ref().is_some_and(has_subquery));
    if !holds {
        return Ok(plan);
    }
    let outer = matches!(&plan, LogicalPlan::Join(join) if join.join_type != JoinType::Inner);
    if outer && !wanted(&plan)? {
        return Ok(plan);
    }
    let LogicalPlan::Join(join) = plan else {
        return Ok(plan);
    };
    if outer {
        return into_sides(rewriter, join);
    }
    let Join { filter, .. } = join;
    let join = LogicalPlan::Join(Join {
        filter: None,
        ..join
    });
    match filter {
        Some(filter) => Ok(LogicalPlan::Filter(Filter::try_new(
            filter,
            Arc::new(join),
        )?)),
        None => Ok(join),
    }
}

fn into_sides(rewriter: &mut Rewriter, join: Join) -> Outcome<LogicalPlan> {
    let columns = join
        .schema
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let Join {
        mut left,
        mut right,
        on,
        filter,
        join_type,
        join_constraint,
        null_equality,
        null_aware,
        ..
    } = join;
    let filter = filter
        .map(|filter| {
            filter.transform_down(|expr| {
                if subquery_of(&expr).is_none() {
                    return Ok(Transformed::no(expr));
                }
                for side in [&mut left, &mut right] {
                    if reads_only(&expr, side.schema())? {
                        let column = Column::new(Some(rewriter.name()), "value");
                        let mut exprs = columns_from(side, 0);
                        exprs.push(
                            expr.alias_qualified(column.relation.clone(), column.name.clone()),
                        );
                        let wide = Projection::try_new(exprs, Arc::clone(side))?;
                        *side = Arc::new(LogicalPlan::Projection(wide));
                        return Ok(Transformed::yes(Expr::Column(column)));
                    }
                }
                Ok(Transformed::no(expr))
            })
        })
        .transpose()?
        .map(|filter| filter.data);
    let joined = Join::try_new(
        left,
        right,
        on,
        filter,
        join_type,
        join_constraint,
        null_equality,
        null_aware,
    )?;
    let reads_both = joined.filter.as_ref().is_some_and(has_subquery);
    let joined = match reads_both {
        true => as_union(rewriter, &joined)?,
        false => LogicalPlan::Join(joined),
    };
    Ok(LogicalPlan::Projection(Projection::try_new(
        columns,
        Arc::new(joined),
    )?))
}

/// Whether all that the subquery in `expr` reads of the rows outside is in `schema`.
fn reads_only(expr: &Expr, schema: &DFSchema) -> Outcome<bool> {
    let Some(subquery) = subquery_of(expr) else {
        return Ok(false);
    };
    let free = free_columns(&subquery.subquery)?;
    let beside = expr.column_refs();
    Ok(free
        .iter()
        .chain(beside)
        .all(|column| schema.has_column(column)))
}
