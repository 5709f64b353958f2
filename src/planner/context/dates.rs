//! Dates where a function of time takes a moment: timestamps of microseconds, as everywhere else.
//!
//! DataFusion's own coercion makes them timestamps of nanoseconds, which end in the year 2262 and begin in 1677.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DataFusionError};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, cast};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule. It runs before DataFusion's coercion.
#[derive(Debug, Default)]
pub(super) struct DatesAsMoments;

impl AnalyzerRule for DatesAsMoments {
    fn name(&self) -> &str {
        "lotic_dates_as_moments"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| rewrite_over_inputs(node, rewrite))
            .data()
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let Expr::ScalarFunction(ScalarFunction { func, args }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let mut changed = false;
    let args = match func.name() {
        "date_bin" | "date_trunc" => {
            let moments = args.into_iter().map(|arg| {
                let is_date = matches!(
                    arg.get_type(schema),
                    Ok(DataType::Date32 | DataType::Date64)
                );
                changed |= is_date;
                match is_date {
                    true => cast(arg, DataType::Timestamp(TimeUnit::Microsecond, None)),
                    false => arg,
                }
            });
            moments.collect()
        }
        _ => args,
    };
    let call = Expr::ScalarFunction(ScalarFunction { func, args });
    Ok(Transformed::new_transformed(call, changed))
}
