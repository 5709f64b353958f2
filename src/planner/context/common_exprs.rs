//! Common expressions computed once, but no constant of another type among them.
//!
//! To DataFusion a timestamp with a zone equals the one without, so `min('1970-01-01Z'::timestamptz)` would be taken for
//! `min('1970-01-01'::timestamp)`, and a plan of mixed types come of it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DataFusionError, ScalarValue};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::common_subexpr_eliminate::CommonSubexprEliminate;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Outcome<T> = Result<T, DataFusionError>;
type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// `rules` with this one in the place of DataFusion's.
pub(super) fn share_rightly(rules: &mut [Rule]) {
    let theirs = CommonSubexprEliminate::new();
    for rule in rules {
        if rule.name() == theirs.name() {
            *rule = Arc::new(Share(CommonSubexprEliminate::new()));
        }
    }
}

#[derive(Debug)]
struct Share(CommonSubexprEliminate);

impl OptimizerRule for Share {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Outcome<Transformed<LogicalPlan>> {
        if has_alike(&plan)? {
            return Ok(Transformed::no(plan));
        }
        self.0.rewrite(plan, config)
    }
}

/// Whether two constants of `plan` are equal but of different types.
fn has_alike(plan: &LogicalPlan) -> Outcome<bool> {
    let mut seen: HashMap<ScalarValue, DataType> = HashMap::new();
    let mut alike = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                if let Expr::Literal(value, _) = expr
                    && let found @ DataType::Timestamp(..) = value.data_type()
                {
                    let first = seen.entry(value.clone()).or_insert_with(|| found.clone());
                    alike |= *first != found;
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    Ok(alike)
}
