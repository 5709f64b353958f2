//! WITH RECURSIVE: the start, the graph of the term within the graph, and the inputs that the term reads.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::{LogicalPlan, RecursiveQuery, TableScan};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column};

use super::expressions::NoForm;
use super::lowering::{Formed, Lowering};
use super::rounds::{Leaf, Stop, by_round, leaf_of, round_of};
use super::shared::Shared;
use crate::base::{Error, ObjectId, Result};
use crate::engine::operators::{self, MAX_ROUNDS, ROUND, Recursion, RecursionConfig};
use crate::engine::{DataflowBuilder, NodeId};

/// What waits while the graph of a term is built.
#[derive(Default)]
pub(super) struct Outside {
    builder: DataflowBuilder,
    sources: BTreeMap<ObjectId, (NodeId, SchemaRef)>,
    shared: Shared,
    /// The nodes outside that the term reads.
    inputs: Vec<NodeId>,
}

impl Lowering<'_> {
    /// The operator of `query`, whose term is a graph of its own.
    pub(super) fn recursion(&mut self, query: &RecursiveQuery, depth: usize) -> Result<Formed> {
        let term = match by_round(query) {
            Ok(term) => term,
            Err(Stop::NoForm(reason)) => return Ok(Err(reason)),
            Err(Stop::Failed(error)) => return Err(error),
        };
        let schema = query.schema.inner();
        if query.is_distinct && !Recursion::can_be_distinct(schema) {
            return Ok(Err(NoForm::because("a column has no order")));
        }
        let start = self.node(&query.static_term, depth + 1)?;
        let start = self.renamed(start, query.static_term.schema(), &query.schema);

        self.outside.push(Outside::default());
        self.swap_graphs();
        let output = self.node(&term, depth + 1)?;
        let output = self.round_last(output, &term, schema)?;
        self.swap_graphs();
        let inside = self.outside.pop().unwrap_or_default();
        if inside.builder.changes_with_time() {
            return Err(Error::unsupported(
                "the recursive part of a model cannot compare with now()",
            )
            .with_hint("put the condition on now() outside of WITH RECURSIVE"));
        }

        let recursion = Recursion::new(RecursionConfig {
            schema: Arc::clone(schema),
            distinct: query.is_distinct,
            term: inside.builder.finish(output),
            inputs: inside.inputs.len(),
            max_rounds: MAX_ROUNDS,
        })?;
        let inputs: Vec<NodeId> = [start].into_iter().chain(inside.inputs).collect();
        Ok(Ok(self.add(recursion, &inputs)))
    }

    /// The node of a leaf of the term that is being lowered, if `plan` is one that stands for another plan.
    pub(super) fn fixed_leaf(
        &mut self,
        plan: &LogicalPlan,
        depth: usize,
    ) -> Result<Option<NodeId>> {
        let LogicalPlan::TableScan(scan) = plan else {
            return Ok(None);
        };
        let Some(Leaf::Fixed(fixed)) = leaf_of(scan) else {
            return Ok(None);
        };
        // It belongs to the graph outside, where the term finds it as an input.
        let within = self.outside.pop();
        let mut within = within.ok_or_else(|| Error::internal("a term without a recursion"))?;
        self.swap_with(&mut within);
        let node = self.node(&fixed, depth)?;
        self.swap_with(&mut within);
        let object = Recursion::input(within.inputs.len());
        within.inputs.push(node);
        self.outside.push(within);
        let schema = Arc::clone(fixed.schema().inner());
        Ok(Some(self.builder.source(object, schema)))
    }

    /// The object behind `scan` when it reads the rows of the round before.
    pub(super) fn rows_leaf(scan: &TableScan) -> Option<ObjectId> {
        matches!(leaf_of(scan), Some(Leaf::Rows)).then_some(Recursion::ROWS)
    }

    /// `node`, which is `term`, with the columns of `schema` and the round behind them.
    fn round_last(
        &mut self,
        node: NodeId,
        term: &LogicalPlan,
        schema: &SchemaRef,
    ) -> Result<NodeId> {
        let round = match round_of(term.schema()) {
            Ok(round) => term.schema().index_of_column(&round)?,
            Err(Stop::Failed(error)) => return Err(error),
            Err(Stop::NoForm(NoForm(reason))) => return Err(Error::internal(reason)),
        };
        let have = term.schema().fields();
        let places = (0..have.len()).filter(|place| *place != round);
        let mut exprs: Vec<Arc<dyn PhysicalExpr>> = Vec::with_capacity(have.len());
        for (place, want) in places.zip(schema.fields()) {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(have[place].name(), place));
            exprs.push(if have[place].data_type() == want.data_type() {
                column
            } else {
                Arc::new(CastExpr::new(column, want.data_type().clone(), None))
            });
        }
        exprs.push(Arc::new(Column::new(ROUND, round)));
        let schema = Recursion::with_round(schema);
        Ok(self.add(operators::Project::new(exprs, schema), &[node]))
    }

    /// Goes into the graph of the innermost term, or out of it again.
    fn swap_graphs(&mut self) {
        if let Some(mut other) = self.outside.pop() {
            self.swap_with(&mut other);
            self.outside.push(other);
        }
    }

    fn swap_with(&mut self, other: &mut Outside) {
        std::mem::swap(&mut self.builder, &mut other.builder);
        std::mem::swap(&mut self.sources, &mut other.sources);
        std::mem::swap(&mut self.shared, &mut other.shared);
    }
}
