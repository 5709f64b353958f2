//! Subqueries in expressions: the outer rows join the results, and a column takes the subquery's place.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, JoinType, ScalarValue, Spans};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison, SetQuantifier};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Expr, FetchType, LogicalPlan, Projection, lit, when,
};

use super::Outcome;
use super::domain::{Domain, join_on_values, with_fixed_choices};
use super::join_conditions::out_of_join;
use super::push::{columns_from, group_by_domain, or_default, push, values_of_nothing};
use super::rewriter::Rewriter;
use super::scope::{free_columns, has_subquery, subquery_of};
use super::simple;
use crate::planner::functions::one_row;

/// `plan` with columns in the place of the subqueries that stand in its own expressions.
pub(super) fn rewrite(rewriter: &mut Rewriter, plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let plan = out_of_join(rewriter, plan)?;
    if plan.inputs().len() != 1 || !wanted(&plan)? {
        return Ok(plan);
    }
    let Some(input) = plan.inputs().first().map(|input| (*input).clone()) else {
        return Ok(plan);
    };
    let before = Arc::clone(input.schema());
    let base = with_fixed_choices(input)?;
    let mut found = Found {
        rewriter,
        node: &plan,
        joined: base.clone(),
        base,
    };
    let exprs = plan
        .expressions()
        .into_iter()
        .map(|expr| found.replace(expr))
        .collect::<Outcome<Vec<_>>>()?;
    let joined = found.joined;
    rebuilt(&plan, exprs, joined, &before)
}

/// Whether `plan` holds a subquery that is not left to DataFusion.
pub(super) fn wanted(plan: &LogicalPlan) -> Outcome<bool> {
    let mut wanted = false;
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            wanted = wanted || (subquery_of(expr).is_some() && !simple::in_expression(plan, expr)?);
            Ok(if wanted {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })
    })?;
    Ok(wanted)
}

/// The node over its new input, with the columns that it had.
fn rebuilt(
    plan: &LogicalPlan,
    exprs: Vec<Expr>,
    input: LogicalPlan,
    before: &DFSchemaRef,
) -> Outcome<LogicalPlan> {
    let schema = plan.schema();
    if let LogicalPlan::Projection(_) = plan {
        return project(exprs, schema, input);
    }
    let own = match plan {
        LogicalPlan::Window(_) => schema.fields().len() - before.fields().len(),
        LogicalPlan::Aggregate(_) => schema.fields().len(),
        _ => 0,
    };
    let node = plan.with_new_exprs(exprs, vec![input])?;
    let first_own = node.schema().fields().len() - own;
    let mut columns: Vec<Expr> = match plan {
        LogicalPlan::Aggregate(_) => Vec::new(),
        _ => before.columns().into_iter().map(Expr::Column).collect(),
    };
    columns.extend(columns_from(&node, first_own));
    project(columns, schema, node)
}

/// `exprs` under the names of `schema`.
pub(super) fn project(
    exprs: Vec<Expr>,
    schema: &DFSchemaRef,
    input: LogicalPlan,
) -> Outcome<LogicalPlan> {
    let named = exprs
        .into_iter()
        .zip(schema.iter())
        .map(|(expr, (qualifier, field))| {
            let (relation, name) = expr.qualified_name();
            if relation.as_ref() == qualifier && name == *field.name() {
                expr
            } else {
                expr.unalias()
                    .alias_qualified(qualifier.cloned(), field.name())
            }
        })
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(
        named,
        Arc::new(input),
    )?))
}

/// `expr`, a subquery, with another plan in it.
pub(super) fn map_subquery(
    expr: Expr,
    change: impl FnOnce(Subquery) -> Outcome<Subquery>,
) -> Outcome<Expr> {
    Ok(match expr {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(change(subquery)?),
        Expr::Exists(exists) => Expr::Exists(Exists {
            subquery: change(exists.subquery)?,
            negated: exists.negated,
        }),
        Expr::InSubquery(test) => Expr::InSubquery(InSubquery {
            expr: test.expr,
            subquery: change(test.subquery)?,
            negated: test.negated,
        }),
        Expr::SetComparison(test) => Expr::SetComparison(SetComparison {
            subquery: change(test.subquery)?,
            ..test
        }),
        other => other,
    })
}

/// The subqueries of one node.
pub(super) struct Found<'a> {
    pub(super) rewriter: &'a mut Rewriter,
    node: &'a LogicalPlan,
    /// The node's input as it was.
    pub(super) base: LogicalPlan,
    /// The input beside the results so far.
    pub(super) joined: LogicalPlan,
}

impl Found<'_> {
    fn replace(&mut self, expr: Expr) -> Outcome<Expr> {
        let replaced = expr.transform_down(|expr| {
            if subquery_of(&expr).is_none() || simple::in_expression(self.node, &expr)? {
                return Ok(Transformed::no(expr));
            }
            if let Some(value) = self.tested(&expr)? {
                return Ok(Transformed::yes(value));
            }
            let scalar = self.as_scalar(expr)?;
            match scalar {
                Expr::ScalarSubquery(subquery) => {
                    let value = self.value(Arc::unwrap_or_clone(subquery.subquery))?;
                    // What is left in the value is visited next.
                    Ok(Transformed::yes(value))
                }
                other => Ok(Transformed::no(other)),
            }
        })?;
        Ok(replaced.data)
    }

    /// A test of a subquery's rows as an aggregate over them, which always has one row.
    fn as_scalar(&self, expr: Expr) -> Outcome<Expr> {
        let (value, plan) = match expr {
            Expr::Exists(exists) => {
                let plan = self.summary(exists.subquery, &|_| Vec::new())?;
                let count = column_at(&plan, 0);
                let found = if exists.negated {
                    count.eq(lit(0_i64))
                } else {
                    count.gt(lit(0_i64))
                };
                (found, plan)
            }
            Expr::InSubquery(test) if !has_subquery(&test.expr) => {
                let wanted = self.seen_within(*test.expr)?;
                let compare = |value: Expr| wanted.clone().eq(value);
                let (any, plan) = self.quantified(true, test.subquery, &compare)?;
                (if test.negated { !any } else { any }, plan)
            }
            Expr::SetComparison(test) if !has_subquery(&test.expr) => {
                let wanted = self.seen_within(*test.expr)?;
                let compare = |value: Expr| {
                    let (left, right) = (Box::new(wanted.clone()), Box::new(value));
                    Expr::BinaryExpr(BinaryExpr::new(left, test.op, right))
                };
                match test.quantifier {
                    SetQuantifier::Any => self.quantified(true, test.subquery, &compare)?,
                    SetQuantifier::All => self.quantified(false, test.subquery, &compare)?,
                }
            }
            other => return Ok(other),
        };
        let plan = LogicalPlan::Projection(Projection::try_new(
            vec![value.alias("value")],
            Arc::new(plan),
        )?);
        Ok(Expr::ScalarSubquery(Subquery {
            outer_ref_columns: plan.all_out_ref_exprs(),
            subquery: Arc::new(plan),
            spans: Spans::new(),
        }))
    }

    /// ANY, where `is_any`: true where one comparison is, else NULL where one is NULL, else false. Else ALL:
    /// false where one comparison is, else NULL where one is NULL, else true.
    fn quantified(
        &self,
        is_any: bool,
        subquery: Subquery,
        compare: &dyn Fn(Expr) -> Expr,
    ) -> Outcome<(Expr, LogicalPlan)> {
        let calls = &self.rewriter.calls;
        let fold = if is_any {
            &calls.bool_or
        } else {
            &calls.bool_and
        };
        let plan = self.summary(subquery, &|value| {
            let test = compare(value);
            vec![calls.count.call(vec![test.clone()]), fold.call(vec![test])]
        })?;
        let (rows, known, folded) = (
            column_at(&plan, 0),
            column_at(&plan, 1),
            column_at(&plan, 2),
        );
        let decided = if is_any { folded } else { !folded };
        let value = when(decided, lit(is_any))
            .when(
                rows.gt(known),
                Expr::Literal(ScalarValue::Boolean(None), None),
            )
            .otherwise(lit(!is_any))?;
        Ok((value, plan))
    }

    /// The number of the subquery's rows, and the aggregates that `more` makes of its column.
    fn summary(
        &self,
        subquery: Subquery,
        more: &dyn Fn(Expr) -> Vec<Expr>,
    ) -> Outcome<LogicalPlan> {
        let mut calls = vec![self.rewriter.calls.count.call(vec![lit(1_i64)])];
        calls.extend(
            columns_from(&subquery.subquery, 0)
                .into_iter()
                .take(1)
                .flat_map(more),
        );
        Ok(LogicalPlan::Aggregate(Aggregate::try_new(
            subquery.subquery,
            Vec::new(),
            calls,
        )?))
    }

    /// An expression of the node, as a subquery of the node sees it.
    fn seen_within(&self, expr: Expr) -> Outcome<Expr> {
        let schema = self.base.schema();
        let seen = expr.transform_up(|expr| {
            let Expr::Column(column) = expr else {
                return Ok(Transformed::no(expr));
            };
            let (_, field) = schema.qualified_field_from_column(&column)?;
            let field = Arc::clone(field);
            Ok(Transformed::yes(Expr::OuterReferenceColumn(field, column)))
        })?;
        Ok(seen.data)
    }

    /// The values of the outer columns that `plan`, a subquery of the node, reads.
    pub(super) fn domain_of(&mut self, plan: &LogicalPlan) -> Outcome<Domain> {
        let free = free_columns(plan)?;
        let input = {
            let known = free
                .iter()
                .all(|column| self.base.schema().has_column(column));
            if known { &self.base } else { &self.joined }
        };
        let outer: Vec<Column> = free
            .into_iter()
            .filter(|column| input.schema().has_column(column))
            .collect();
        let input = input.clone();
        self.rewriter.domain(outer, &input)
    }

    /// What takes the place of a scalar subquery, whose result is joined to the input.
    fn value(&mut self, plan: LogicalPlan) -> Outcome<Expr> {
        let domain = self.domain_of(&plan)?;
        match plan {
            LogicalPlan::Projection(projection) => match Arc::unwrap_or_clone(projection.input) {
                LogicalPlan::Aggregate(aggregate)
                    if aggregate.group_expr.is_empty()
                        && !projection.expr.iter().any(has_subquery) =>
                {
                    self.aggregated(aggregate, projection.expr, &domain)
                }
                other => {
                    let projection = Projection::try_new_with_schema(
                        projection.expr,
                        Arc::new(other),
                        projection.schema,
                    )?;
                    self.plain(LogicalPlan::Projection(projection), &domain)
                }
            },
            plan => self.plain(plan, &domain),
        }
    }

    /// An aggregate over all rows: outer rows without a partner have its value over no rows, so that the expression
    /// over it is evaluated above the join.
    fn aggregated(
        &mut self,
        aggregate: Aggregate,
        exprs: Vec<Expr>,
        domain: &Domain,
    ) -> Outcome<Expr> {
        let Some(expr) = exprs.into_iter().next() else {
            return Ok(Expr::Literal(ScalarValue::Null, None));
        };
        let empty = values_of_nothing(&aggregate)?;
        let before = aggregate.schema.columns();
        let (grouped, results) = group_by_domain(self.rewriter, aggregate, domain)?;
        let results = self.join(grouped, results, domain)?;
        let value = expr.unalias().transform_up(|expr| match expr {
            Expr::Column(column) => {
                let Some(place) = before.iter().position(|known| *known == column) else {
                    return Ok(Transformed::no(Expr::Column(column)));
                };
                let (Some(result), Some(empty)) = (results.get(place), empty.get(place)) else {
                    return Ok(Transformed::no(Expr::Column(column)));
                };
                Ok(Transformed::yes(or_default(result.clone(), empty.clone())))
            }
            Expr::OuterReferenceColumn(_, column) if domain.outer().contains(&column) => {
                Ok(Transformed::yes(Expr::Column(column)))
            }
            expr => Ok(Transformed::no(expr)),
        })?;
        Ok(value.data)
    }

    /// Any other subquery: one row at most, or an error of the outer row.
    fn plain(&mut self, plan: LogicalPlan, domain: &Domain) -> Outcome<Expr> {
        let single = at_most_one_row(&plan);
        let column = columns_from(&plan, 0);
        let pushed = push(self.rewriter, plan, domain)?;
        if single {
            let results = self.join(pushed, column, domain)?;
            return Ok(results.into_iter().next().unwrap_or_else(|| lit(0)));
        }
        let calls = &self.rewriter.calls;
        let mut made = vec![calls.count.call(vec![lit(1_i64)])];
        made.extend(
            column
                .into_iter()
                .take(1)
                .map(|column| calls.min.call(vec![column])),
        );
        let grouped =
            LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(pushed), domain.exprs(), made)?);
        let results = columns_from(&grouped, domain.outer().len());
        let results = self.join(grouped, results, domain)?;
        Ok(one_row::function().call(results))
    }

    /// Joins `results`, columns of `plan`, to the input, and says by what names they are known there.
    fn join(
        &mut self,
        plan: LogicalPlan,
        results: Vec<Expr>,
        domain: &Domain,
    ) -> Outcome<Vec<Expr>> {
        self.join_where(plan, results, domain, &|_| None)
    }

    /// The same of the rows alone for which what `condition` makes of the names holds.
    pub(super) fn join_where(
        &mut self,
        plan: LogicalPlan,
        results: Vec<Expr>,
        domain: &Domain,
        condition: &dyn Fn(&[Expr]) -> Option<Expr>,
    ) -> Outcome<Vec<Expr>> {
        let name = self.rewriter.name();
        let mut exprs = domain.exprs();
        exprs.extend(results.into_iter().enumerate().map(|(place, column)| {
            column.alias_qualified(Some(name.clone()), format!("v{place}"))
        }));
        let right = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?);
        let columns = columns_from(&right, domain.outer().len());
        let pairs = domain
            .outer()
            .iter()
            .cloned()
            .zip(domain.columns())
            .collect();
        let left = self.joined.clone();
        let condition = condition(&columns);
        self.joined = join_on_values(left, right, JoinType::Left, pairs, condition)?;
        Ok(columns)
    }
}

fn column_at(plan: &LogicalPlan, place: usize) -> Expr {
    Expr::Column(Column::from(plan.schema().qualified_field(place)))
}

/// Whether a subquery has one row at most for each outer row.
fn at_most_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Projection(projection) => at_most_one_row(&projection.input),
        LogicalPlan::Filter(filter) => at_most_one_row(&filter.input),
        LogicalPlan::SubqueryAlias(alias) => at_most_one_row(&alias.input),
        LogicalPlan::Sort(sort) => at_most_one_row(&sort.input),
        LogicalPlan::Limit(limit) => {
            matches!(limit.get_fetch_type(), Ok(FetchType::Literal(Some(0 | 1))))
                || at_most_one_row(&limit.input)
        }
        _ => false,
    }
}
