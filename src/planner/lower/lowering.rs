//! The walk over the plan: an operator for every node that has an incremental form.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::common::{DFSchema, TableReference};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::{Expr, Filter, LogicalPlan, Projection, Union};
use datafusion::physical_expr::PhysicalExpr;

use super::bounds::{Bounds, bounds_of};
use super::evaluator::EvaluatorFactory;
use super::expressions::{self, NoForm};
use super::on_close::{Hold, marked};
use super::recursion::Outside;
use super::region::{Region, region_of};
use super::rewrite::plan_for_both_modes;
use super::scalars::join_scalars;
use super::shared::Shared;
use crate::base::{ObjectId, Result};
use crate::engine::operators::{self, Recompute};
use crate::engine::{Dataflow, DataflowBuilder, NodeId, Operator};
use crate::planner::explain::{Explain, ExplainLine};
use crate::planner::stack::on_big_stack;

/// A plan that runs on deltas.
pub struct Lowered {
    /// The operators.
    pub dataflow: Dataflow,
    /// The columns of the result.
    pub schema: SchemaRef,
    /// The collections that are read, each once, with all their columns.
    pub sources: Vec<(ObjectId, SchemaRef)>,
    /// Which columns of the result are bounded by watermarks.
    pub bounds: Bounds,
    /// How each node of the plan is kept fresh.
    pub explain: Vec<ExplainLine>,
}

impl std::fmt::Debug for Lowered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lowered")
            .field("schema", &self.schema)
            .field("sources", &self.sources)
            .field("explain", &self.explain)
            .finish_non_exhaustive()
    }
}

/// The collection behind a table of a plan.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Which one.
    pub id: ObjectId,
    /// Whether its rows are never taken back.
    pub append_only: bool,
    /// Which of its columns are bounded by watermarks.
    pub bounds: Bounds,
}

impl From<ObjectId> for Resolved {
    /// A collection whose rows come and go.
    fn from(id: ObjectId) -> Self {
        Self {
            id,
            append_only: false,
            bounds: Bounds::new(),
        }
    }
}

/// Lowers an optimised plan. `resolve` names the collection behind a table of the plan.
///
/// # Errors
/// When the plan calls a function whose value changes by itself, reads a relation that `resolve` does
/// not know, or is one that DataFusion cannot run either.
pub fn lower(
    plan: &LogicalPlan,
    resolve: &dyn Fn(&TableReference) -> Option<Resolved>,
    evaluators: &dyn EvaluatorFactory,
) -> Result<Lowered> {
    on_big_stack(|| lower_here(plan, resolve, evaluators, false))
}

/// As [`lower`], of a model that gives rows once nothing can change them any more.
///
/// # Errors
/// Those of [`lower`]; 0A000 when nothing of the plan is bounded by a watermark.
pub fn lower_on_close(
    plan: &LogicalPlan,
    resolve: &dyn Fn(&TableReference) -> Option<Resolved>,
    evaluators: &dyn EvaluatorFactory,
) -> Result<Lowered> {
    on_big_stack(|| lower_here(plan, resolve, evaluators, true))
}

fn lower_here(
    plan: &LogicalPlan,
    resolve: &dyn Fn(&TableReference) -> Option<Resolved>,
    evaluators: &dyn EvaluatorFactory,
    emit_on_close: bool,
) -> Result<Lowered> {
    let mut plan = plan_for_both_modes(plan)?;
    if emit_on_close {
        plan = marked(&plan, resolve)?;
    }
    expressions::refuse_unstable(&plan)?;
    let plan = join_scalars(plan)?;
    let mut lowering = Lowering {
        builder: Dataflow::builder().in_parts(evaluators.threads()),
        sources: BTreeMap::new(),
        outside: Vec::new(),
        explain: Explain::default(),
        props: evaluators.execution_props(),
        resolve,
        evaluators,
        shared: Shared::default(),
        hold: None,
    };
    let output = lowering.node(&plan, 0)?;
    let Lowering {
        builder,
        sources,
        explain,
        ..
    } = lowering;
    Ok(Lowered {
        dataflow: builder.finish(output),
        bounds: bounds_of(&plan, resolve)?,
        schema: Arc::clone(plan.schema().inner()),
        sources: sources
            .into_iter()
            .map(|(id, (_, schema))| (id, schema))
            .collect(),
        explain: explain.finish(),
    })
}

/// What a node became: an operator, or nothing with the reason.
pub(super) type Formed = std::result::Result<NodeId, NoForm>;

pub(super) struct Lowering<'a> {
    pub(super) builder: DataflowBuilder,
    pub(super) sources: BTreeMap<ObjectId, (NodeId, SchemaRef)>,
    /// The graphs around the recursive terms that are being lowered, the innermost last.
    pub(super) outside: Vec<Outside>,
    pub(super) explain: Explain,
    pub(super) props: ExecutionProps,
    pub(super) resolve: &'a dyn Fn(&TableReference) -> Option<Resolved>,
    pub(super) evaluators: &'a dyn EvaluatorFactory,
    pub(super) shared: Shared,
    /// The aggregate that is asked to hold its rows back.
    pub(super) hold: Option<Hold>,
}

impl Lowering<'_> {
    /// The operators of `plan` and everything below it.
    pub(super) fn node(&mut self, plan: &LogicalPlan, depth: usize) -> Result<NodeId> {
        if let Some(node) = self.fixed_leaf(plan, depth)? {
            return Ok(node);
        }
        let line = self.explain.open(plan, depth);
        if let Some(node) = self.made(plan) {
            self.explain.note(line, "the same as above, kept once");
            return Ok(node);
        }
        match self.incremental(plan, depth)? {
            Ok(node) => {
                self.remember(plan, node)?;
                Ok(node)
            }
            Err(NoForm(reason)) => {
                self.explain.recomputed(line, &reason);
                self.recompute(plan, depth)
            }
        }
    }

    /// The incremental form of one node. A handler that finds none says so before it lowers a child.
    fn incremental(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Formed> {
        if let Some(node) = self.ranked(plan, depth)? {
            return Ok(Ok(node));
        }
        if let Some(node) = self.sessions(plan, depth)? {
            return Ok(Ok(node));
        }
        if let Some(node) = self.on_close(plan, depth)? {
            return Ok(Ok(node));
        }
        if let Some(formed) = self.temporal(plan, depth)? {
            return Ok(formed);
        }
        if let Some(formed) = self.asof(plan, depth)? {
            return Ok(formed);
        }
        if let Some(formed) = self.lookup(plan, depth)? {
            return Ok(formed);
        }
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, plan),
            LogicalPlan::Values(values) => self.values(values),
            LogicalPlan::EmptyRelation(empty) => self.empty(empty),
            LogicalPlan::Projection(projection) => self.projection(projection, depth),
            LogicalPlan::Filter(filter) => self.filter(filter, depth),
            LogicalPlan::SubqueryAlias(alias) => {
                let input = self.node(&alias.input, depth + 1)?;
                Ok(Ok(self.renamed(input, alias.input.schema(), &alias.schema)))
            }
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                Ok(Ok(self.node(&sort.input, depth + 1)?))
            }
            LogicalPlan::Sort(sort) => self.first_rows(sort, depth),
            LogicalPlan::Limit(limit) => self.limit(limit, depth),
            LogicalPlan::Union(union) => self.union(union, depth),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, depth),
            LogicalPlan::Join(join) => self.join(join, depth),
            LogicalPlan::Unnest(unnest) => self.unnest(unnest, depth),
            LogicalPlan::RecursiveQuery(query) => self.recursion(query, depth),
            LogicalPlan::Window(window) => self.window(window, depth),
            other => Ok(Err(NoForm(no_form_yet(other).to_owned()))),
        }
    }

    fn projection(&mut self, projection: &Projection, depth: usize) -> Result<Formed> {
        let exprs = match self.physical_all(&projection.expr, projection.input.schema())? {
            Ok(exprs) => exprs,
            Err(reason) => return Ok(Err(reason)),
        };
        let input = self.node(&projection.input, depth + 1)?;
        let schema = Arc::clone(projection.schema.inner());
        Ok(Ok(
            self.add(operators::Project::new(exprs, schema), &[input])
        ))
    }

    fn filter(&mut self, filter: &Filter, depth: usize) -> Result<Formed> {
        let predicate = match self.physical(&filter.predicate, filter.input.schema())? {
            Ok(predicate) => predicate,
            Err(reason) => return Ok(Err(reason)),
        };
        let input = match self.filtered_join(filter, depth + 1)? {
            Some(pairs) => pairs,
            None => self.node(&filter.input, depth + 1)?,
        };
        Ok(Ok(self.add(operators::Filter::new(predicate), &[input])))
    }

    fn union(&mut self, union: &Union, depth: usize) -> Result<Formed> {
        if let Some(node) = self.spread(union, depth)? {
            return Ok(Ok(node));
        }
        let mut inputs = Vec::with_capacity(union.inputs.len());
        for input in &union.inputs {
            let node = self.node(input, depth + 1)?;
            inputs.push(self.renamed(node, input.schema(), &union.schema));
        }
        let schema = Arc::clone(union.schema.inner());
        Ok(Ok(self.add(operators::Union::new(schema), &inputs)))
    }

    /// One node is evaluated anew by DataFusion; what lies below it stays incremental.
    pub(super) fn recompute(&mut self, plan: &LogicalPlan, depth: usize) -> Result<NodeId> {
        let Region {
            plan: region,
            inputs,
            inner,
        } = region_of(plan)?;
        for (below, node) in &inner {
            let line = self.explain.open(node, depth + below);
            self.explain
                .recomputed(line, "evaluated with the node above");
        }
        let deepest = inner.iter().map(|(below, _)| *below).max().unwrap_or(0);
        let mut nodes = Vec::with_capacity(inputs.len());
        for input in &inputs {
            nodes.push(self.node(input, depth + deepest + 1)?);
        }
        let schemas: Vec<SchemaRef> = inputs
            .iter()
            .map(|input| Arc::clone(input.schema().inner()))
            .collect();
        let evaluator = self.evaluators.evaluator(region, schemas.clone())?;
        let schema = Arc::clone(plan.schema().inner());
        Ok(self.add(Recompute::new(evaluator, schemas, schema), &nodes))
    }

    /// `input` with the names, and where they differ the types, of `to`.
    pub(super) fn renamed(&mut self, input: NodeId, from: &DFSchema, to: &DFSchema) -> NodeId {
        if from.inner() == to.inner() {
            return input;
        }
        let exprs = expressions::columns_as(from.inner(), to.inner());
        self.add(
            operators::Project::new(exprs, Arc::clone(to.inner())),
            &[input],
        )
    }

    pub(super) fn add(&mut self, operator: impl Operator + 'static, inputs: &[NodeId]) -> NodeId {
        self.builder.add(Box::new(operator), inputs)
    }

    /// `expr` over rows of `schema`, or why it has no direct form.
    pub(super) fn physical(
        &self,
        expr: &Expr,
        schema: &DFSchema,
    ) -> Result<std::result::Result<Arc<dyn PhysicalExpr>, NoForm>> {
        expressions::physical(expr, schema, &self.props)
    }

    /// All of `exprs`, or why one of them has no direct form.
    pub(super) fn physical_all<'e>(
        &self,
        exprs: impl IntoIterator<Item = &'e Expr>,
        schema: &DFSchema,
    ) -> Result<std::result::Result<Vec<Arc<dyn PhysicalExpr>>, NoForm>> {
        let mut all = Vec::new();
        for expr in exprs {
            match self.physical(expr, schema)? {
                Ok(expr) => all.push(expr),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok(all))
    }
}

/// Why a kind of node is recomputed.
fn no_form_yet(plan: &LogicalPlan) -> &'static str {
    match plan {
        LogicalPlan::Extension(_) => "an extension node has no incremental form",
        _ => "this kind of node has no incremental form",
    }
}
