//! Scalar subqueries as joins: `x > (SELECT max(y) FROM u)` becomes a left join without a key against one row.
//!
//! A subquery that cannot have a second row is joined as it is, by the maintained model alone: the batch plan keeps it,
//! and DataFusion evaluates it once. Of any other, rows are counted: what is joined is one row with their number and
//! a value, and `one_row` fails on each row that asks for the value of several. So that batch leaves out the same rows, both modes
//! run that form.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{
    Column, DFSchema, DataFusionError, JoinConstraint, JoinType, NullEquality, TableReference,
};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::functions_aggregate::min_max::min_udaf;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, ExprSchemable, FetchType, Filter, Join, Limit, LogicalPlan, Operator,
    Projection, SubqueryAlias, lit,
};

use super::aggregate::own;
use super::expressions::may_fail;
use super::hoist::{columns_of, only};
use super::join::{is_order, sides_of};
use super::keyed::without_order;
use super::region::leads_to_sort;
use crate::base::Result;
use crate::planner::functions::one_row;

type Outcome<T> = Result<T, DataFusionError>;

/// `plan` with its scalar subqueries joined, where they have at most one row.
pub(super) fn join_scalars(plan: LogicalPlan) -> Result<LogicalPlan> {
    let join = |plan| join_node(plan, Rows::AtMostOne);
    Ok(plan.transform_up_with_subqueries(join)?.data)
}

/// `plan` with those joined that may have more rows.
pub(super) fn join_counted(plan: LogicalPlan) -> Result<LogicalPlan> {
    let join = |plan| join_node(plan, Rows::Any);
    Ok(plan.transform_up_with_subqueries(join)?.data)
}

/// How many rows the subqueries have that are joined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rows {
    AtMostOne,
    Any,
}

fn join_node(plan: LogicalPlan, rows: Rows) -> Outcome<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Filter(filter) => {
            let mut found = Found::new(rows);
            let predicate = found.replace(filter.predicate.clone())?;
            if found.scalars.is_empty() {
                return Ok(Transformed::no(LogicalPlan::Filter(filter)));
            }
            let schema = Arc::clone(filter.input.schema());
            let (input, predicate) = found.compare(filter.input, predicate)?;
            let Some(predicate) = predicate else {
                return Ok(Transformed::yes(Arc::unwrap_or_clone(input)));
            };
            let joined = found.join(input)?;
            let filtered = LogicalPlan::Filter(Filter::try_new(predicate, joined)?);
            only(schema, filtered)
        }
        LogicalPlan::Join(join) => join_in_join(join, rows),
        // Under LIMIT a projection must stay on the sort whose order it keeps.
        LogicalPlan::Projection(projection) if !leads_to_sort(&projection.input) => {
            let mut found = Found::new(rows);
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

/// A join whose condition reads subqueries: their values stand beside the rows of the side that asks for them, and of the left one
/// where the condition is of both.
fn join_in_join(join: Join, rows: Rows) -> Outcome<Transformed<LogicalPlan>> {
    let mut left = Found::new(rows);
    let mut right = Found::new(rows);
    right.prefix = match rows {
        Rows::AtMostOne => "__lotic_scalar_right",
        Rows::Any => "__lotic_counted_right",
    };
    let pairs = join.on.iter();
    let on = pairs.map(|(l, r)| Ok((left.replace(l.clone())?, right.replace(r.clone())?)));
    let on = on.collect::<Outcome<Vec<(Expr, Expr)>>>()?;
    let filter = join.filter.clone().map(|filter| left.replace(filter));
    let filter = filter.transpose()?;
    if left.scalars.is_empty() && right.scalars.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let schema = Arc::clone(&join.schema);
    let joined = LogicalPlan::Join(Join::try_new(
        left.join(join.left)?,
        right.join(join.right)?,
        on,
        filter,
        join.join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    only(schema, joined)
}

/// The scalar subqueries of one node.
struct Found {
    rows: Rows,
    prefix: &'static str,
    scalars: Vec<Subquery>,
    /// Those that need no join any more.
    done: Vec<usize>,
}

impl Found {
    fn new(rows: Rows) -> Self {
        let prefix = match rows {
            Rows::AtMostOne => "__lotic_scalar",
            Rows::Any => "__lotic_counted",
        };
        Self {
            rows,
            prefix,
            scalars: Vec::new(),
            done: Vec::new(),
        }
    }

    /// `expr` with columns in place of the subqueries.
    fn replace(&mut self, expr: Expr) -> Outcome<Expr> {
        let replaced = expr.transform_down(|expr| {
            let Expr::ScalarSubquery(subquery) = expr else {
                return Ok(Transformed::no(expr));
            };
            if !subquery.outer_ref_columns.is_empty() || !self.takes(&subquery.subquery) {
                return Ok(Transformed::no(Expr::ScalarSubquery(subquery)));
            }
            let known = self.scalars.iter().position(|known| *known == subquery);
            let index = known.unwrap_or_else(|| {
                self.scalars.push(subquery);
                self.scalars.len() - 1
            });
            let value = self.column(index, "value");
            Ok(Transformed::yes(match self.rows {
                Rows::AtMostOne => value,
                Rows::Any => one_row::function().call(vec![self.column(index, "count"), value]),
            }))
        })?;
        Ok(replaced.data)
    }

    fn takes(&self, plan: &LogicalPlan) -> bool {
        match self.rows {
            Rows::AtMostOne => at_most_one_row(plan),
            Rows::Any => !at_most_one_row(plan) && without_order(plan.schema().fields()).is_none(),
        }
    }

    fn relation(&self, index: usize) -> String {
        format!("{}_{}", self.prefix, index + 1)
    }

    fn column(&self, index: usize, name: &str) -> Expr {
        Expr::Column(Column::new(Some(self.relation(index)), name))
    }

    /// The rows of `input` that pass those conjuncts of `predicate` which compare a value of the row with that of one subquery, and the other
    /// conjuncts. Such rows are those of a semi-join: where the subquery's value moves, only rows between the old one and the new come or go.
    fn compare(
        &mut self,
        input: Arc<LogicalPlan>,
        predicate: Expr,
    ) -> Outcome<(Arc<LogicalPlan>, Option<Expr>)> {
        if self.rows == Rows::Any {
            return Ok((input, Some(predicate)));
        }
        let mut passing = input;
        let mut others = Vec::new();
        for conjunct in split_conjunction_owned(predicate) {
            let columns = conjunct.column_refs();
            let asked = (0..self.scalars.len()).find(|index| self.is_asked(*index, &columns));
            let joined = match asked {
                Some(index) => semi_join(&passing, self.row(index)?, &conjunct)?,
                None => None,
            };
            match joined {
                Some(join) => passing = Arc::new(LogicalPlan::Join(join)),
                None => others.push(conjunct),
            }
        }
        let rest = conjunction(others);
        let columns = rest.as_ref().map(Expr::column_refs).unwrap_or_default();
        self.done = (0..self.scalars.len())
            .filter(|index| !self.is_asked(*index, &columns))
            .collect();
        Ok((passing, rest))
    }

    fn is_asked(&self, index: usize, columns: &HashSet<&Column>) -> bool {
        let relation = TableReference::bare(self.relation(index));
        columns
            .iter()
            .any(|column| column.relation.as_ref() == Some(&relation))
    }

    /// The row of a subquery, under the name by which it is asked for.
    fn row(&self, index: usize) -> Outcome<LogicalPlan> {
        let subquery = Arc::clone(&self.scalars[index].subquery);
        let row = match self.rows {
            Rows::AtMostOne => valued(subquery)?,
            Rows::Any => counted(subquery)?,
        };
        let named = SubqueryAlias::try_new(Arc::new(row), self.relation(index))?;
        Ok(LogicalPlan::SubqueryAlias(named))
    }

    /// `input` beside the value of every subquery, NULL for one without a row.
    fn join(self, input: Arc<LogicalPlan>) -> Outcome<Arc<LogicalPlan>> {
        let mut joined = input;
        for index in (0..self.scalars.len()).filter(|index| !self.done.contains(index)) {
            joined = Arc::new(LogicalPlan::Join(Join::try_new(
                joined,
                Arc::new(self.row(index)?),
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

/// The rows of `left` for which `test` holds, a comparison of a value of theirs with one of the one row `right`; `None` where it is no such test, or
/// may fail.
fn semi_join(left: &Arc<LogicalPlan>, right: LogicalPlan, test: &Expr) -> Outcome<Option<Join>> {
    let schemas = [left.schema().as_ref(), right.schema().as_ref()];
    let Some((of_left, op, of_right)) = sides_of(test, schemas)? else {
        return Ok(None);
    };
    let same = of_left.get_type(schemas[0])? == of_right.get_type(schemas[1])?;
    let fails = may_fail(of_left, schemas[0]) || may_fail(of_right, schemas[1]);
    if !same || fails || !(op == Operator::Eq || is_order(op)) {
        return Ok(None);
    }
    let (on, filter) = match op {
        Operator::Eq => (vec![(of_left.clone(), of_right.clone())], None),
        _ => (Vec::new(), Some(test.clone())),
    };
    Join::try_new(
        Arc::clone(left),
        Arc::new(right),
        on,
        filter,
        JoinType::LeftSemi,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )
    .map(Some)
}

/// The one column of a subquery's plan.
fn only_column(schema: &DFSchema) -> Outcome<Expr> {
    let column = schema.iter().next().map(Column::from);
    let column = column.map(Expr::Column);
    column.ok_or_else(|| DataFusionError::Plan("a scalar subquery has no column".to_owned()))
}

/// The column `value`: that of `subquery`.
fn valued(subquery: Arc<LogicalPlan>) -> Outcome<LogicalPlan> {
    let value = only_column(subquery.schema())?.alias("value");
    Ok(LogicalPlan::Projection(Projection::try_new(
        vec![value],
        subquery,
    )?))
}

/// One row of the columns `count`, the number of `subquery`'s rows, and `value`, the least of its values.
fn counted(subquery: Arc<LogicalPlan>) -> Outcome<LogicalPlan> {
    let value = only_column(subquery.schema())?;
    let calls = vec![
        own(&count_udaf()).call(vec![lit(1_i64)]),
        own(&min_udaf()).call(vec![value]),
    ];
    let counted = Aggregate::try_new(subquery, Vec::new(), calls)?;
    let named = columns_of(&counted.schema)
        .into_iter()
        .zip(["count", "value"]);
    let named = named.map(|(column, name)| column.alias(name)).collect();
    Ok(LogicalPlan::Projection(Projection::try_new(
        named,
        Arc::new(LogicalPlan::Aggregate(counted)),
    )?))
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
