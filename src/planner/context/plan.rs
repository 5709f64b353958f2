//! From a prepared query to a plan, on a large stack.

use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::Optimizer;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::sql::parser::Statement as DfStatement;
use sqlparser::ast;

use super::{correlated, missing_rows, multiset, recursive_reads};
use crate::base::Result;
use crate::planner::parse::{MAX_DEPTH, too_deep};
use crate::planner::prepass::{is_of_names, tell_casts_apart};
use crate::planner::stack::{on_big_stack, poll_on_big_stack};
use crate::planner::{asof, lookup};

/// Plans a query that `prepare_query` has prepared. Not analysed, not optimised; nothing is read but schemas.
///
/// # Errors
/// What DataFusion answers, with the SQLSTATEs of `base::Error`.
pub async fn plan_query(state: &SessionState, query: &ast::Query) -> Result<LogicalPlan> {
    let plan = match plan_as_written(state, on_big_stack(|| query.clone())).await {
        Err(error) if is_of_names(&error) => {
            let mut marked = on_big_stack(|| query.clone());
            if !on_big_stack(|| tell_casts_apart(&mut marked)) {
                return Err(error.into());
            }
            let planned = plan_as_written(state, marked).await;
            planned.map_err(|_| error)?
        }
        outcome => outcome?,
    };
    on_big_stack(|| {
        recursive_reads::check(&plan)?;
        let plan = multiset::rewrite(lookup::rewrite(asof::rewrite(plan)?)?)?;
        missing_rows::rewrite(correlated::rewrite(state, plan)?)
    })
}

async fn plan_as_written(
    state: &SessionState,
    query: ast::Query,
) -> std::result::Result<LogicalPlan, DataFusionError> {
    let statement = ast::Statement::Query(Box::new(query));
    let statement = DfStatement::Statement(Box::new(statement));
    poll_on_big_stack(state.statement_to_plan(statement)).await
}

/// The most nodes of a plan. Views are copied to every place that names them, so a few that name another twice each
/// would be millions.
const MAX_NODES: usize = 50_000;

/// The deepest plan: that of the deepest statement, and something for the nodes that are not written.
const MAX_PLAN_DEPTH: usize = MAX_DEPTH + MAX_DEPTH / 4;

/// Refuses a plan that its views have made too large or too deep.
///
/// # Errors
/// 54001.
pub fn check_size(plan: &LogicalPlan) -> Result<()> {
    fn fits(plan: &LogicalPlan, depth: usize, nodes: &mut usize) -> bool {
        *nodes += 1;
        depth <= MAX_PLAN_DEPTH
            && *nodes <= MAX_NODES
            && plan
                .inputs()
                .into_iter()
                .all(|input| fits(input, depth + 1, nodes))
    }
    if on_big_stack(|| fits(plan, 0, &mut 0)) {
        return Ok(());
    }
    Err(too_deep()
        .with_hint("its views make the query too large: make some of them materialized views"))
}

/// Analyses and optimises a plan with the session's rules. `now()` is left as it is, so a plan of a model does not
/// freeze it.
///
/// # Errors
/// As [`plan_query`].
pub fn optimize(state: &SessionState, plan: LogicalPlan) -> Result<LogicalPlan> {
    on_big_stack(|| {
        let options = Arc::clone(state.config_options());
        let plan = state
            .analyzer()
            .execute_and_check(plan, &options, |_, _| {})?;
        // The state itself is the context: DISTINCT ON looks its functions up there. Its start time would be frozen.
        let mut context = state.clone();
        context.execution_props_mut().query_execution_start_time = None;
        let mut rules = state.optimizer().rules.clone();
        if reads_clock(&plan)? {
            // Two calls of now() would become a column, of which no filter knows that time moves it.
            rules.retain(|rule| rule.name() != COMMON_EXPRESSIONS);
        }
        let optimizer = Optimizer::with_rules(rules);
        Ok(optimizer.optimize(plan, &context, |_, _| {})?)
    })
}

/// DataFusion's rule that computes an expression once that stands twice.
const COMMON_EXPRESSIONS: &str = "common_sub_expression_eliminate";

fn reads_clock(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            found |= expr.exists(|expr| {
                Ok(matches!(expr, Expr::ScalarFunction(call) if call.func.name() == "now"))
            })?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found)
}

/// The physical plan of a query that a session asks now: `now()` is the session's start of the statement.
///
/// # Errors
/// As [`plan_query`].
pub async fn physical_plan(
    state: &SessionState,
    plan: &LogicalPlan,
) -> Result<Arc<dyn ExecutionPlan>> {
    Ok(poll_on_big_stack(state.create_physical_plan(plan)).await?)
}
