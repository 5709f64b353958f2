//! LATERAL over one row: `FROM t, unnest(t.tags)` makes its rows of the row outside alone, so they are made right on
//! it, by a projection and an unnest, without a join.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, JoinType, NullHandling, ScalarValue};
use datafusion::logical_expr::{Expr, Filter, Join, LogicalPlan, LogicalPlanBuilder, Projection};

use super::Outcome;
use super::domain::condition_of;
use super::push::columns_from;
use super::scope::{Replace, free_columns, has_subquery, replace_in_expr};

/// The join as a chain of nodes over its left side, where the right side reads nothing but the row outside. `name` is
/// a relation that the plan does not have.
pub(super) fn rewrite(join: &Join, name: &str) -> Outcome<Option<LogicalPlan>> {
    let condition = condition_of(join).filter(|condition| !is_true(condition));
    let keeps_left = match join.join_type {
        JoinType::Inner => false,
        JoinType::Left if condition.is_none() => true,
        _ => return Ok(None),
    };
    if !fits(&join.right, keeps_left) || condition.as_ref().is_some_and(has_subquery) {
        return Ok(None);
    }
    let left = join.left.schema();
    if !free_columns(&join.right)?
        .iter()
        .all(|column| left.has_column(column))
    {
        return Ok(None);
    }
    let row = Row::of(&join.left, name)?;
    let chain = row.chain(&join.right, keeps_left)?;
    let names = join.schema.iter().map(Column::from);
    let exprs = columns_from(&chain, 0)
        .into_iter()
        .zip(names)
        .map(|(expr, Column { relation, name, .. })| expr.alias_qualified(relation, name));
    let named = Projection::try_new(exprs.collect(), Arc::new(chain))?;
    let named = LogicalPlan::Projection(named);
    Ok(Some(match condition {
        None => named,
        Some(condition) => LogicalPlan::Filter(Filter::try_new(condition, Arc::new(named))?),
    }))
}

fn is_true(condition: &Expr) -> bool {
    matches!(
        condition,
        Expr::Literal(ScalarValue::Boolean(Some(true)), _)
    )
}

/// Whether `plan` makes its rows of one row without columns. Where the row outside stays even if there are none,
/// nothing may stand over the unnest that makes a value of NULL or leaves a row out.
fn fits(plan: &LogicalPlan, keeps_left: bool) -> bool {
    match plan {
        LogicalPlan::Subquery(subquery) => fits(&subquery.subquery, keeps_left),
        LogicalPlan::SubqueryAlias(alias) => fits(&alias.input, keeps_left),
        LogicalPlan::Projection(projection) => {
            let plain = |expr: &Expr| matches!(expr.clone().unalias_nested().data, Expr::Column(_));
            let exprs = &projection.expr;
            !exprs.iter().any(has_subquery)
                && (!keeps_left || exprs.iter().all(plain))
                && fits(&projection.input, keeps_left)
        }
        LogicalPlan::Filter(filter) => {
            !keeps_left && !has_subquery(&filter.predicate) && fits(&filter.input, false)
        }
        LogicalPlan::Unnest(unnest) => {
            // Below the one that keeps the row every row is there.
            !unnest.list_type_columns.is_empty() && makes_one_row(&unnest.input, keeps_left)
        }
        _ => false,
    }
}

fn makes_one_row(plan: &LogicalPlan, keeps_left: bool) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            !projection.expr.iter().any(has_subquery)
                && makes_one_row(&projection.input, keeps_left)
        }
        LogicalPlan::SubqueryAlias(alias) => makes_one_row(&alias.input, keeps_left),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        other => !keeps_left && fits(other, false),
    }
}

/// The row outside: its plan under names that nothing else has.
struct Row {
    plan: LogicalPlan,
    /// The columns as the plan inside names them, and as they are named here.
    columns: Vec<(Column, Column)>,
}

impl Row {
    fn of(left: &Arc<LogicalPlan>, name: &str) -> Outcome<Self> {
        let outside = left.schema().columns();
        let columns: Vec<(Column, Column)> = outside
            .into_iter()
            .enumerate()
            .map(|(place, column)| (column, Column::new(Some(name), format!("c{}", place + 1))))
            .collect();
        let exprs = columns.iter().map(|(outside, here)| {
            Expr::Column(outside.clone()).alias_qualified(here.relation.clone(), here.name.clone())
        });
        let plan = Projection::try_new(exprs.collect(), Arc::clone(left))?;
        Ok(Self {
            plan: LogicalPlan::Projection(plan),
            columns,
        })
    }

    /// `plan` over the row: the columns of the row, then those of `plan`.
    fn chain(&self, plan: &LogicalPlan, keeps_left: bool) -> Outcome<LogicalPlan> {
        match plan {
            LogicalPlan::Subquery(subquery) => self.chain(&subquery.subquery, keeps_left),
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.chain(&alias.input, keeps_left)?;
                let inner = columns_from(&input, self.columns.len());
                self.project(input, inner, &alias.schema)
            }
            LogicalPlan::Projection(projection) => {
                let input = self.chain(&projection.input, keeps_left)?;
                let exprs = projection.expr.iter().cloned();
                let exprs = exprs
                    .map(|expr| self.replace(expr, projection.input.schema()))
                    .collect::<Outcome<Vec<_>>>()?;
                self.project(input, exprs, &projection.schema)
            }
            LogicalPlan::Filter(filter) => {
                let input = self.chain(&filter.input, keeps_left)?;
                let predicate = self.replace(filter.predicate.clone(), filter.input.schema())?;
                let filter = Filter::try_new(predicate, Arc::new(input))?;
                Ok(LogicalPlan::Filter(filter))
            }
            LogicalPlan::Unnest(unnest) => {
                let input = self.chain(&unnest.input, keeps_left)?;
                let mut options = unnest.options.clone();
                if keeps_left {
                    options.null_handling = NullHandling::PreserveAndExpandEmpty;
                }
                LogicalPlanBuilder::from(input)
                    .unnest_columns_with_options(unnest.exec_columns.clone(), options)?
                    .build()
            }
            _ => Ok(self.plan.clone()),
        }
    }

    /// The row's columns and `exprs` under the names of `schema`.
    fn project(
        &self,
        input: LogicalPlan,
        exprs: Vec<Expr>,
        schema: &DFSchema,
    ) -> Outcome<LogicalPlan> {
        let row = self
            .columns
            .iter()
            .map(|(_, here)| Expr::Column(here.clone()));
        let named = exprs.into_iter().zip(schema.iter()).map(|(expr, field)| {
            let Column { relation, name, .. } = Column::from(field);
            expr.unalias().alias_qualified(relation, name)
        });
        let exprs = row.chain(named).collect();
        Ok(LogicalPlan::Projection(Projection::try_new(
            exprs,
            Arc::new(input),
        )?))
    }

    /// `expr`, over `own` columns, with the row's columns in place of references to them.
    fn replace(&self, expr: Expr, own: &DFSchema) -> Outcome<Expr> {
        let here = |column: &Column| {
            let mut known = self.columns.iter();
            known.find(|(outside, _)| outside == column)
        };
        let replace: &Replace<'_> = &|_, column| here(column).map(|(_, here)| here.clone());
        Ok(replace_in_expr(expr, own, replace)?.data)
    }
}
