//! Projections that only a name keeps apart, made one.
//!
//! DataFusion merges them when it plans a batch run, after the names are gone. A column that may fail on a row is then computed where
//! it is used, if at all: behind `CASE` or `coalesce` not on every row. So that a model leaves out the same rows, both modes get one
//! projection, under the condition of DataFusion's own rule (`try_unifying_projections`).

use std::collections::HashMap;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Projection};

use super::expressions::{may_fail, reads_elsewhere};

type Outcome<T> = Result<T, DataFusionError>;

/// One projection over another that may fail, as one.
pub(super) fn merge(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    let LogicalPlan::Projection(outer) = plan else {
        return Ok(Transformed::no(plan));
    };
    let Some(inner) = projection_below(&outer.input) else {
        return Ok(Transformed::no(LogicalPlan::Projection(outer)));
    };
    let schema = inner.input.schema();
    if !inner.expr.iter().any(|expr| may_fail(expr, schema)) || !pays(&outer, inner)? {
        return Ok(Transformed::no(LogicalPlan::Projection(outer)));
    }
    let exprs = outer
        .expr
        .iter()
        .zip(outer.schema.iter())
        .map(|(expr, (qualifier, field))| {
            let expr = substituted(expr.clone().unalias(), &outer.input, inner)?;
            let name = (qualifier.cloned(), field.name().clone());
            if expr.qualified_name() == name {
                return Ok(expr);
            }
            Ok(expr.alias_qualified(name.0, name.1))
        });
    let exprs = exprs.collect::<Outcome<Vec<Expr>>>()?;
    let merged = Projection::try_new_with_schema(
        exprs,
        Arc::clone(&inner.input),
        Arc::clone(&outer.schema),
    )?;
    Ok(Transformed::yes(LogicalPlan::Projection(merged)))
}

/// The projection below `plan`'s names.
pub(super) fn projection_below(plan: &LogicalPlan) -> Option<&Projection> {
    match plan {
        LogicalPlan::SubqueryAlias(alias) => projection_below(&alias.input),
        LogicalPlan::Projection(projection) => Some(projection),
        _ => None,
    }
}

/// Whether nothing of `inner` that is worth keeping is used twice, and all is plain to put in.
fn pays(outer: &Projection, inner: &Projection) -> Outcome<bool> {
    let mut uses: HashMap<usize, usize> = HashMap::new();
    let plain =
        !inner.expr.iter().any(Expr::is_volatile) && !outer.expr.iter().any(reads_elsewhere);
    for expr in &outer.expr {
        expr.apply(|expr| {
            if let Expr::Column(column) = expr {
                let at = outer.input.schema().index_of_column(column)?;
                *uses.entry(at).or_default() += 1;
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
    }
    let once = uses
        .iter()
        .all(|(at, uses)| *uses < 2 || inner.expr[*at].placement().should_push_to_leaves());
    Ok(plain && once)
}

/// `expr` of the columns of `input`, which is `inner` under other names, over the columns that `inner` reads.
pub(super) fn substituted(expr: Expr, input: &LogicalPlan, inner: &Projection) -> Outcome<Expr> {
    let put_in = expr.transform_up(|expr| match expr {
        Expr::Column(column) => {
            let at = input.schema().index_of_column(&column)?;
            Ok(Transformed::yes(
                inner.expr[at].clone().unalias_nested().data,
            ))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(put_in.data)
}
