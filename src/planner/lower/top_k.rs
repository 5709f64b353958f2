//! The first rows: LIMIT over an order, a bound on a rank within groups, and the first row of a group.
//!
//! Every form is recognised whole or not at all: whatever else stands between the nodes, the plan is lowered node by
//! node, as if this file did not exist.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{Sort as SortKey, WindowFunction};
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{
    Aggregate, Between, Expr, ExprSchemable, FetchType, Filter, Limit, LogicalPlan,
    Operator as Binary, SkipType, Sort, Window,
};
use datafusion::physical_expr::PhysicalExpr;

use super::expressions::{NoForm, columns_as, may_fail};
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::NodeId;
use crate::engine::operators::{self, GroupTopKConfig, Numbering, OrderKey, RankColumn};

type Exprs = Vec<Arc<dyn PhysicalExpr>>;
type Partly<T> = std::result::Result<T, NoForm>;

/// Groups and an order over the columns of an input, which has more columns where a key is no column of its own.
pub(super) struct Keyed {
    pub(super) group: Vec<usize>,
    pub(super) order: Vec<OrderKey>,
    /// The input's columns and the keys behind them.
    pub(super) wide: SchemaRef,
    /// What computes them; `None` when no key was added.
    widen: Option<Exprs>,
}

/// A filter that bounds the rank of a window function below it.
struct Ranked<'p> {
    window: &'p Window,
    /// The nodes between the filter and the window, from above.
    chain: Vec<&'p LogicalPlan>,
    call: WindowFunction,
    rank: Numbering,
    /// Which of the columns that the filter sees are the rank.
    ranks: Vec<bool>,
    first: u64,
    last: u64,
    /// What else the filter asks.
    rest: Option<Expr>,
    /// Whether an expression between filter and window, or the rest of the filter, reads the rank.
    read: bool,
}

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
        let rows = self.add(rows, &[input]);
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
        let rows = self.add(rows, &[input]);
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
        let rows = operators::TopK::new(&keyed.wide, schema, &keyed.order, skip, fetch)?;
        Ok(self.add(rows, &[input]))
    }

    /// Groups and order as columns, or why they cannot be.
    pub(super) fn keyed(
        &self,
        group: &[Expr],
        order: &[SortKey],
        schema: &DFSchema,
    ) -> Result<Partly<Keyed>> {
        let mut fields: Vec<FieldRef> = schema.fields().iter().map(Arc::clone).collect();
        let mut widen = columns_as(schema.inner(), schema.inner());
        let mut columns = Vec::with_capacity(group.len() + order.len());
        for expr in group.iter().chain(order.iter().map(|key| &key.expr)) {
            if let Some(column) = column_of(expr, schema) {
                columns.push(column);
                continue;
            }
            if may_fail(expr, schema) {
                return Ok(Err(NoForm::because("a key of the order can fail on a row")));
            }
            match self.physical(expr, schema)? {
                Ok(expr) => widen.push(expr),
                Err(reason) => return Ok(Err(reason)),
            }
            columns.push(fields.len());
            let name = format!("__lotic_key_{}", fields.len());
            fields.push(Arc::new(Field::new(name, expr.get_type(schema)?, true)));
        }
        if fields.is_empty() {
            return Ok(Err(NoForm::because("rows without columns have no order")));
        }
        if let Some(reason) = without_order(&fields) {
            return Ok(Err(reason));
        }
        let order_columns = columns.split_off(group.len());
        let order = order_columns
            .into_iter()
            .zip(order)
            .map(|(column, key)| OrderKey {
                column,
                options: arrow::compute::SortOptions::new(!key.asc, key.nulls_first),
            })
            .collect();
        let added = fields.len() > schema.fields().len();
        Ok(Ok(Keyed {
            group: columns,
            order,
            wide: if added {
                Arc::new(Schema::new(fields))
            } else {
                Arc::clone(schema.inner())
            },
            widen: added.then_some(widen),
        }))
    }

    pub(super) fn widened(&mut self, input: NodeId, keyed: &Keyed) -> NodeId {
        match &keyed.widen {
            None => input,
            Some(exprs) => {
                let wide = Arc::clone(&keyed.wide);
                self.add(operators::Project::new(exprs.clone(), wide), &[input])
            }
        }
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

/// The nodes that neither drop nor add rows, from `plan` down, and the first other one.
fn chain_below(plan: &LogicalPlan) -> (Vec<&LogicalPlan>, &LogicalPlan) {
    let mut chain = Vec::new();
    let mut below = plan;
    loop {
        let next = match below {
            LogicalPlan::Projection(projection) => projection.input.as_ref(),
            LogicalPlan::SubqueryAlias(alias) => alias.input.as_ref(),
            end => return (chain, end),
        };
        chain.push(below);
        below = next;
    }
}

/// `filter` as a bound on a rank from above, when it is one.
fn ranked_of(filter: &Filter) -> Option<Ranked<'_>> {
    let (chain, end) = chain_below(&filter.input);
    let LogicalPlan::Window(window) = end else {
        return None;
    };
    let [expr] = window.window_expr.as_slice() else {
        return None;
    };
    let (call, rank) = rank_of(expr)?;
    let mut ranks = vec![false; window.input.schema().fields().len()];
    ranks.push(true);
    let mut read = false;
    for node in chain.iter().rev() {
        let LogicalPlan::Projection(projection) = node else {
            continue;
        };
        let schema = projection.input.schema();
        let mut above = Vec::with_capacity(projection.expr.len());
        for expr in &projection.expr {
            let column = column_of(expr, schema);
            let is_rank = column.is_some_and(|column| ranks.get(column) == Some(&true));
            read |= column.is_none() && reads(expr, schema, &ranks);
            above.push(is_rank);
        }
        ranks = above;
    }
    let schema = filter.input.schema();
    let (mut first, mut last) = (1, u64::MAX);
    let mut rest = Vec::new();
    for part in split_conjunction(&filter.predicate) {
        match bounds(part, schema, &ranks) {
            Some((from, to)) => (first, last) = (first.max(from), last.min(to)),
            None => {
                read |= reads(part, schema, &ranks);
                rest.push(part.clone());
            }
        }
    }
    (last < u64::MAX).then(|| Ranked {
        window,
        chain,
        call,
        rank,
        ranks,
        first,
        last,
        rest: conjunction(rest),
        read,
    })
}

fn rank_of(expr: &Expr) -> Option<(WindowFunction, Numbering)> {
    let Expr::WindowFunction(call) = expr.clone().unalias() else {
        return None;
    };
    let rank = match call.fun.name() {
        "row_number" => Numbering::RowNumber,
        "rank" => Numbering::Rank,
        "dense_rank" => Numbering::DenseRank,
        _ => return None,
    };
    let params = &call.params;
    let plain = params.args.is_empty()
        && params.filter.is_none()
        && params.null_treatment.is_none()
        && !params.distinct;
    plain.then_some((*call, rank))
}

/// The ranks that `expr` lets through, when it says nothing else.
fn bounds(expr: &Expr, schema: &DFSchema, ranks: &[bool]) -> Option<(u64, u64)> {
    let is_rank = |expr: &Expr| {
        matches!(expr, Expr::Column(_))
            && column_of(expr, schema).is_some_and(|column| ranks.get(column) == Some(&true))
    };
    match expr {
        Expr::BinaryExpr(binary) => {
            let (op, number) = if is_rank(&binary.left) {
                (binary.op, number_of(&binary.right)?)
            } else if is_rank(&binary.right) {
                (binary.op.swap()?, number_of(&binary.left)?)
            } else {
                return None;
            };
            Some(match op {
                Binary::Eq => (number, number),
                Binary::Lt => (1, number.saturating_sub(1)),
                Binary::LtEq => (1, number),
                Binary::Gt => (number.saturating_add(1), u64::MAX),
                Binary::GtEq => (number, u64::MAX),
                _ => return None,
            })
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) if is_rank(expr) => Some((number_of(low)?, number_of(high)?)),
        _ => None,
    }
}

fn number_of(expr: &Expr) -> Option<u64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    match value {
        ScalarValue::UInt64(number) => *number,
        ScalarValue::Int64(number) => number.and_then(|number| u64::try_from(number).ok()),
        ScalarValue::Int32(number) => number.and_then(|number| u64::try_from(number).ok()),
        _ => None,
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
        let mut expr = expr;
        while let Expr::Alias(alias) = expr {
            expr = alias.expr.as_ref();
        }
        let Expr::AggregateFunction(call) = expr else {
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

/// The column that `expr` is, perhaps under another name.
fn column_of(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    let mut expr = expr;
    while let Expr::Alias(alias) = expr {
        expr = alias.expr.as_ref();
    }
    match expr {
        Expr::Column(column) => schema.maybe_index_of_column(column),
        _ => None,
    }
}

/// Whether `expr` reads one of the marked columns.
fn reads(expr: &Expr, schema: &DFSchema, marked: &[bool]) -> bool {
    expr.column_refs().into_iter().any(|column| {
        schema
            .maybe_index_of_column(column)
            .is_none_or(|index| marked.get(index) == Some(&true))
    })
}

/// Why rows of `fields` cannot be kept in order, where they cannot.
pub(super) fn without_order<'f>(fields: impl IntoIterator<Item = &'f FieldRef>) -> Option<NoForm> {
    let field = fields
        .into_iter()
        .find(|field| !has_order(field.data_type()))?;
    let kind = field.data_type();
    Some(NoForm::because(format!(
        "values of the type {kind} have no order"
    )))
}

/// Whether the engine's order of such values is DataFusion's, and gives them back as they were.
fn has_order(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..)
        | DataType::Union(..)
        | DataType::Dictionary(..)
        | DataType::RunEndEncoded(..) => false,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => has_order(field.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| has_order(field.data_type())),
        _ => true,
    }
}
