//! Rules of DataFusion that fail for some valid queries, and are left out there: none of them is needed.
//!
//! `aggregate_statistics` answers aggregates from what is known of their input, and cannot rebuild an aggregate with FILTER above.
//! `eliminate_group_by_constant` drops keys that others decide, and takes `ts::date` beside `ts` for a second column of one name.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::ExecutionPlan;

use super::around::{Rule, put_around};

const LOGICAL: &str = "eliminate_group_by_constant";
const PHYSICAL: &str = "aggregate_statistics";

type Physical = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// Leaves the rule of plans out where it fails.
pub(super) fn leave_out_where_it_fails(rules: &mut [Rule]) {
    put_around(rules, LOGICAL, |theirs, plan, config| {
        let rewritten = theirs.rewrite(plan.clone(), config);
        Ok(rewritten.unwrap_or_else(|_| Transformed::no(plan)))
    });
}

/// Leaves the rule of physical plans out where it fails.
pub(super) fn leave_out_physical_where_it_fails(rules: &mut [Physical]) {
    for rule in rules {
        if rule.name() == PHYSICAL {
            *rule = Arc::new(UnlessItFails(Arc::clone(rule)));
        }
    }
}

#[derive(Debug)]
struct UnlessItFails(Physical);

impl PhysicalOptimizerRule for UnlessItFails {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let optimised = self.0.optimize(Arc::clone(&plan), config);
        Ok(optimised.unwrap_or(plan))
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}
