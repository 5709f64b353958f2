//! A rewrite of Lotic's around the rule of DataFusion's optimizer that it sets right.

use std::fmt;
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::LogicalPlan;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

pub(crate) type Outcome<T> = Result<T, DataFusionError>;
pub(crate) type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// What a rewrite makes of a node, or of the whole plan, as the rule within it is asked: it calls that rule where that is right.
pub(crate) type Rewrite =
    fn(&Rule, LogicalPlan, &dyn OptimizerConfig) -> Outcome<Transformed<LogicalPlan>>;

/// Puts `rewrite` around the rule of this name, if `rules` have it.
pub(crate) fn put_around(rules: &mut [Rule], name: &str, rewrite: Rewrite) {
    for rule in rules.iter_mut().filter(|rule| rule.name() == name) {
        let theirs = Arc::clone(rule);
        *rule = Arc::new(Around { theirs, rewrite });
    }
}

struct Around {
    theirs: Rule,
    rewrite: Rewrite,
}

impl fmt::Debug for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Around").field(&self.theirs).finish()
    }
}

impl OptimizerRule for Around {
    fn name(&self) -> &str {
        self.theirs.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.theirs.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Outcome<Transformed<LogicalPlan>> {
        (self.rewrite)(&self.theirs, plan, config)
    }
}
