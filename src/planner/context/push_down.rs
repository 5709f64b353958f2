//! Filters pushed down, but no condition without columns below an aggregate that has a row whatever comes in.
//!
//! DataFusion's rule moves a condition below an aggregate where all its columns are keys. One without columns, as in
//! `SELECT max(a) FROM t HAVING now() < '2020-01-01'` or what is left of `JOIN .. ON false`, has none that is not; but an aggregate
//! without keys, or with an empty grouping set, answers a row even when nothing comes in, and the condition was to drop that row.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::Transformed;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{Expr, Filter, LogicalPlan};
use datafusion::optimizer::push_down_filter::PushDownFilter;
use datafusion::optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule};

type Outcome<T> = Result<T, DataFusionError>;
type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// `rules` with this one in the place of DataFusion's.
pub(crate) fn push_down_rightly(rules: &mut [Rule]) {
    let theirs = PushDownFilter::new();
    for rule in rules {
        if rule.name() == theirs.name() {
            *rule = Arc::new(PushDown(PushDownFilter::new()));
        }
    }
}

#[derive(Debug)]
struct PushDown(PushDownFilter);

impl OptimizerRule for PushDown {
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
        match plan {
            LogicalPlan::Filter(filter) if answers_without_rows(&filter.input) => {
                self.above_aggregate(filter, config)
            }
            plan => self.0.rewrite(plan, config),
        }
    }
}

impl PushDown {
    /// Keeps the conditions without columns where they are, and pushes the others.
    fn above_aggregate(
        &self,
        filter: Filter,
        config: &dyn OptimizerConfig,
    ) -> Outcome<Transformed<LogicalPlan>> {
        let all = split_conjunction_owned(filter.predicate.clone());
        let (pushed, kept): (Vec<Expr>, Vec<Expr>) = all
            .into_iter()
            .partition(|condition| condition.any_column_refs());
        let Some(kept) = conjunction(kept) else {
            return self.0.rewrite(LogicalPlan::Filter(filter), config);
        };
        let Some(pushed) = conjunction(pushed) else {
            return Ok(Transformed::no(LogicalPlan::Filter(filter)));
        };
        let below = Filter::try_new(pushed, filter.input)?;
        let below = self.0.rewrite(LogicalPlan::Filter(below), config)?;
        below.map_data(|plan| Ok(LogicalPlan::Filter(Filter::try_new(kept, Arc::new(plan))?)))
    }
}

fn answers_without_rows(plan: &LogicalPlan) -> bool {
    let LogicalPlan::Aggregate(aggregate) = plan else {
        return false;
    };
    let sets = |expr: &Expr| matches!(expr, Expr::GroupingSet(_));
    aggregate.group_expr.is_empty() || aggregate.group_expr.iter().any(sets)
}
