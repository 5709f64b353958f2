//! Computed keys of grouping sets, as columns of a projection below.
//!
//! Rules that rewrite the keys of an aggregate take ROLLUP, CUBE or GROUPING SETS for one key: when something in it changes, or stands
//! twice, they give the whole of it its old name, and no plan, or a panic, comes of that. Of columns they change nothing.

use datafusion::common::DataFusionError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::lower::hoist_set_keys;

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule. It runs before all others, and after those that compute with keys themselves.
#[derive(Debug, Default)]
pub(super) struct SetKeys;

impl AnalyzerRule for SetKeys {
    fn name(&self) -> &str {
        "lotic_set_keys"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Aggregate(aggregate)
                if matches!(aggregate.group_expr[..], [Expr::GroupingSet(_)]) =>
            {
                hoist_set_keys(aggregate)
            }
            other => Ok(Transformed::no(other)),
        })
        .data()
    }
}
