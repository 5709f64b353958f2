//! The correlated subqueries that DataFusion turns into joins by itself, cheaper than a domain would.
//!
//! It pulls conditions on the outer row up into a join. For that they must stand in filters that nothing but
//! projections and inner joins separate from the subquery, and below a scalar subquery's aggregate they must be
//! equalities, because the aggregate is then grouped by their inner sides.

use datafusion::common::JoinType;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{BinaryExpr, Expr, Join, LogicalPlan, Operator, Projection};

use super::Outcome;
use super::scope::{free_columns, has_subquery};
use crate::planner::functions::length_order::is_length;

/// Whether DataFusion plans the subquery in `expr`, which stands in `node`.
pub(super) fn in_expression(node: &LogicalPlan, expr: &Expr) -> Outcome<bool> {
    match expr {
        Expr::ScalarSubquery(subquery) => {
            if free_columns(&subquery.subquery)?.is_empty() {
                return Ok(true);
            }
            let place = matches!(node, LogicalPlan::Projection(_) | LogicalPlan::Filter(_));
            Ok(place && scalar(&subquery.subquery)?)
        }
        Expr::Exists(exists) => {
            let plain = matches!(node, LogicalPlan::Filter(_));
            Ok(plain && pulls_up(&exists.subquery.subquery, Conditions::Any)?)
        }
        Expr::InSubquery(test) => {
            let correlated = !free_columns(&test.subquery.subquery)?.is_empty();
            let LogicalPlan::Filter(filter) = node else {
                return Ok(false);
            };
            let plain = !reads_null(&filter.predicate, expr, correlated);
            Ok(plain && pulls_up(&test.subquery.subquery, Conditions::Any)?)
        }
        Expr::SetComparison(test) => Ok(matches!(node, LogicalPlan::Filter(_))
            && free_columns(&test.subquery.subquery)?.is_empty()),
        _ => Ok(true),
    }
}

/// Whether it makes a difference somewhere in `predicate` that `test`, an IN, is NULL and not false. DataFusion's joins
/// mark a row or do not; only NOT IN as a condition of its own has an anti join that knows NULL, for one key that is
/// no constant and without another condition.
fn reads_null(predicate: &Expr, test: &Expr, correlated: bool) -> bool {
    let all = count(predicate, test);
    let mut plain = 0_usize;
    for condition in split_conjunction(predicate) {
        let (tested, flipped) = match condition {
            Expr::Not(inner) => (inner.as_ref(), true),
            other => (other, false),
        };
        match tested {
            Expr::InSubquery(found) if tested == test => {
                let keyed = !correlated && stays_a_key(&found.expr);
                plain += usize::from(found.negated == flipped || keyed);
            }
            _ => plain += count_below_or(condition, test),
        }
    }
    plain != all
}

/// Whether `expr` is a key of the anti join for sure. One that DataFusion folds to a constant, NULL above all, is none: the join is then
/// one by a condition, for which NULL is as good as false.
fn stays_a_key(expr: &Expr) -> bool {
    match expr {
        Expr::Column(_) => true,
        Expr::Alias(alias) => stays_a_key(&alias.expr),
        Expr::Cast(cast) => stays_a_key(&cast.expr),
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            matches!(op, Operator::Plus | Operator::Minus)
                && one_stays_a_key([left.as_ref(), right.as_ref()])
        }
        Expr::ScalarFunction(call) => {
            !matches!(call.func.name(), "coalesce" | "nullif" | "nvl" | "nvl2")
                && one_stays_a_key(&call.args)
        }
        _ => false,
    }
}

/// The same of what makes one value of `parts`.
fn one_stays_a_key<'a>(parts: impl IntoIterator<Item = &'a Expr>) -> bool {
    let mut any = false;
    let all = parts.into_iter().all(|part| {
        let stays = stays_a_key(part);
        any |= stays;
        stays || matches!(part, Expr::Literal(value, _) if !value.is_null())
    });
    all && any
}

fn count(expr: &Expr, test: &Expr) -> usize {
    let mut found = 0;
    let _done = expr.apply(|expr| {
        found += usize::from(expr == test);
        Ok(TreeNodeRecursion::Continue)
    });
    found
}

/// The places of a positive `test` that only AND and OR stand above: there NULL is as good as false.
fn count_below_or(expr: &Expr, test: &Expr) -> usize {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::And | Operator::Or,
            right,
        }) => count_below_or(left, test) + count_below_or(right, test),
        Expr::InSubquery(found) => usize::from(!found.negated && expr == test),
        _ => 0,
    }
}

/// Whether DataFusion plans the lateral join.
pub(super) fn lateral(join: &Join) -> Outcome<bool> {
    fn inner(plan: &LogicalPlan) -> &LogicalPlan {
        match plan {
            LogicalPlan::SubqueryAlias(alias) => inner(&alias.input),
            LogicalPlan::Subquery(subquery) => &subquery.subquery,
            other => other,
        }
    }
    let inner = inner(&join.right);
    Ok(join.join_type == JoinType::Inner
        && (pulls_up(inner, Conditions::Equalities)? || scalar(inner)?))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Conditions {
    Any,
    Equalities,
}

/// An aggregate without groups over a plan whose conditions are equalities.
fn scalar(plan: &LogicalPlan) -> Outcome<bool> {
    match plan {
        LogicalPlan::Projection(projection) => {
            Ok(no_look_outside(&projection.expr)? && scalar(&projection.input)?)
        }
        LogicalPlan::SubqueryAlias(alias) => scalar(&alias.input),
        LogicalPlan::Aggregate(aggregate) => Ok(aggregate.group_expr.is_empty()
            && no_look_outside(&aggregate.aggr_expr)?
            && pulls_up(&aggregate.input, Conditions::Equalities)?),
        _ => Ok(false),
    }
}

fn pulls_up(plan: &LogicalPlan, conditions: Conditions) -> Outcome<bool> {
    if free_columns(plan)?.is_empty() {
        return Ok(true);
    }
    match plan {
        LogicalPlan::Projection(projection) => Ok(no_look_outside(&projection.expr)?
            && !hides_a_column(projection)
            && pulls_up(&projection.input, conditions)?),
        // a derived table: what DataFusion pulls out of it keeps names that have no meaning outside of it
        LogicalPlan::SubqueryAlias(_) => Ok(false),
        LogicalPlan::Filter(filter) => {
            for condition in split_conjunction(&filter.predicate) {
                if has_subquery(condition) {
                    return Ok(false);
                }
                let fits = conditions == Conditions::Any
                    || !condition.contains_outer()
                    || is_equality(condition);
                if !fits {
                    return Ok(false);
                }
            }
            pulls_up(&filter.input, conditions)
        }
        LogicalPlan::Join(join) if join.join_type == JoinType::Inner => {
            let exprs: Vec<Expr> = join
                .on
                .iter()
                .flat_map(|(left, right)| [left.clone(), right.clone()])
                .chain(join.filter.clone())
                .collect();
            Ok(no_look_outside(&exprs)?
                && pulls_up(&join.left, conditions)?
                && pulls_up(&join.right, conditions)?)
        }
        _ => Ok(false),
    }
}

/// Whether a column has a name that a column below has: what is pulled up asks for columns from below, beside it.
fn hides_a_column(projection: &Projection) -> bool {
    let below = projection.input.schema();
    projection.expr.iter().any(|expr| match expr {
        Expr::Alias(alias) => {
            alias.relation.is_none() && below.has_column_with_unqualified_name(&alias.name)
        }
        _ => false,
    })
}

fn no_look_outside(exprs: &[Expr]) -> Outcome<bool> {
    Ok(!exprs
        .iter()
        .any(|expr| expr.contains_outer() || has_subquery(expr)))
}

/// `inner = outer` in either order, with one plain reference on the outer side. Lengths of time are compared by their numbers, which
/// are no plain reference.
fn is_equality(condition: &Expr) -> bool {
    let Expr::BinaryExpr(BinaryExpr {
        left,
        op: Operator::Eq,
        right,
    }) = condition
    else {
        return false;
    };
    let outer = |expr: &Expr| matches!(expr, Expr::OuterReferenceColumn(field, _) if !is_length(field.data_type()));
    let inner = |expr: &Expr| !expr.contains_outer() && !expr.column_refs().is_empty();
    (outer(left) && inner(right)) || (inner(left) && outer(right))
}
