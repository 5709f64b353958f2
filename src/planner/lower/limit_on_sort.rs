//! The batch form of LIMIT over an order: nothing stands between the two.
//!
//! A sort is kept by DataFusion only where the order of its rows is seen: below a projection that drops the key, as in
//! `(SELECT a FROM t ORDER BY b LIMIT 1)`, it is taken for idle and removed, and the LIMIT takes any row. Its own optimizer rule that
//! merges the two is off for models. What the projection computes moves below the sort, so that a failing row is
//! missing before rows are counted, as in the maintained model.

use std::sync::Arc;

use datafusion::common::tree_node::Transformed;
use datafusion::common::{Column, DataFusionError};
use datafusion::logical_expr::{Expr, Limit, LogicalPlan, Projection, Sort, SubqueryAlias};

use super::expressions::may_fail;
use super::hoist::columns_of;
use super::region::leads_to_sort;

type Outcome<T> = Result<T, DataFusionError>;

/// What a projection computes is called so below the sort.
const COMPUTED: &str = "__lotic_selected";

/// Brings the LIMIT of `plan` down to its sort.
pub(super) fn lower_limits(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let lowered = plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Limit(limit) if leads_to_sort(&limit.input) => {
            Ok(Transformed::yes(lower(limit)?))
        }
        node => Ok(Transformed::no(node)),
    })?;
    Ok(lowered.data)
}

fn lower(limit: Limit) -> Outcome<LogicalPlan> {
    let again = |input: Arc<LogicalPlan>| {
        let (skip, fetch) = (limit.skip.clone(), limit.fetch.clone());
        lower(Limit { skip, fetch, input })
    };
    match limit.input.as_ref() {
        LogicalPlan::SubqueryAlias(alias) => {
            let input = Arc::new(again(Arc::clone(&alias.input))?);
            let alias = SubqueryAlias::try_new(input, alias.alias.clone())?;
            Ok(LogicalPlan::SubqueryAlias(alias))
        }
        LogicalPlan::Projection(projection) => {
            let below = projection.input.schema();
            if !projection.expr.iter().any(|expr| may_fail(expr, below)) {
                let input = Arc::new(again(Arc::clone(&projection.input))?);
                let (exprs, schema) = (projection.expr.clone(), Arc::clone(&projection.schema));
                let projection = Projection::try_new_with_schema(exprs, input, schema)?;
                return Ok(LogicalPlan::Projection(projection));
            }
            match projection.input.as_ref() {
                LogicalPlan::Sort(sort) => computed_below(projection, sort, &again),
                _ => Ok(LogicalPlan::Limit(limit)),
            }
        }
        _ => Ok(LogicalPlan::Limit(limit)),
    }
}

/// `projection` over the limited `sort`, with what can fail in it computed below the sort.
fn computed_below(
    projection: &Projection,
    sort: &Sort,
    limited: &impl Fn(Arc<LogicalPlan>) -> Outcome<LogicalPlan>,
) -> Outcome<LogicalPlan> {
    let schema = sort.input.schema();
    let mut below = columns_of(schema);
    let mut above = Vec::with_capacity(projection.expr.len());
    for expr in &projection.expr {
        if !may_fail(expr, schema) {
            above.push(expr.clone());
            continue;
        }
        let (relation, name) = expr.qualified_name();
        let column = Column::from_name(format!("{COMPUTED}_{}", above.len() + 1));
        below.push(expr.clone().unalias().alias(column.name.clone()));
        above.push(Expr::Column(column).alias_qualified(relation, name));
    }
    let wide = Projection::try_new(below, Arc::clone(&sort.input))?;
    let sort = Sort {
        expr: sort.expr.clone(),
        input: Arc::new(LogicalPlan::Projection(wide)),
        fetch: sort.fetch,
    };
    let limited = Arc::new(limited(Arc::new(LogicalPlan::Sort(sort)))?);
    let schema = Arc::clone(&projection.schema);
    let narrow = Projection::try_new_with_schema(above, limited, schema)?;
    Ok(LogicalPlan::Projection(narrow))
}
