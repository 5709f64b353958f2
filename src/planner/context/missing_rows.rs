//! Scalar subqueries that may have no row are NULL then, whatever their column says, or will say once it is optimised.
//!
//! DataFusion takes the value of `(SELECT 1 FROM u)` for one that is never NULL, because its column is not. Tests of NULL would be
//! folded away, and a column so declared cannot hold the NULL of a subquery without a row.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{Expr, LogicalPlan, Union};

use crate::base::Result;
use crate::planner::functions::or_null;

type Outcome<T> = Result<T, DataFusionError>;

/// Says of every such subquery in `plan` that it may be NULL.
pub(super) fn rewrite(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                found |= matches!(expr, Expr::ScalarSubquery(subquery) if is_mistaken(subquery));
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    if !found {
        return Ok(plan);
    }
    // The schemas above change with the columns below.
    let plan = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            Ok(expr
                .transform_up(mend)?
                .update_data(|expr| name.restore(expr)))
        })?;
        Ok(Transformed::yes(with_schema_of_inputs(node.data)?))
    })?;
    Ok(plan.data)
}

/// `plan` with the schema that its inputs give it now.
fn with_schema_of_inputs(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let LogicalPlan::Union(union) = plan else {
        return plan.recompute_schema();
    };
    // DataFusion leaves the schema of a union as it was.
    let fields = union
        .schema
        .iter()
        .enumerate()
        .map(|(at, (relation, field))| {
            let mut inputs = union.inputs.iter();
            let nullable = inputs.any(|input| input.schema().field(at).is_nullable());
            let field = field.as_ref().clone();
            let nullable = nullable || field.is_nullable();
            (relation.cloned(), Arc::new(field.with_nullable(nullable)))
        });
    let metadata = union.schema.metadata().clone();
    let schema = DFSchema::new_with_metadata(fields.collect(), metadata)?;
    Ok(LogicalPlan::Union(Union {
        inputs: union.inputs,
        schema: Arc::new(schema),
    }))
}

fn mend(expr: Expr) -> Outcome<Transformed<Expr>> {
    match expr {
        Expr::ScalarSubquery(subquery) if is_mistaken(&subquery) => {
            let value = Expr::ScalarSubquery(subquery);
            Ok(Transformed::yes(or_null::function().call(vec![value])))
        }
        expr => Ok(Transformed::no(expr)),
    }
}

fn is_mistaken(subquery: &Subquery) -> bool {
    let plan = &subquery.subquery;
    let nullable = plan
        .schema()
        .fields()
        .first()
        .is_none_or(|field| field.is_nullable());
    (!nullable || may_fold(plan)) && !has_one_row(plan)
}

/// Whether the optimizer may yet find that a column of `plan` is never NULL, as it does where an expression turns out to be
/// a constant.
fn may_fold(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => {
            let is_column = |expr: &Expr| matches!(expr.clone().unalias(), Expr::Column(_));
            !projection.expr.iter().all(is_column) || may_fold(&projection.input)
        }
        LogicalPlan::TableScan(_) => false,
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::SubqueryAlias(_) => plan.inputs().into_iter().any(may_fold),
        _ => true,
    }
}

/// Whether a subquery has a row, whatever the tables hold.
fn has_one_row(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Aggregate(aggregate) => aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => empty.produce_one_row,
        LogicalPlan::Values(values) => !values.values.is_empty(),
        LogicalPlan::Projection(projection) => has_one_row(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => has_one_row(&alias.input),
        LogicalPlan::Sort(sort) => has_one_row(&sort.input),
        LogicalPlan::Window(window) => has_one_row(&window.input),
        _ => false,
    }
}
