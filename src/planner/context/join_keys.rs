//! Keys of joins found in conditions, with one rule for NULL.
//!
//! DataFusion makes keys of `a.x IS NOT DISTINCT FROM b.x` by letting NULL equal NULL in the whole join. Later it adds equalities to these
//! keys, from WHERE (`.. WHERE a.y = b.y`), and merges joins under the rule of the outermost: `a.y = b.y` then holds where both are
//! NULL. Here such a condition becomes two plain keys instead: both sides are NULL or neither, and the values are equal with something else
//! in the place of NULL. The other rule is left to INTERSECT and EXCEPT.
//!
//! A key may become a constant once more is known, as `b.x IS NULL` does where `b.x` cannot be. DataFusion's rule that orders inner joins drops
//! a key without columns on one of its sides, so such a key becomes a condition again. It also drops a key of which one side reads two of the
//! joined relations, where it joins one of them last. Where it has dropped any, the joins stay as they were.

use datafusion::common::tree_node::{Transformed, TreeNodeRecursion};
use datafusion::common::{DFSchema, NullEquality, ScalarValue};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, Join, JoinType, LogicalPlan, Operator,
};
use datafusion::optimizer::eliminate_cross_join::EliminateCrossJoin;
use datafusion::optimizer::extract_equijoin_predicate::ExtractEquijoinPredicate;
use datafusion::optimizer::{OptimizerConfig, OptimizerRule};

use super::around::{Outcome, Rule, put_around};

/// Sets right the rule that finds keys and the one that orders inner joins by them.
pub(super) fn find_keys_rightly(rules: &mut [Rule]) {
    put_around(rules, ExtractEquijoinPredicate::new().name(), find_plain);
    put_around(rules, EliminateCrossJoin::new().name(), order_with_all);
}

/// DataFusion's order of inner joins, where it loses no key.
fn order_with_all(
    theirs: &Rule,
    plan: LogicalPlan,
    config: &dyn OptimizerConfig,
) -> Outcome<Transformed<LogicalPlan>> {
    let keys = equalities(&plan, false)?;
    if keys.is_empty() {
        return theirs.rewrite(plan, config);
    }
    let ordered = theirs.rewrite(plan.clone(), config)?;
    let kept = equalities(&ordered.data, true)?;
    let is_kept = |(left, right): &(Expr, Expr)| {
        kept.iter()
            .any(|(one, other)| one == left && other == right || one == right && other == left)
    };
    Ok(if keys.iter().all(is_kept) {
        ordered
    } else {
        Transformed::no(plan)
    })
}

/// The keys of all inner joins of `plan`, and of all joins and the equalities of all conditions if `all`.
fn equalities(plan: &LogicalPlan, all: bool) -> Outcome<Vec<(Expr, Expr)>> {
    let mut found = Vec::new();
    plan.apply_with_subqueries(|node| {
        if let LogicalPlan::Join(join) = node
            && (all || join.join_type == JoinType::Inner)
        {
            found.extend(join.on.iter().cloned());
        }
        let condition = match node {
            LogicalPlan::Join(join) => join.filter.as_ref(),
            LogicalPlan::Filter(filter) => Some(&filter.predicate),
            _ => None,
        };
        for part in condition
            .filter(|_| all)
            .into_iter()
            .flat_map(split_conjunction)
        {
            if let Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::Eq,
                right,
            }) = part
            {
                found.push((left.as_ref().clone(), right.as_ref().clone()));
            }
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(found)
}

fn find_plain(
    theirs: &Rule,
    plan: LogicalPlan,
    config: &dyn OptimizerConfig,
) -> Outcome<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Join(mut join) if !join.null_aware => {
            let released = release_constants(&mut join);
            let changed = with_plain_keys(&mut join)? || released;
            let found = theirs.rewrite(LogicalPlan::Join(join), config)?;
            Ok(Transformed::new(
                found.data,
                found.transformed || changed,
                found.tnr,
            ))
        }
        plan => theirs.rewrite(plan, config),
    }
}

/// Makes conditions of the keys that are constant on one side. Says whether there are any.
fn release_constants(join: &mut Join) -> bool {
    let is_constant = |expr: &Expr| !expr.any_column_refs();
    let (constant, keys): (Vec<_>, Vec<_>) = std::mem::take(&mut join.on)
        .into_iter()
        .partition(|(left, right)| is_constant(left) != is_constant(right));
    join.on = keys;
    let op = match join.null_equality {
        NullEquality::NullEqualsNothing => Operator::Eq,
        NullEquality::NullEqualsNull => Operator::IsNotDistinctFrom,
    };
    let any = !constant.is_empty();
    let conditions = constant.into_iter().map(|(left, right)| {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
    });
    join.filter = conjunction(join.filter.take().into_iter().chain(conditions));
    any
}

/// Writes the condition of `join` with plain equalities. Says whether that changed anything.
fn with_plain_keys(join: &mut Join) -> Outcome<bool> {
    let (left, right) = (join.left.schema(), join.right.schema());
    let (mut changed, mut all) = (false, Vec::new());
    for condition in join
        .filter
        .iter()
        .cloned()
        .flat_map(split_conjunction_owned)
    {
        match plain(&condition, left, right)? {
            Some(keys) => {
                changed = true;
                all.extend(keys);
            }
            None => all.push(condition),
        }
    }
    if changed {
        join.filter = conjunction(all);
    }
    Ok(changed)
}

/// The equalities that say what `condition` does, if it is one of a value of each side with NULL equal to NULL.
fn plain(condition: &Expr, left: &DFSchema, right: &DFSchema) -> Outcome<Option<Vec<Expr>>> {
    let Expr::BinaryExpr(BinaryExpr {
        left: one,
        op: Operator::IsNotDistinctFrom,
        right: other,
    }) = condition
    else {
        return Ok(None);
    };
    let (one, other) = match (of(one, left), of(other, right)) {
        (true, true) => (one.as_ref(), other.as_ref()),
        _ if of(one, right) && of(other, left) => (other.as_ref(), one.as_ref()),
        _ => return Ok(None),
    };
    let data_type = one.get_type(left)?;
    if data_type != other.get_type(right)? {
        return Ok(None);
    }
    // NULL would have to meet NULL
    if !one.nullable(left)? || !other.nullable(right)? {
        return Ok(Some(vec![one.clone().eq(other.clone())]));
    }
    let Ok(filling) = ScalarValue::new_default(&data_type) else {
        return Ok(None);
    };
    let filled = |value: &Expr| coalesce(vec![value.clone(), Expr::Literal(filling.clone(), None)]);
    Ok(Some(vec![
        one.clone().is_null().eq(other.clone().is_null()),
        filled(one).eq(filled(other)),
    ]))
}

/// Whether `expr` is a value of the side that has the columns `schema`.
fn of(expr: &Expr, schema: &DFSchema) -> bool {
    let columns = expr.column_refs();
    !columns.is_empty()
        && columns.iter().all(|column| schema.has_column(column))
        && !expr.is_volatile()
}
