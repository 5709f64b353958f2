//! Casts that round and write as PostgreSQL's do, whoever asked for them.
//!
//! The rule runs behind DataFusion's coercion, so it also finds the casts to text that `||`, `concat` and `string_agg` add. What
//! must come before a cast is a function, which constants are folded by and which runs in batch and in models alike.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, TryCast};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::functions::casts::{Step, step};
use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule.
#[derive(Debug, Default)]
pub(super) struct CastsAsWritten;

impl AnalyzerRule for CastsAsWritten {
    fn name(&self) -> &str {
        "lotic_casts_as_written"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| rewrite_over_inputs(plan, rewrite))
            .data()
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    Ok(match expr {
        Expr::Cast(Cast { expr, field }) => {
            let step = step_before(&expr, &field, schema);
            let expr = done(expr, step);
            Transformed::new_transformed(Expr::Cast(Cast { expr, field }), step.is_some())
        }
        Expr::TryCast(TryCast { expr, field }) => {
            let step = step_before(&expr, &field, schema);
            let expr = done(expr, step);
            Transformed::new_transformed(Expr::TryCast(TryCast { expr, field }), step.is_some())
        }
        // It writes the items of a list itself.
        Expr::ScalarFunction(mut call) if call.func.name() == "array_to_string" => {
            let texts = DataType::new_list(DataType::Utf8View, true);
            let list = call.args.first_mut();
            let list = list.and_then(|list| {
                let step = step(&list.get_type(schema).ok()?, &texts);
                step.filter(|step| *step == Step::Write)
                    .map(|step| (list, step))
            });
            let writes = list.is_some();
            if let Some((list, step)) = list {
                *list = step.call(std::mem::take(list));
            }
            Transformed::new_transformed(Expr::ScalarFunction(call), writes)
        }
        other => Transformed::no(other),
    })
}

fn step_before(expr: &Expr, field: &FieldRef, schema: &DFSchema) -> Option<Step> {
    step(&expr.get_type(schema).ok()?, field.data_type())
}

fn done(expr: Box<Expr>, step: Option<Step>) -> Box<Expr> {
    match step {
        Some(step) => Box::new(step.call(*expr)),
        None => expr,
    }
}
