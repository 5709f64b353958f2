//! Group keys that nobody reads and that depend on others.
//!
//! Where GROUP BY has a table's key, DataFusion's planner adds all other columns of that table, so that they can be read. Those that
//! are not read go again here, before it is hidden from other rules what they depend on.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Aggregate, Expr, LogicalPlan};

use super::around::Outcome;

/// A rewrite of one node.
type Change = fn(LogicalPlan) -> Outcome<Transformed<LogicalPlan>>;

/// `plan` without such keys, and each of its nodes changed by `then`, from the leaves up: what a node learns of its input is of the
/// changed one. `read` is what is read of the plan's columns; `None`: perhaps all.
pub(super) fn narrowed(
    plan: LogicalPlan,
    read: Option<&HashSet<Column>>,
    then: Change,
) -> Outcome<Transformed<LogicalPlan>> {
    let below = read_below(&plan, read)?;
    let inner = plan.map_subqueries(|query| narrowed(query, None, then))?;
    let mut changed = inner.transformed;
    let above = inner
        .data
        .map_children(|child| narrowed(child, below.as_ref(), then))?;
    changed |= above.transformed;
    let told = if above.transformed {
        above.data.recompute_schema()?
    } else {
        above.data
    };
    let fewer = match told {
        LogicalPlan::Aggregate(aggregate) => {
            with_keys_read(aggregate, read)?.update_data(LogicalPlan::Aggregate)
        }
        other => Transformed::no(other),
    };
    changed |= fewer.transformed;
    let last = then(fewer.data)?;
    changed |= last.transformed;
    Ok(Transformed::new_transformed(last.data, changed))
}

/// What is read of the columns of `plan`'s inputs.
fn read_below(
    plan: &LogicalPlan,
    read: Option<&HashSet<Column>>,
) -> Outcome<Option<HashSet<Column>>> {
    let of_others = match plan {
        LogicalPlan::Projection(_) | LogicalPlan::Aggregate(_) => Some(HashSet::new()),
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Window(_) => read.cloned(),
        _ => None,
    };
    let Some(mut columns) = of_others else {
        return Ok(None);
    };
    let mut asks = false;
    plan.apply_expressions(|expr| {
        // what a subquery reads of the outside does not show
        asks |= expr.exists(|expr| {
            Ok(matches!(
                expr,
                Expr::ScalarSubquery(_)
                    | Expr::InSubquery(_)
                    | Expr::Exists(_)
                    | Expr::SetComparison(_)
            ))
        })?;
        columns.extend(expr.column_refs().into_iter().cloned());
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok((!asks).then_some(columns))
}

/// `aggregate` with the keys that are read, and those that do not depend on the others.
fn with_keys_read(
    aggregate: Aggregate,
    read: Option<&HashSet<Column>>,
) -> Outcome<Transformed<Aggregate>> {
    let dependencies = aggregate.input.schema().functional_dependencies();
    let Some(read) = read.filter(|_| !dependencies.is_empty()) else {
        return Ok(Transformed::no(aggregate));
    };
    let schema = aggregate.input.schema();
    let place = |key: &Expr| match key {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    };
    let mut kept: Vec<&Expr> = aggregate.group_expr.iter().collect();
    for number in (0..kept.len()).rev() {
        let key = kept[number];
        let (Expr::Column(column), Some(at)) = (key, place(key)) else {
            continue;
        };
        let others = || {
            let others = kept.iter().enumerate();
            others.filter(|(other, _)| *other != number)
        };
        let depends = dependencies.iter().any(|dependence| {
            let has = |from: &usize| others().any(|(_, other)| place(other) == Some(*from));
            dependence.target_indices.contains(&at) && dependence.source_indices.iter().all(has)
        });
        if depends && !read.contains(column) {
            kept.remove(number);
        }
    }
    if kept.len() == aggregate.group_expr.len() {
        return Ok(Transformed::no(aggregate));
    }
    let kept = kept.into_iter().cloned().collect();
    let (input, calls) = (aggregate.input, aggregate.aggr_expr);
    Ok(Transformed::yes(Aggregate::try_new(input, kept, calls)?))
}
