//! Lengths of time compared and sorted as PostgreSQL does it, by the numbers that `functions::length_order` makes of them.

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, ExprSchemable, LogicalPlan, Sort};
use datafusion::optimizer::AnalyzerRule;

use super::one_zero::is_comparison;
use crate::planner::functions::checked::rewrite_over_inputs;
use crate::planner::functions::length_order::{is_length, number_of};

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule. It runs before DataFusion's coercion, which would make intervals of both sides.
#[derive(Debug, Default)]
pub(super) struct LengthOrder;

impl AnalyzerRule for LengthOrder {
    fn name(&self) -> &str {
        "lotic_length_order"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let sorted = match node {
                LogicalPlan::Sort(sort) => sorted(sort)?,
                node => Transformed::no(node),
            };
            sorted.transform_data(|node| rewrite_over_inputs(node, compared))
        })
        .data()
    }
}

fn sorted(mut sort: Sort) -> Outcome<Transformed<LogicalPlan>> {
    let mut changed = false;
    for key in &mut sort.expr {
        let kind = key.expr.get_type(sort.input.schema())?;
        if matches!(kind, DataType::Interval(_)) {
            changed = true;
            key.expr = number_of(std::mem::take(&mut key.expr));
        }
    }
    Ok(Transformed::new_transformed(
        LogicalPlan::Sort(sort),
        changed,
    ))
}

/// A comparison of lengths as one of their numbers. Those between moments are numbers already.
fn compared(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let differ = |sides: &[&Expr]| -> Outcome<bool> {
        let mut kinds = Vec::with_capacity(sides.len());
        for side in sides {
            kinds.push(side.get_type(schema)?);
        }
        kinds.retain(|kind| !kind.is_null());
        Ok(kinds.iter().all(is_length)
            && kinds
                .iter()
                .any(|kind| matches!(kind, DataType::Interval(_))))
    };
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && differ(&[&left, &right])? =>
        {
            Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr {
                left: Box::new(number_of(*left)),
                op,
                right: Box::new(number_of(*right)),
            })))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) if differ(&[&expr, &low, &high])? => Ok(Transformed::yes(Expr::Between(Between {
            expr: Box::new(number_of(*expr)),
            negated,
            low: Box::new(number_of(*low)),
            high: Box::new(number_of(*high)),
        }))),
        Expr::InList(InList {
            expr,
            list,
            negated,
        }) if differ(&list.iter().chain([&*expr]).collect::<Vec<_>>())? => {
            Ok(Transformed::yes(Expr::InList(InList {
                expr: Box::new(number_of(*expr)),
                list: list.into_iter().map(number_of).collect(),
                negated,
            })))
        }
        other => Ok(Transformed::no(other)),
    }
}
