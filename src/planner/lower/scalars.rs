//! Scalar subqueries as joins: `x > (SELECT max(y) FROM u)` becomes a left join without a key against one row.
//!
//! Only a subquery that cannot have a second row is turned: a second row must be an error, and a join would
//! double rows instead. The rest is recomputed. A model alone runs this form; the batch plan keeps the subquery,
//! which DataFusion evaluates once.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DataFusionError, JoinConstraint, JoinType, NullEquality};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{
    Expr, FetchType, Filter, Join, Limit, LogicalPlan, Projection, SubqueryAlias,
};

use super::hoist::columns_of;
use super::region::leads_to_sort;
use crate::base::Result;

type Outcome<T> = Result<T, DataFusionError>;

/// `plan` with its scalar subqueries joined, where they have at most one row.
pub(super) fn join_scalars(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(join_node)?.data)
}

fn join_node(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let mut found = Found::default();
            let predicate = found.replace(filter.predicate.clone())?;
            if found.scalars.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            }
            let schema = Arc::clone(filter.input.schema());
            let joined = found.join(filter.input)?;
            let filtered = LogicalPlan::Filter(Filter::try_new(predicate, joined)?);
            let exprs = columns_of(&schema);
            let narrow = Projection::try_new_with_schema(exprs, Arc::new(filtered), schema)?;
            Ok(Transformed::yes(LogicalPlan::Projection(narrow)))
        }
        // Under LIMIT a projection must stay on the sort whose order it keeps.
        LogicalPlan::Projection(projection) if !leads_to_sort(&projection.input) => {
            let mut found = Found::default();
            let exprs = projection
                .expr
                .iter()
                .map(|expr| found.replace(expr.clone()))
                .collect::<Outcome<Vec<_>>>()?;
            if found.scalars.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Projection(projection)));
            }
            let joined = found.join(projection.input)?;
            let wide = Projection::try_new_with_schema(exprs, joined, projection.schema)?;
            Ok(Transformed::yes(LogicalPlan::Projection(wide)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The scalar subqueries of one node.
#[derive(Default)]
struct Found {
    scalars: Vec<Subquery>,
}

impl Found {
    /// `expr` with columns in place of the subqueries.
    fn replace(&mut self, expr: Expr) -> Outcome<Expr> {
        let replaced = expr.transform_down(|expr| {
            let Expr::ScalarSubquery(subquery) = expr else {
                return Ok(Transformed::no(expr));
            };
            if !subquery.outer_ref_columns.is_empty() || !at_most_one_row(&subquery.subquery) {
                return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
            }
            let known = self.scalars.iter().position(|known| *known == subquery);
            let index = known.unwrap_or_else(|| {
                self.scalars.push(subquery);
                self.scalars.len() - 1
            });
            Ok(Transformed::yes(Expr::Column(value_of(index))))
        })?;
        Ok(replaced.data)
    }

    /// `input` beside the value of every subquery, NULL for one without a row.
    fn join(self, input: Arc<LogicalPlan>) -> Outcome<Arc<LogicalPlan>> {
        let mut joined = input;
        for (index, scalar) in self.scalars.into_iter().enumerate() {
            let column = scalar.subquery.schema().iter().next().map(Column::from);
            let column = column.ok_or_else(|| {
                DataFusionError::Plan("a scalar subquery has no column".to_owned())
            })?;
            let target = value_of(index);
            let value = Expr::Column(column).alias(target.name);
            let value = Projection::try_new(vec![value], scalar.subquery)?;
            let value = Arc::new(LogicalPlan::Projection(value));
            let right = match target.relation {
                Some(name) => Arc::new(LogicalPlan::SubqueryAlias(SubqueryAlias::try_new(
                    value, name,
                )?)),
                None => value,
            };
            joined = Arc::new(LogicalPlan::Join(Join::try_new(
                joined,
                right,
                Vec::new(),
                None,
                JoinType::Left,
                JoinConstraint::On,
                NullEquality::NullEqualsNothing,
                false,
            )?));
        }
        Ok(joined)
    }
}

fn value_of(index: usize) -> Column {
    Column::new(Some(format!("__lotic_scalar_{}", index + 1)), "value")
}

fn at_most_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Values(values) => values.values.len() <= 1,
        LogicalPlan::Projection(projection) => at_most_one_row(&projection.input),
        LogicalPlan::Filter(filter) => at_most_one_row(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => at_most_one_row(&alias.input),
        LogicalPlan::Sort(sort) => at_most_one_row(&sort.input),
        LogicalPlan::Limit(limit) => fetches_one(limit) || at_most_one_row(&limit.input),
        _ => false,
    }
}

fn fetches_one(limit: &Limit) -> bool {
    matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(0 | 1))))
}
