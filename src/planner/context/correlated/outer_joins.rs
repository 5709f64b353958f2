//! An outer join whose condition holds a subquery that reads both sides.
//!
//! Which pairs are joined is a filter over the inner join. A row without a pair is one that equals none of the rows in those
//! pairs: rows that are equal have the same pairs, so whole rows may stand for the row.

use std::sync::Arc;

use datafusion::common::{Column, JoinType, NullEquality, ScalarValue};
use datafusion::logical_expr::{
    Expr, Filter, Join, JoinConstraint, LogicalPlan, Projection, Union, lit,
};

use super::Outcome;
use super::push::columns_from;
use super::rewriter::Rewriter;
use super::values::project;
use crate::base::Error;

/// One side of the join.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Left,
    Right,
}

/// `join`, a left, right or full one, without the condition that holds the subquery.
pub(super) fn as_union(rewriter: &mut Rewriter, join: &Join) -> Outcome<LogicalPlan> {
    let (left, right) = match join.join_type {
        JoinType::Left => (true, false),
        JoinType::Right => (false, true),
        JoinType::Full => (true, true),
        other => {
            return Err(Error::internal(format!(
                "a {other} join has a subquery that reads both sides in its condition"
            ))
            .into());
        }
    };
    rewriter.copied(&LogicalPlan::Join(join.clone()))?;
    let pairs = pairs_of(join)?;
    let mut parts = vec![project(
        columns_from(&pairs, 0),
        &join.schema,
        pairs.clone(),
    )?];
    if left {
        parts.push(lonely(rewriter, join, &pairs, Side::Left)?);
    }
    if right {
        parts.push(lonely(rewriter, join, &pairs, Side::Right)?);
    }
    let parts = parts.into_iter().map(Arc::new).collect();
    let union = LogicalPlan::Union(Union::try_new(parts)?);
    project(columns_from(&union, 0), &join.schema, union)
}

/// The pairs that the whole condition joins.
fn pairs_of(join: &Join) -> Outcome<LogicalPlan> {
    let inner = LogicalPlan::Join(Join::try_new(
        Arc::clone(&join.left),
        Arc::clone(&join.right),
        join.on.clone(),
        None,
        JoinType::Inner,
        join.join_constraint,
        join.null_equality,
        false,
    )?);
    Ok(match &join.filter {
        Some(filter) => LogicalPlan::Filter(Filter::try_new(filter.clone(), Arc::new(inner))?),
        None => inner,
    })
}

/// The rows of `side` that are in none of `pairs`, with NULL on the other side.
fn lonely(
    rewriter: &mut Rewriter,
    join: &Join,
    pairs: &LogicalPlan,
    side: Side,
) -> Outcome<LogicalPlan> {
    let width = join.left.schema().fields().len();
    let all = pairs.schema().columns();
    let (input, paired) = match side {
        Side::Left => (&join.left, &all[..width]),
        Side::Right => (&join.right, &all[width..]),
    };
    let name = rewriter.name();
    let named = paired.iter().enumerate().map(|(place, column)| {
        Expr::Column(column.clone()).alias_qualified(Some(name.as_str()), format!("c{place}"))
    });
    let joined = LogicalPlan::Projection(Projection::try_new(
        named.collect(),
        Arc::new(pairs.clone()),
    )?);
    let own = columns_from(input, 0);
    let on = own.iter().enumerate().map(|(place, column)| {
        let other = Column::new(Some(name.as_str()), format!("c{place}"));
        (column.clone(), Expr::Column(other))
    });
    let anti = LogicalPlan::Join(Join::try_new(
        Arc::clone(input),
        Arc::new(joined),
        on.collect(),
        None,
        JoinType::LeftAnti,
        JoinConstraint::On,
        NullEquality::NullEqualsNull,
        false,
    )?);
    let (first, behind) = join.schema.fields().split_at(width);
    let missing = match side {
        Side::Left => behind,
        Side::Right => first,
    };
    let missing = missing
        .iter()
        .map(|field| Ok(lit(ScalarValue::try_new_null(field.data_type())?)))
        .collect::<Outcome<Vec<Expr>>>()?;
    let exprs = match side {
        Side::Left => own.into_iter().chain(missing).collect(),
        Side::Right => missing.into_iter().chain(own).collect(),
    };
    project(exprs, &join.schema, anti)
}
