//! Which columns of the rows outside a plan reads, and how they are replaced.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::expr::{Exists, InSubquery, SetComparison};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};

use super::Outcome;

/// The columns outside of `plan` that it reads, each once, in the order of their first use.
pub(in crate::planner::context) fn free_columns(plan: &LogicalPlan) -> Outcome<Vec<Column>> {
    let mut found = Vec::new();
    collect(plan, &mut Vec::new(), &mut found)?;
    Ok(found)
}

/// The schemas of the rows between a reference and the scope that is asked about.
type Between = Vec<Arc<DFSchema>>;

fn collect(plan: &LogicalPlan, between: &mut Between, found: &mut Vec<Column>) -> Outcome<()> {
    let own = Arc::new(merge_schema(&plan.inputs()));
    plan.apply_expressions(|expr| {
        collect_expr(expr, &own, between, found)?;
        Ok(TreeNodeRecursion::Continue)
    })?;
    if let LogicalPlan::Join(join) = plan {
        collect(&join.left, between, found)?;
        if is_lateral(&join.right) {
            between.push(Arc::clone(join.left.schema()));
            collect(&join.right, between, found)?;
            between.pop();
        } else {
            collect(&join.right, between, found)?;
        }
        return Ok(());
    }
    for input in plan.inputs() {
        collect(input, between, found)?;
    }
    Ok(())
}

fn collect_expr(
    expr: &Expr,
    own: &Arc<DFSchema>,
    between: &mut Between,
    found: &mut Vec<Column>,
) -> Outcome<()> {
    expr.apply(|expr| {
        if let Expr::OuterReferenceColumn(_, column) = expr {
            let outside = between.iter().all(|schema| !schema.has_column(column));
            if outside && !found.contains(column) {
                found.push(column.clone());
            }
        }
        if let Some(subquery) = subquery_of(expr) {
            between.push(Arc::clone(own));
            collect(&subquery.subquery, between, found)?;
            between.pop();
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(())
}

/// The subquery in `expr` itself, not in its parts.
pub(super) fn subquery_of(expr: &Expr) -> Option<&Subquery> {
    match expr {
        Expr::ScalarSubquery(subquery)
        | Expr::Exists(Exists { subquery, .. })
        | Expr::InSubquery(InSubquery { subquery, .. })
        | Expr::SetComparison(SetComparison { subquery, .. }) => Some(subquery),
        _ => None,
    }
}

/// Whether `expr` holds a subquery.
pub(super) fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(subquery_of(expr).is_some()))
        .unwrap_or(true)
}

/// Whether a FROM item is evaluated for each row of what stands to its left.
pub(super) fn is_lateral(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(alias) => is_lateral(&alias.input),
        LogicalPlan::Projection(projection) => is_lateral(&projection.input),
        _ => false,
    }
}

/// What takes the place of a reference to the rows outside; none leaves it.
pub(super) type Replace<'a> = dyn Fn(&FieldRef, &Column) -> Option<Column> + 'a;

/// `expr`, an expression of a plan with the columns `own`, with references replaced: by columns where the reference
/// stands in the plan itself, by references again where it stands in a subquery of it.
pub(super) fn replace_in_expr(
    expr: Expr,
    own: &DFSchema,
    replace: &Replace<'_>,
) -> Outcome<Transformed<Expr>> {
    in_expr(expr, &Arc::new(own.clone()), &mut Vec::new(), replace)
}

fn in_expr(
    expr: Expr,
    own: &Arc<DFSchema>,
    between: &mut Between,
    replace: &Replace<'_>,
) -> Outcome<Transformed<Expr>> {
    expr.transform_up(|expr| match expr {
        Expr::OuterReferenceColumn(field, column) => {
            let hidden = between.iter().any(|schema| schema.has_column(&column));
            let Some(new) = (!hidden).then(|| replace(&field, &column)).flatten() else {
                return Ok(Transformed::no(Expr::OuterReferenceColumn(field, column)));
            };
            Ok(Transformed::yes(if between.is_empty() {
                Expr::Column(new)
            } else {
                Expr::OuterReferenceColumn(field, new)
            }))
        }
        expr if subquery_of(&expr).is_some() => {
            between.push(Arc::clone(own));
            let changed = in_subquery(expr, between, replace);
            between.pop();
            changed
        }
        expr => Ok(Transformed::no(expr)),
    })
}

fn in_subquery(
    expr: Expr,
    between: &mut Between,
    replace: &Replace<'_>,
) -> Outcome<Transformed<Expr>> {
    let rebuilt = |subquery: Subquery, between: &mut Between| -> Outcome<Subquery> {
        let plan = in_plan(Arc::unwrap_or_clone(subquery.subquery), between, replace)?;
        Ok(Subquery {
            outer_ref_columns: plan.all_out_ref_exprs(),
            subquery: Arc::new(plan),
            spans: subquery.spans,
        })
    };
    Ok(Transformed::yes(match expr {
        Expr::ScalarSubquery(subquery) => Expr::ScalarSubquery(rebuilt(subquery, between)?),
        Expr::Exists(exists) => Expr::Exists(Exists {
            subquery: rebuilt(exists.subquery, between)?,
            negated: exists.negated,
        }),
        Expr::InSubquery(test) => Expr::InSubquery(InSubquery {
            expr: test.expr,
            subquery: rebuilt(test.subquery, between)?,
            negated: test.negated,
        }),
        Expr::SetComparison(test) => Expr::SetComparison(SetComparison {
            subquery: rebuilt(test.subquery, between)?,
            ..test
        }),
        other => return Ok(Transformed::no(other)),
    }))
}

fn in_plan(
    plan: LogicalPlan,
    between: &mut Between,
    replace: &Replace<'_>,
) -> Outcome<LogicalPlan> {
    let own = Arc::new(merge_schema(&plan.inputs()));
    let plan = if let LogicalPlan::Join(mut join) = plan {
        join.left = Arc::new(in_plan(Arc::unwrap_or_clone(join.left), between, replace)?);
        let lateral = is_lateral(&join.right);
        if lateral {
            between.push(Arc::clone(join.left.schema()));
        }
        let right = in_plan(Arc::unwrap_or_clone(join.right), between, replace);
        if lateral {
            between.pop();
        }
        join.right = Arc::new(right?);
        LogicalPlan::Join(join)
    } else {
        plan.map_children(|child| Ok(Transformed::yes(in_plan(child, between, replace)?)))?
            .data
    };
    let names = NamePreserver::new(&plan);
    let plan = plan
        .map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = in_expr(expr, &own, between, replace)?;
            Ok(changed.update_data(|expr| name.restore(expr)))
        })?
        .data;
    let LogicalPlan::Subquery(subquery) = plan else {
        return Ok(plan);
    };
    let outer_ref_columns = subquery.subquery.all_out_ref_exprs();
    Ok(LogicalPlan::Subquery(Subquery {
        outer_ref_columns,
        ..subquery
    }))
}
