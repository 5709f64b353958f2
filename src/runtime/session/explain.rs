//! EXPLAIN: the batch plan, the batch plan with measured figures, or how a model is kept fresh.

use std::sync::Arc;

use datafusion::physical_plan::display::DisplayableExecutionPlan;
use datafusion::physical_plan::{collect, displayable};
use sqlparser::ast;

use super::show::{text_batch, text_schema};
use super::{Response, Session, rows};
use crate::base::{Error, Result};
use crate::catalog::Definition;
use crate::planner::context;
use crate::planner::explain::render;
use crate::planner::parse::{Explain, ExplainMode, ExplainTarget, Statement};
use crate::runtime::plan::query_of;

impl Session {
    pub(super) async fn explain(&mut self, explain: &Explain) -> Result<Response> {
        let text = match (&explain.target, explain.mode) {
            (ExplainTarget::MaterializedView(name), _) => {
                let world = self.world().await?;
                let object = world.catalog.get(&name.name)?;
                let query = object.query().ok_or_else(|| {
                    Error::invalid(format!("\"{}\" has no query to explain", object.name))
                })?;
                let emit_on_close = matches!(
                    &object.definition,
                    Definition::Model { options, .. } if options.emit_on_close
                );
                self.explain_model(query_of(query)?, emit_on_close).await?
            }
            (ExplainTarget::Statement(statement), mode) => {
                let query = query_in(statement)?;
                let emit_on_close = matches!(
                    statement.as_ref(),
                    Statement::CreateMaterializedView(create) if create.emit_on_close
                );
                match mode {
                    ExplainMode::Incremental => self.explain_model(query, emit_on_close).await?,
                    ExplainMode::Plan => self.explain_plan(query, explain.verbose).await?,
                    ExplainMode::Analyze => self.explain_analyze(query).await?,
                }
            }
        };
        let lines: Vec<Vec<String>> = text.lines().map(|line| vec![line.to_owned()]).collect();
        Ok(rows(
            text_batch(&text_schema(&["QUERY PLAN"]), &lines)?,
            "EXPLAIN",
        ))
    }

    async fn explain_model(&mut self, query: ast::Query, emit_on_close: bool) -> Result<String> {
        let world = self.world().await?;
        let lotic = Arc::clone(&self.lotic);
        let (planned, optimised) = lotic.plan_model(&world, query).await?;
        let lowered = lotic.lower_model(&world, &planned, &optimised, emit_on_close)?;
        Ok(render(&lowered.explain))
    }

    async fn explain_plan(&mut self, query: ast::Query, verbose: bool) -> Result<String> {
        let planned = self.plan(query).await?;
        let optimised = planned.state.optimize(&planned.plan)?;
        let physical = context::physical_plan(&planned.state, &planned.plan).await?;
        let physical = displayable(physical.as_ref()).indent(verbose).to_string();
        Ok(format!(
            "Logical plan\n{}\n\nPhysical plan\n{physical}",
            optimised.display_indent()
        ))
    }

    async fn explain_analyze(&mut self, query: ast::Query) -> Result<String> {
        let planned = self.plan(query).await?;
        let physical = context::physical_plan(&planned.state, &planned.plan).await?;
        let (plan, task) = (Arc::clone(&physical), planned.state.task_ctx());
        let run = self
            .lotic
            .queries()
            .spawn(async move { collect(plan, task).await });
        let batches = run
            .await
            .map_err(|error| Error::internal(error.to_string()))??;
        let rows: usize = batches
            .iter()
            .map(arrow::array::RecordBatch::num_rows)
            .sum();
        let shown = DisplayableExecutionPlan::with_metrics(physical.as_ref())
            .indent(true)
            .to_string();
        Ok(format!("{shown}\n{rows} rows"))
    }
}

/// The query in a statement that is explained.
fn query_in(statement: &Statement) -> Result<ast::Query> {
    match statement {
        Statement::Query(query) => Ok(query.as_ref().clone()),
        Statement::Insert(insert) => Ok(insert.source.as_ref().clone()),
        Statement::CreateMaterializedView(create) => Ok(create.view.query.query.as_ref().clone()),
        Statement::CreateView(create) => Ok(create.query.query.as_ref().clone()),
        _ => Err(Error::unsupported("EXPLAIN of this statement")
            .with_hint("explain the SELECT that finds its rows")),
    }
}
