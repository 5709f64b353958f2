//! Unions of the types that they will have, before anything refers to their columns.
//!
//! DataFusion gives a union the types of its first input while a query is planned, and the right ones when it is analyzed. A column
//! that a correlated subquery reads from outside keeps the type that it had first: `WHERE EXISTS (SELECT .. WHERE s.x = w.c)` over
//! `(SELECT an_integer AS c .. UNION ALL SELECT count(*) ..) w` compares an integer with a bigint without a cast, and is refused
//! where the keys of one side are given to the other as a list.

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNodeRecursion};
use datafusion::logical_expr::{LogicalPlan, Union};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;

use super::around::Outcome;
use super::floats::rewrite_union;

/// `plan`, which is what a name in FROM stands for, with the inputs of its unions brought to one type.
pub(super) fn of_one_type(plan: LogicalPlan) -> Outcome<LogicalPlan> {
    let mut mixed = false;
    plan.apply_with_subqueries(|node| {
        mixed |= matches!(node, LogicalPlan::Union(union) if is_mixed(union));
        Ok(if mixed {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    if !mixed {
        return Ok(plan);
    }
    plan.transform_up_with_subqueries(|node| match node {
        LogicalPlan::Union(union) if is_mixed(&union) => {
            let union = rewrite_union(union)?.data;
            TypeCoercionRewriter::coerce_union(union).map(Transformed::yes)
        }
        node => node.recompute_schema().map(Transformed::yes),
    })
    .data()
}

/// Whether a column of `union` is of several types.
fn is_mixed(union: &Union) -> bool {
    union.inputs.iter().any(|input| {
        let theirs = input.schema().fields().iter();
        let mut pairs = union.schema.fields().iter().zip(theirs);
        pairs.any(|(own, theirs)| own.data_type() != theirs.data_type())
    })
}
