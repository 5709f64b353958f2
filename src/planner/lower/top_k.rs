//! The first rows: LIMIT over an order, a bound on a rank within groups, and the first row of a group.
//!
//! Every form is recognised whole or not at all: whatever else stands between the nodes, the plan is lowered node by
//! node, as if this file did not exist.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::logical_expr::expr::Sort as SortKey;
use datafusion::logical_expr::{
    Aggregate, Expr, FetchType, Filter, Limit, LogicalPlan, SkipType, Sort,
};
use datafusion::physical_expr::PhysicalExpr;

use super::expressions::{NoForm, may_fail, unaliased};
use super::keyed::Keyed;
use super::lowering::{Formed, Lowering};
use super::ranks::{Ranked, chain_below, ranked_of, reads};
use crate::base::Result;
use crate::engine::NodeId;
use crate::engine::operators::{self, GroupTopKConfig, Numbering, RankColumn};

type Exprs = Vec<Arc<dyn PhysicalExpr>>;
type Partly<T> = std::result::Result<T, NoForm>;

/// A limit that ends by this place is one group's first rows: to look at them all costs little, and less is kept and
/// encoded. A later end is held where it is.
const FEW_PLACES: u64 = 1_024;

impl Lowering<'_> {
    /// LIMIT and OFFSET over a Sort.
    pub(super) fn limit(&mut self, limit: &Limit, depth: usize) -> Result<Formed> {
        let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
            (limit.get_skip_type()?, limit.get_fetch_type()?)
        else {
            return Ok(Err(NoForm::because("LIMIT is not a number")));
        };
        let (chain, end) = chain_below(&limit.input);
        let LogicalPlan::Sort(sort) = end else {
            return Ok(Err(NoForm::because("these rows have no order to limit")));
        };
        if sort.fetch.is_some() {
            return Ok(Err(NoForm::because(
                "LIMIT over LIMIT has no incremental form",
            )));
        }
        let passes = match self.passes(&chain)? {
            Ok(passes) => passes,
            Err(reason) => return Ok(Err(reason)),
        };
        let keyed = match self.keyed(&[], &sort.expr, sort.input.schema())? {
            Ok(keyed) => keyed,
            Err(reason) => return Ok(Err(reason)),
        };
        let depth = self.open_all(&chain, end, depth + 1);
        let input = self.node(&sort.input, depth)?;
        let schema = Arc::clone(sort.input.schema().inner());
        let rows = self.top_k(input, &keyed, schema, (skip, fetch))?;
        Ok(Ok(self.through(rows, &chain, passes)))
    }

    /// A Sort with a number of rows.
    pub(super) fn first_rows(&mut self, sort: &Sort, depth: usize) -> Result<Formed> {
        let keyed = match self.keyed(&[], &sort.expr, sort.input.schema())? {
            Ok(keyed) => keyed,
            Err(reason) => return Ok(Err(reason)),
        };
        let input = self.node(&sort.input, depth + 1)?;
        let schema = Arc::clone(sort.input.schema().inner());
        Ok(Ok(self.top_k(input, &keyed, schema, (0, sort.fetch))?))
    }

    /// A bound on a rank, or the first row of each group; `None` when `plan` is neither.
    pub(super) fn ranked(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Option<NodeId>> {
        match plan {
            LogicalPlan::Projection(projection) => {
                let LogicalPlan::Filter(filter) = projection.input.as_ref() else {
                    return Ok(None);
                };
                let Some(form) = ranked_of(filter) else {
                    return Ok(None);
                };
                let schema = filter.input.schema();
                // Otherwise the filter has the form by itself.
                if form.read
                    || projection
                        .expr
                        .iter()
                        .any(|expr| reads(expr, schema, &form.ranks))
                {
                    return Ok(None);
                }
                let Ok(exprs) = self.physical_all(&projection.expr, schema)? else {
                    return Ok(None);
                };
                let Some(rows) =
                    self.ranked_rows(filter, &form, Some(&projection.input), depth + 1)?
                else {
                    return Ok(None);
                };
                let schema = Arc::clone(projection.schema.inner());
                Ok(Some(
                    self.add(operators::Project::new(exprs, schema), &[rows]),
                ))
            }
            LogicalPlan::Filter(filter) => match ranked_of(filter) {
                None => Ok(None),
                Some(mut form) => {
                    form.read |= form.ranks.contains(&true);
                    self.ranked_rows(filter, &form, None, depth)
                }
            },
            LogicalPlan::Aggregate(aggregate) => self.first_of_groups(aggregate, depth),
            _ => Ok(None),
        }
    }

    /// The rows that pass `filter`, which stands at `depth` and is still to be shown when it is given as `line`.
    fn ranked_rows(
        &mut self,
        filter: &Filter,
        form: &Ranked<'_>,
        line: Option<&LogicalPlan>,
        depth: usize,
    ) -> Result<Option<NodeId>> {
        let window = form.window;
        let Ok(passes) = self.passes(&form.chain)? else {
            return Ok(None);
        };
        let params = &form.call.params;
        let Ok(keyed) = self.keyed(
            &params.partition_by,
            &params.order_by,
            window.input.schema(),
        )?
        else {
            return Ok(None);
        };
        let rest = match &form.rest {
            None => None,
            Some(rest) if may_fail(rest, filter.input.schema()) => return Ok(None),
            Some(rest) => match self.physical(rest, filter.input.schema())? {
                Ok(rest) => Some(rest),
                Err(_) => return Ok(None),
            },
        };
        if let Some(line) = line {
            self.explain.open(line, depth);
        }
        let depth = self.open_all(&form.chain, &LogicalPlan::Window(window.clone()), depth + 1);
        let mut closing = self.closing_of(&params.partition_by, &window.input)?;
        if let Some(closing) = &mut closing {
            self.explain
                .note(self.explain.current(), "closed partitions are let go");
            closing.key = keyed.group[closing.key];
        }
        let input = self.node(&window.input, depth)?;
        let input = self.widened(input, &keyed);
        let rows = operators::GroupTopK::new(GroupTopKConfig {
            input: keyed.wide,
            group: keyed.group,
            order: keyed.order,
            rank: form.rank,
            first: form.first,
            last: form.last,
            column: if form.read {
                RankColumn::Kept
            } else {
                RankColumn::Unread
            },
            schema: Arc::clone(window.schema.inner()),
        })?;
        let rows = self.add(rows.with_closing(closing), &[input]);
        let rows = self.through(rows, &form.chain, passes);
        Ok(Some(match rest {
            None => rows,
            Some(rest) => self.add(operators::Filter::new(rest), &[rows]),
        }))
    }

    /// DISTINCT ON, and any other aggregation that takes nothing but the first row by one order.
    fn first_of_groups(&mut self, aggregate: &Aggregate, depth: usize) -> Result<Option<NodeId>> {
        let schema = aggregate.input.schema();
        let Some((args, order)) = first_values(aggregate) else {
            return Ok(None);
        };
        let outputs: Vec<&Expr> = aggregate.group_expr.iter().chain(args).collect();
        if outputs.iter().any(|expr| may_fail(expr, schema)) {
            return Ok(None);
        }
        let Ok(exprs) = self.physical_all(outputs, schema)? else {
            return Ok(None);
        };
        let Ok(keyed) = self.keyed(&aggregate.group_expr, order, schema)? else {
            return Ok(None);
        };
        let mut closing = self.closing_of(&aggregate.group_expr, &aggregate.input)?;
        if let Some(closing) = &mut closing {
            closing.key = keyed.group[closing.key];
        }
        let input = self.node(&aggregate.input, depth + 1)?;
        let input = self.widened(input, &keyed);
        let rows = operators::GroupTopK::new(GroupTopKConfig {
            input: keyed.wide,
            group: keyed.group,
            order: keyed.order,
            rank: Numbering::RowNumber,
            first: 1,
            last: 1,
            column: RankColumn::Absent,
            schema: Arc::clone(schema.inner()),
        })?;
        let rows = self.add(rows.with_closing(closing), &[input]);
        let schema = Arc::clone(aggregate.schema.inner());
        Ok(Some(
            self.add(operators::Project::new(exprs, schema), &[rows]),
        ))
    }

    fn top_k(
        &mut self,
        input: NodeId,
        keyed: &Keyed,
        schema: SchemaRef,
        (skip, fetch): (usize, Option<usize>),
    ) -> Result<NodeId> {
        let input = self.widened(input, keyed);
        let end = fetch
            .filter(|fetch| *fetch > 0)
            .and_then(|fetch| u64::try_from(skip.checked_add(fetch)?).ok())
            .filter(|end| *end <= FEW_PLACES);
        if let (Some(last), Ok(skip)) = (end, u64::try_from(skip)) {
            let rows = operators::GroupTopK::new(GroupTopKConfig {
                input: Arc::clone(&keyed.wide),
                group: Vec::new(),
                order: keyed.order.clone(),
                rank: Numbering::RowNumber,
                first: skip + 1,
                last,
                column: RankColumn::Absent,
                schema,
            })?;
            return Ok(self.add(rows, &[input]));
        }
        let rows = operators::TopK::new(&keyed.wide, schema, &keyed.order, skip, fetch)?;
        Ok(self.add(rows, &[input]))
    }

    /// The expressions of the nodes of `chain`. One that can fail would change which rows are the first.
    fn passes(&self, chain: &[&LogicalPlan]) -> Result<Partly<Vec<Exprs>>> {
        let mut passes = Vec::with_capacity(chain.len());
        for node in chain {
            let LogicalPlan::Projection(projection) = node else {
                passes.push(Exprs::new());
                continue;
            };
            let schema = projection.input.schema();
            if projection.expr.iter().any(|expr| may_fail(expr, schema)) {
                return Ok(Err(NoForm::because(
                    "a column between the order and its limit can fail on a row",
                )));
            }
            match self.physical_all(&projection.expr, schema)? {
                Ok(exprs) => passes.push(exprs),
                Err(reason) => return Ok(Err(reason)),
            }
        }
        Ok(Ok(passes))
    }

    /// Puts the nodes of `chain` over `rows`.
    fn through(&mut self, rows: NodeId, chain: &[&LogicalPlan], passes: Vec<Exprs>) -> NodeId {
        let mut rows = rows;
        for (node, exprs) in chain.iter().zip(passes).rev() {
            rows = match node {
                LogicalPlan::SubqueryAlias(alias) => {
                    self.renamed(rows, alias.input.schema(), &alias.schema)
                }
                node => {
                    let schema = Arc::clone(node.schema().inner());
                    self.add(operators::Project::new(exprs, schema), &[rows])
                }
            };
        }
        rows
    }

    /// Shows the nodes of `chain` and `end` from `depth` on; gives the depth below them.
    fn open_all(&mut self, chain: &[&LogicalPlan], end: &LogicalPlan, depth: usize) -> usize {
        let mut depth = depth;
        for node in chain.iter().copied().chain([end]) {
            self.explain.open(node, depth);
            depth += 1;
        }
        depth
    }
}

/// The arguments of an aggregation of first values by one order, and that order.
fn first_values(aggregate: &Aggregate) -> Option<(Vec<&Expr>, &[SortKey])> {
    let grouped = !aggregate.group_expr.is_empty()
        && !aggregate
            .group_expr
            .iter()
            .any(|expr| matches!(expr, Expr::GroupingSet(_)));
    let mut args = Vec::with_capacity(aggregate.aggr_expr.len());
    let mut order: Option<&[SortKey]> = None;
    for expr in &aggregate.aggr_expr {
        let Expr::AggregateFunction(call) = unaliased(expr) else {
            return None;
        };
        let params = &call.params;
        let plain = call.func.name() == "first_value"
            && params.filter.is_none()
            && params.null_treatment.is_none()
            && !params.distinct
            && !params.order_by.is_empty()
            && order.is_none_or(|order| order == params.order_by.as_slice());
        let ([arg], true) = (params.args.as_slice(), plain) else {
            return None;
        };
        args.push(arg);
        order = Some(&params.order_by);
    }
    order.filter(|_| grouped).map(|order| (args, order))
}
