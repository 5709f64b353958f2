//! The keys of an ordered aggregate, each once and none that is constant.
//!
//! `TotalOrder` makes them so as they are written, but simplification may make two of them one. DataFusion then drops one from the
//! order of the input alone, and its ordered aggregates panic when the two differ in length.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{Aggregate, Expr, ExprSchemable, LogicalPlan};
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Outcome<T> = Result<T, DataFusionError>;

/// The optimizer rule. It runs behind those that simplify.
#[derive(Debug)]
pub(super) struct OrderedOnce;

impl OptimizerRule for OrderedOnce {
    fn name(&self) -> &str {
        "lotic_ordered_once"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Outcome<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = plan else {
            return Ok(Transformed::no(plan));
        };
        let names = NamePreserver::new_for_projection();
        let mut changed = false;
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for call in &aggregate.aggr_expr {
            let name = names.save(call);
            let schema = aggregate.input.schema();
            let once = call
                .clone()
                .transform_down(|expr| ordered_once(expr, schema))?;
            changed |= once.transformed;
            calls.push(if once.transformed {
                name.restore(once.data)
            } else {
                once.data
            });
        }
        if !changed {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let Aggregate {
            input,
            group_expr,
            schema,
            ..
        } = aggregate;
        let made = Aggregate::try_new_with_schema(input, group_expr, calls, Arc::clone(&schema))?;
        Ok(Transformed::yes(LogicalPlan::Aggregate(made)))
    }
}

fn ordered_once(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let Expr::AggregateFunction(mut call) = expr else {
        return Ok(Transformed::no(expr));
    };
    let keys = std::mem::take(&mut call.params.order_by);
    let before = keys.len();
    let first = keys.first().cloned();
    let mut known: Vec<Expr> = Vec::with_capacity(before);
    for key in keys {
        let bare = without_idle_casts(key.expr.clone(), schema)?;
        if !known.contains(&bare) && !matches!(bare, Expr::Literal(..)) {
            known.push(bare);
            call.params.order_by.push(key);
        }
    }
    if call.params.order_by.is_empty() {
        call.params.order_by.extend(first);
    }
    let changed = call.params.order_by.len() < before;
    let call = Expr::AggregateFunction(call);
    Ok(if changed {
        Transformed::yes(call)
    } else {
        Transformed::no(call)
    })
}

/// `expr` without casts to the type that a value has already, which the physical expression will not have.
fn without_idle_casts(expr: Expr, schema: &DFSchema) -> Outcome<Expr> {
    expr.transform_up(|expr| match expr {
        Expr::Cast(cast) if cast.expr.get_type(schema)? == *cast.field.data_type() => {
            Ok(Transformed::yes(*cast.expr))
        }
        expr => Ok(Transformed::no(expr)),
    })
    .data()
}
