//! An end for recursions that have none: a batch run stops after as many rounds as a model does.
//!
//! DataFusion runs the term of WITH RECURSIVE until a round brings no row, and a cycle under UNION ALL brings rows for
//! ever. A LIMIT above still ends it sooner.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::recursive_query::RecursiveQueryExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::base::Error;
use crate::engine::operators::{MAX_ROUNDS, endless};

/// The rule. It runs last.
#[derive(Debug)]
pub(super) struct RoundLimit {
    /// The last round that may have rows.
    pub(super) max_rounds: u32,
}

impl Default for RoundLimit {
    fn default() -> Self {
        Self {
            max_rounds: MAX_ROUNDS,
        }
    }
}

impl PhysicalOptimizerRule for RoundLimit {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        _config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| limit(node, self.max_rounds))
            .data()
    }

    fn name(&self) -> &str {
        "round_limit"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

fn limit(
    node: Arc<dyn ExecutionPlan>,
    max_rounds: u32,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(query) = node.downcast_ref::<RecursiveQueryExec>() else {
        return Ok(Transformed::no(node));
    };
    let round = Arc::new(AtomicU32::new(0));
    let counted = |input: &Arc<dyn ExecutionPlan>, term| {
        Arc::new(CountedExec {
            input: Arc::clone(input),
            round: Arc::clone(&round),
            max_rounds,
            term,
        }) as Arc<dyn ExecutionPlan>
    };
    let terms = vec![
        counted(query.static_term(), Term::Static),
        counted(query.recursive_term(), Term::Recursive),
    ];
    let options = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute);
    Ok(Transformed::yes(node.replace_children(terms, options)?))
}

/// Which term of a recursion is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Term {
    /// Once, at the beginning.
    Static,
    /// Once a round.
    Recursive,
}

/// A term of a recursion that counts how often it is run.
#[derive(Debug)]
struct CountedExec {
    input: Arc<dyn ExecutionPlan>,
    /// The rounds since the static term was run; both terms share it.
    round: Arc<AtomicU32>,
    max_rounds: u32,
    term: Term,
}

impl DisplayAs for CountedExec {
    fn fmt_as(&self, _kind: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RoundLimitExec: {:?}", self.term)
    }
}

impl ExecutionPlan for CountedExec {
    fn name(&self) -> &'static str {
        "RoundLimitExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn benefits_from_input_partitioning(&self) -> Vec<bool> {
        vec![false]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
        _options: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let input = children.into_iter().next();
        let input = input.ok_or_else(|| Error::internal("a term of a recursion has no input"))?;
        Ok(Arc::new(Self {
            input,
            round: Arc::clone(&self.round),
            max_rounds: self.max_rounds,
            term: self.term,
        }))
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(
            children,
            ReplaceChildrenOptions::new(ChildrenPropertiesMode::Recompute),
        )
    }

    fn execute(
        &self,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        match self.term {
            Term::Static => self.round.store(0, Ordering::Relaxed),
            // The run that finds the round behind the last one empty is not too many.
            Term::Recursive => {
                if self.round.fetch_add(1, Ordering::Relaxed) > self.max_rounds {
                    return Err(endless(self.max_rounds).into());
                }
            }
        }
        self.input.execute(partition, context)
    }
}

#[cfg(test)]
mod tests {
    use datafusion::execution::SessionStateBuilder;
    use datafusion::physical_plan::collect;

    use super::*;
    use crate::base;

    async fn rows(sql: &str) -> base::Result<usize> {
        let rule = Arc::new(RoundLimit { max_rounds: 20 });
        let state = SessionStateBuilder::new()
            .with_default_features()
            .with_physical_optimizer_rule(rule)
            .build();
        let plan = state.create_logical_plan(sql).await?;
        let physical = state.create_physical_plan(&plan).await?;
        let batches = collect(physical, state.task_ctx()).await?;
        Ok(batches.iter().map(|batch| batch.num_rows()).sum())
    }

    #[tokio::test]
    async fn a_recursion_is_stopped_behind_its_last_round() {
        let to = |last: u32| {
            format!(
                "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {last}) \
                 SELECT i FROM n"
            )
        };
        assert_eq!(rows(&to(20)).await.unwrap(), 21);
        assert_eq!(rows(&to(21)).await.unwrap_err().code(), "54001");
    }

    #[tokio::test]
    async fn limit_ends_a_recursion_sooner() {
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
        assert_eq!(rows(endless).await.unwrap_err().code(), "54001");
        assert_eq!(rows(&format!("{endless} LIMIT 5")).await.unwrap(), 5);
    }
}
