//! A domain carried down into a subquery: `push(plan, domain)` has the rows of `plan` for each row of the domain, with the
//! domain's columns beside them.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, JoinType};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::expr::{AggregateFunction, WindowFunction};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, Filter, Join, LogicalPlan, LogicalPlanBuilder,
    Projection, SubqueryAlias, Union, Unnest, Window,
};

use super::domain::{Domain, condition_of, join_on_values};
use super::rewriter::Rewriter;
use super::scope::{free_columns, replace_in_expr};
use super::{Outcome, limit};
use crate::base::Error;

/// The rows of `plan` for each row of `domain`.
pub(super) fn push(
    rewriter: &mut Rewriter,
    plan: LogicalPlan,
    domain: &Domain,
) -> Outcome<LogicalPlan> {
    if !domain.has_any(&free_columns(&plan)?) {
        return beside(plan, domain);
    }
    match rewriter.lateral(plan)? {
        LogicalPlan::Projection(projection) => push_projection(rewriter, projection, domain),
        LogicalPlan::Filter(filter) => {
            let predicate = bind(filter.predicate, filter.input.schema(), domain)?;
            let input = push(rewriter, Arc::unwrap_or_clone(filter.input), domain)?;
            Ok(LogicalPlan::Filter(Filter::try_new(
                predicate,
                Arc::new(input),
            )?))
        }
        LogicalPlan::SubqueryAlias(alias) => push_alias(rewriter, alias, domain),
        LogicalPlan::Subquery(subquery) => {
            push(rewriter, Arc::unwrap_or_clone(subquery.subquery), domain)
        }
        LogicalPlan::Aggregate(aggregate) => push_aggregate(rewriter, aggregate, domain),
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let input = push(rewriter, Arc::unwrap_or_clone(input), domain)?;
            Ok(LogicalPlan::Distinct(Distinct::All(Arc::new(input))))
        }
        // The order of a subquery's rows is read by LIMIT alone, which takes its Sort along.
        LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
            push(rewriter, Arc::unwrap_or_clone(sort.input), domain)
        }
        LogicalPlan::Limit(node) => limit::push(rewriter, node, domain),
        LogicalPlan::Window(window) => push_window(rewriter, window, domain),
        LogicalPlan::Join(join) => push_join(rewriter, join, domain),
        LogicalPlan::Union(union) => push_union(rewriter, union, domain),
        LogicalPlan::Unnest(unnest) => push_unnest(rewriter, unnest, domain),
        other => Err(Error::unsupported(format!(
            "a subquery with {} between it and the row outside that it reads is not supported",
            other.display()
        ))
        .with_hint("write it as a join or as a window function")
        .into()),
    }
}

/// `expr` over a pushed input: references to the outer row are the domain's columns.
pub(super) fn bind(expr: Expr, own: &DFSchema, domain: &Domain) -> Outcome<Expr> {
    let bound = replace_in_expr(expr, own, &|_, column| domain.column_of(column))?;
    Ok(bound.data)
}

/// The domain's columns and then `exprs`, each under the name that `schema` has for it.
pub(super) fn project_as(
    domain: &Domain,
    exprs: impl IntoIterator<Item = Expr>,
    schema: &DFSchema,
    input: LogicalPlan,
) -> Outcome<LogicalPlan> {
    let mut all = domain.exprs();
    for (expr, (qualifier, field)) in exprs.into_iter().zip(schema.iter()) {
        let same = matches!(&expr, Expr::Column(column)
            if column.relation.as_ref() == qualifier && column.name == *field.name());
        all.push(if same {
            expr
        } else {
            expr.unalias()
                .alias_qualified(qualifier.cloned(), field.name())
        });
    }
    Ok(LogicalPlan::Projection(Projection::try_new(
        all,
        Arc::new(input),
    )?))
}

/// The columns of `plan` from `first` on, by position.
pub(super) fn columns_from(plan: &LogicalPlan, first: usize) -> Vec<Expr> {
    plan.schema()
        .columns()
        .into_iter()
        .skip(first)
        .map(Expr::Column)
        .collect()
}

/// A plan that does not look outside: all its rows for each row of the domain.
fn beside(plan: LogicalPlan, domain: &Domain) -> Outcome<LogicalPlan> {
    match plan {
        LogicalPlan::EmptyRelation(empty)
            if empty.produce_one_row && empty.schema.fields().is_empty() =>
        {
            domain.plan()
        }
        plan if domain.outer().is_empty() => Ok(plan),
        plan => LogicalPlanBuilder::from(domain.plan()?)
            .cross_join(plan)?
            .build(),
    }
}

fn push_projection(
    rewriter: &mut Rewriter,
    projection: Projection,
    domain: &Domain,
) -> Outcome<LogicalPlan> {
    let own = Arc::clone(projection.input.schema());
    let exprs = projection
        .expr
        .into_iter()
        .map(|expr| bind(expr, &own, domain))
        .collect::<Outcome<Vec<_>>>()?;
    let input = push(rewriter, Arc::unwrap_or_clone(projection.input), domain)?;
    project_as(domain, exprs, &projection.schema, input)
}

fn push_alias(
    rewriter: &mut Rewriter,
    alias: SubqueryAlias,
    domain: &Domain,
) -> Outcome<LogicalPlan> {
    let columns: Vec<Expr> = columns_from(&alias.input, 0);
    let input = push(rewriter, Arc::unwrap_or_clone(alias.input), domain)?;
    project_as(domain, columns, &alias.schema, input)
}

fn push_aggregate(
    rewriter: &mut Rewriter,
    aggregate: Aggregate,
    domain: &Domain,
) -> Outcome<LogicalPlan> {
    let schema = Arc::clone(&aggregate.schema);
    if !aggregate.group_expr.is_empty() {
        let (grouped, columns) = group_by_domain(rewriter, aggregate, domain)?;
        return project_as(domain, columns, &schema, grouped);
    }
    // Without GROUP BY there is a row for each row of the domain, also where no row was found.
    let empty = values_of_nothing(&aggregate)?;
    let inner = rewriter.again(domain)?;
    let (grouped, columns) = group_by_domain(rewriter, aggregate, &inner)?;
    let named = rewriter.name();
    let columns = columns
        .into_iter()
        .enumerate()
        .map(|(place, column)| column.alias_qualified(Some(named.clone()), format!("a{place}")));
    let mut exprs = inner.exprs();
    exprs.extend(columns);
    let grouped = LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(grouped))?);
    let results = columns_from(&grouped, inner.outer().len());
    let pairs = domain.columns().into_iter().zip(inner.columns()).collect();
    let joined = join_on_values(domain.plan()?, grouped, JoinType::Left, pairs, None)?;
    let results = results
        .into_iter()
        .zip(empty)
        .map(|(column, empty)| or_default(column, empty));
    project_as(domain, results, &schema, joined)
}

/// `column`, or what its aggregate is over no rows.
pub(super) fn or_default(column: Expr, empty: Option<Expr>) -> Expr {
    match empty {
        Some(empty) => coalesce(vec![column, empty]),
        None => column,
    }
}

/// What each aggregate is over no rows, where that is not NULL.
pub(super) fn values_of_nothing(aggregate: &Aggregate) -> Outcome<Vec<Option<Expr>>> {
    let schema = aggregate.input.schema();
    aggregate
        .aggr_expr
        .iter()
        .map(|expr| {
            let data_type = expr.get_type(schema)?;
            let Expr::AggregateFunction(AggregateFunction { func, .. }) =
                expr.clone().unalias_nested().data
            else {
                return Ok(None);
            };
            let value = func.default_value(&data_type)?;
            Ok((!value.is_null()).then(|| Expr::Literal(value, None)))
        })
        .collect()
}

/// The aggregate over the pushed input, grouped by the domain first, and the columns of it that the aggregate had.
pub(super) fn group_by_domain(
    rewriter: &mut Rewriter,
    aggregate: Aggregate,
    domain: &Domain,
) -> Outcome<(LogicalPlan, Vec<Expr>)> {
    if matches!(aggregate.group_expr[..], [Expr::GroupingSet(_)]) {
        return Err(Error::unsupported(
            "grouping sets in a subquery that reads the row outside are not supported",
        )
        .into());
    }
    let own = Arc::clone(aggregate.input.schema());
    let mut groups = domain.exprs();
    // A group that is a column of the row outside is one of the domain's: no key is written twice.
    let mut places = Vec::with_capacity(aggregate.group_expr.len());
    for expr in aggregate.group_expr {
        let expr = bind(expr, &own, domain)?.unalias();
        let known = groups.iter().position(|group| *group == expr);
        places.push(known.unwrap_or(groups.len()));
        if known.is_none() {
            groups.push(expr);
        }
    }
    let calls = aggregate
        .aggr_expr
        .into_iter()
        .map(|expr| bind(expr, &own, domain))
        .collect::<Outcome<Vec<_>>>()?;
    places.extend(groups.len()..groups.len() + calls.len());
    let input = push(rewriter, Arc::unwrap_or_clone(aggregate.input), domain)?;
    let node = LogicalPlan::Aggregate(Aggregate::try_new(Arc::new(input), groups, calls)?);
    let columns = places
        .into_iter()
        .map(|place| Expr::Column(Column::from(node.schema().qualified_field(place))))
        .collect();
    Ok((node, columns))
}

fn push_window(rewriter: &mut Rewriter, window: Window, domain: &Domain) -> Outcome<LogicalPlan> {
    let own = Arc::clone(window.input.schema());
    let calls = window
        .window_expr
        .into_iter()
        .map(|expr| {
            let expr = bind(expr, &own, domain)?;
            let expr = expr.transform_down(|expr| match expr {
                Expr::WindowFunction(call) => {
                    let WindowFunction { fun, mut params } = *call;
                    params.partition_by.extend(domain.exprs());
                    let call = WindowFunction { fun, params };
                    Ok(Transformed::yes(Expr::WindowFunction(Box::new(call))))
                }
                expr => Ok(Transformed::no(expr)),
            })?;
            Ok(expr.data)
        })
        .collect::<Outcome<Vec<_>>>()?;
    let mut columns = columns_from(&window.input, 0);
    let input = push(rewriter, Arc::unwrap_or_clone(window.input), domain)?;
    let width = input.schema().fields().len();
    let node = LogicalPlan::Window(Window::try_new(calls, Arc::new(input))?);
    columns.extend(columns_from(&node, width));
    project_as(domain, columns, &window.schema, node)
}

fn push_join(rewriter: &mut Rewriter, join: Join, domain: &Domain) -> Outcome<LogicalPlan> {
    let schema = Arc::clone(&join.schema);
    let own = merge_schema(&[join.left.as_ref(), join.right.as_ref()]);
    let condition = condition_of(&join)
        .map(|filter| bind(filter, &own, domain))
        .transpose()?;
    let kind = join.join_type;
    let left_reads = domain.has_any(&free_columns(&join.left)?);
    let right_reads = domain.has_any(&free_columns(&join.right)?);
    let (left, right) = (
        Arc::unwrap_or_clone(join.left),
        Arc::unwrap_or_clone(join.right),
    );
    // The side whose rows all come out must have the domain; the other may do without where it does not read it.
    let (left_has, right_has) = match kind {
        JoinType::Inner => (left_reads || !right_reads, right_reads),
        JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
            (true, right_reads)
        }
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
            (left_reads, true)
        }
        JoinType::Full => (true, true),
    };
    if kind == JoinType::Full || join.null_aware {
        return Err(Error::unsupported(
            "a full join in a subquery that reads the row outside is not supported",
        )
        .into());
    }
    let pair = left_has && right_has;
    let keeps_right = matches!(
        kind,
        JoinType::Right | JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark
    );
    let other = if pair {
        Some(rewriter.again(domain)?)
    } else {
        None
    };
    let copy = other.as_ref().unwrap_or(domain);
    let (for_left, for_right) = if keeps_right {
        (copy, domain)
    } else {
        (domain, copy)
    };
    let left = if left_has {
        push(rewriter, left, for_left)?
    } else {
        left
    };
    let right = if right_has {
        push(rewriter, right, for_right)?
    } else {
        right
    };
    let pairs = if pair {
        for_left
            .columns()
            .into_iter()
            .zip(for_right.columns())
            .collect()
    } else {
        Vec::new()
    };
    let joined = join_on_values(left, right, kind, pairs, condition)?;
    let columns: Vec<Expr> = schema.columns().into_iter().map(Expr::Column).collect();
    project_as(domain, columns, &schema, joined)
}

fn push_union(rewriter: &mut Rewriter, union: Union, domain: &Domain) -> Outcome<LogicalPlan> {
    let mut inputs = Vec::with_capacity(union.inputs.len());
    for input in union.inputs {
        let columns = columns_from(&input, 0);
        let pushed = push(rewriter, Arc::unwrap_or_clone(input), domain)?;
        let branch = project_as(domain, columns, &union.schema, pushed)?;
        inputs.push(Arc::new(branch));
    }
    let node = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
    // A union may drop the qualifiers of its inputs.
    let mut exprs: Vec<Expr> = Vec::new();
    let names = domain.columns().into_iter().chain(union.schema.columns());
    for (column, Column { relation, name, .. }) in columns_from(&node, 0).into_iter().zip(names) {
        exprs.push(column.alias_qualified(relation, name));
    }
    Ok(LogicalPlan::Projection(Projection::try_new(
        exprs,
        Arc::new(node),
    )?))
}

fn push_unnest(rewriter: &mut Rewriter, unnest: Unnest, domain: &Domain) -> Outcome<LogicalPlan> {
    let input = push(rewriter, Arc::unwrap_or_clone(unnest.input), domain)?;
    LogicalPlanBuilder::from(input)
        .unnest_columns_with_options(unnest.exec_columns, unnest.options)?
        .build()
}
