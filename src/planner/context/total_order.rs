//! Choices among ties made total, in batch and in stream alike.
//!
//! `ORDER BY a LIMIT 3`, `row_number() OVER (ORDER BY a)` and `first_value(b ORDER BY a)` leave open which of several equal
//! rows they mean. Here the remaining columns of the input break every tie; rows equal in all columns are
//! the same row, so nothing is left open. Order-sensitive aggregates without ORDER BY get an order as well; `LIMIT` without
//! ORDER BY does in a model only, and an ad-hoc query keeps its cheap form there.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DataFusionError};
use datafusion::logical_expr::expr::{AggregateFunction, Sort as SortKey, WindowFunction};
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, ExprSchemable, Limit, LogicalPlan, Projection, Sort,
    SubqueryAlias, Window, WindowFrame, WindowFrameBound, WindowFrameUnits, lit,
};
use datafusion::optimizer::AnalyzerRule;

use super::options::PlanFor;
use crate::zset::order::has_order;

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule. It runs last, on types that are already coerced.
#[derive(Debug)]
pub struct TotalOrder {
    plan_for: PlanFor,
}

impl TotalOrder {
    /// A rule for queries or for models.
    pub fn new(plan_for: PlanFor) -> Self {
        Self { plan_for }
    }

    fn node(&self, node: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
        match node {
            LogicalPlan::Limit(limit) => self.limit(limit),
            LogicalPlan::Window(window) => self.window(window),
            LogicalPlan::Aggregate(aggregate) => Self::aggregate(aggregate),
            LogicalPlan::Distinct(Distinct::On(on)) => distinct_on(on),
            node => Ok(Transformed::no(node)),
        }
    }

    fn limit(&self, limit: Limit) -> Outcome<Transformed<LogicalPlan>> {
        let Limit { skip, fetch, input } = limit;
        let (input, found) = order_below(Arc::unwrap_or_clone(input))?;
        let input = if found || self.plan_for == PlanFor::Query {
            input
        } else {
            with_order(input)
        };
        Ok(Transformed::yes(LogicalPlan::Limit(Limit {
            skip,
            fetch,
            input: Arc::new(input),
        })))
    }

    fn window(&self, window: Window) -> Outcome<Transformed<LogicalPlan>> {
        let schema = Arc::clone(window.input.schema());
        let mut changed = false;
        let mut window_expr = Vec::with_capacity(window.window_expr.len());
        for expr in &window.window_expr {
            let before = expr.schema_name().to_string();
            let after = expr.clone().transform_down(|expr| match expr {
                Expr::WindowFunction(mut call) if leaves_ties(&call) => {
                    let partition = call.params.partition_by.iter();
                    let known: Vec<Expr> = call
                        .params
                        .order_by
                        .iter()
                        .map(|key| &key.expr)
                        .chain(partition)
                        .cloned()
                        .collect();
                    let added = remaining(&schema, &known);
                    let any = !added.is_empty();
                    call.params.order_by.extend(added);
                    let call = Expr::WindowFunction(call);
                    Ok(if any {
                        Transformed::yes(call)
                    } else {
                        Transformed::no(call)
                    })
                }
                expr => Ok(Transformed::no(expr)),
            })?;
            changed |= after.transformed;
            // Parents know the column by its old name.
            window_expr.push(if after.transformed {
                after.data.alias(before)
            } else {
                after.data
            });
        }
        if !changed {
            return Ok(Transformed::no(LogicalPlan::Window(window)));
        }
        rename_window(&window, &window_expr).map(Transformed::yes)
    }

    fn aggregate(aggregate: Aggregate) -> Outcome<Transformed<LogicalPlan>> {
        let schema = Arc::clone(aggregate.input.schema());
        // Constant within a group, unless there are several grouping sets.
        let groups: Vec<Expr> = aggregate
            .group_expr
            .iter()
            .filter(|expr| matches!(expr, Expr::Column(_)))
            .cloned()
            .collect();
        let mut changed = false;
        let mut calls = Vec::with_capacity(aggregate.aggr_expr.len());
        for expr in &aggregate.aggr_expr {
            let before = expr.schema_name().to_string();
            let after = expr.clone().transform_down(|expr| match expr {
                Expr::AggregateFunction(mut call) if shows_order(call.func.name()) => {
                    let order = aggregate_order(&call, &schema, &groups);
                    let any = order != call.params.order_by;
                    call.params.order_by = order;
                    let call = Expr::AggregateFunction(call);
                    Ok(if any {
                        Transformed::yes(call)
                    } else {
                        Transformed::no(call)
                    })
                }
                expr => Ok(Transformed::no(expr)),
            })?;
            changed |= after.transformed;
            calls.push(if after.transformed {
                after.data.alias(before)
            } else {
                after.data
            });
        }
        if !changed {
            return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
        }
        let built = Aggregate::try_new(aggregate.input, aggregate.group_expr, calls)?;
        Ok(Transformed::yes(LogicalPlan::Aggregate(built)))
    }
}

impl AnalyzerRule for TotalOrder {
    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        Ok(plan
            .transform_up_with_subqueries(|node| self.node(node))?
            .data)
    }

    fn name(&self) -> &str {
        "lotic_total_order"
    }
}

/// DISTINCT ON takes the first row of each group; ON itself orders the groups where nothing else does.
fn distinct_on(mut on: DistinctOn) -> Outcome<Transformed<LogicalPlan>> {
    let written = on
        .sort_expr
        .take()
        .unwrap_or_else(|| on.on_expr.iter().map(key).collect());
    let mut known: Vec<Expr> = Vec::new();
    let mut order: Vec<SortKey> = Vec::new();
    for (place, sort) in written.into_iter().enumerate() {
        // The first keys stay as they are: they must match ON one by one.
        if place < on.on_expr.len() || !known.contains(&sort.expr) {
            known.push(sort.expr.clone());
            order.push(sort);
        }
    }
    order.extend(remaining(on.input.schema(), &known));
    let on = on.with_sort_expr(order)?;
    Ok(Transformed::yes(LogicalPlan::Distinct(Distinct::On(on))))
}

/// The keys of an aggregate, completed. Keys that are written twice or are constant in a group are dropped: DataFusion drops
/// them from the order of the input, and its ordered aggregates panic when the two differ in length.
fn aggregate_order(call: &AggregateFunction, schema: &DFSchema, groups: &[Expr]) -> Vec<SortKey> {
    let mut known: Vec<Expr> = Vec::new();
    let mut order: Vec<SortKey> = Vec::new();
    for key in &call.params.order_by {
        if !known.contains(&key.expr) && !groups.contains(&key.expr) {
            known.push(key.expr.clone());
            order.push(key.clone());
        }
    }
    known.extend(groups.iter().cloned());
    if call.params.distinct || !chooses(call) {
        order.extend(
            call.params
                .args
                .iter()
                .take(1)
                .filter(|arg| !known.contains(arg))
                .filter(|arg| arg.get_type(schema).is_ok_and(|kind| is_sortable(&kind)))
                .map(key),
        );
    } else {
        order.extend(remaining(schema, &known));
    }
    if order.is_empty() {
        order.extend(call.params.order_by.first().cloned());
    }
    order
}

/// Whether the order of rows shows in what the function of this name gives for several of them.
pub(super) fn shows_order(name: &str) -> bool {
    matches!(
        name,
        "array_agg" | "string_agg" | "first_value" | "last_value" | "nth_value"
    )
}

/// The value chosen depends on the whole row, where `array_agg` depends on its argument alone.
fn chooses(call: &AggregateFunction) -> bool {
    matches!(call.func.name(), "first_value" | "last_value" | "nth_value")
}

/// Whether the result of a window function depends on the order of rows that are peers, and more keys may decide it.
fn leaves_ties(call: &WindowFunction) -> bool {
    let frame = &call.params.window_frame;
    match call.fun.name() {
        "row_number" | "ntile" | "lag" | "lead" => true,
        "rank" | "dense_rank" | "percent_rank" | "cume_dist" => false,
        name if shows_order(name) => may_split_peers(name, frame),
        // Other aggregates: a frame counted in rows cuts through peers.
        _ => frame.units == WindowFrameUnits::Rows && !is_whole(frame),
    }
}

/// Whether more keys in the order leave the frame of such a call what it is. One of values or groups that ends at the current row's
/// last peer, they would change: see `peers`. The order of a whole partition is free, but what is collected has it; and the first
/// row of a frame with an open start stays the same whatever its end.
pub(super) fn may_split_peers(name: &str, frame: &WindowFrame) -> bool {
    frame.units == WindowFrameUnits::Rows
        || is_whole(frame)
        || (name == "first_value" && frame.start_bound.is_unbounded())
}

/// Whether the frame of each row is its partition.
fn is_whole(frame: &WindowFrame) -> bool {
    let ends_open =
        matches!(&frame.end_bound, WindowFrameBound::Following(bound) if bound.is_null());
    frame.start_bound.is_unbounded() && ends_open
}

/// Completes the Sort under a LIMIT, through nodes that keep the order of rows.
fn order_below(plan: LogicalPlan) -> Outcome<(LogicalPlan, bool)> {
    match plan {
        LogicalPlan::Sort(mut sort) => {
            let constant = constants(&sort.input);
            sort.expr.retain(|key| !is_constant(&key.expr, &constant));
            let known: Vec<Expr> = sort.expr.iter().map(|key| key.expr.clone()).collect();
            let added = remaining(sort.input.schema(), &known).into_iter();
            sort.expr
                .extend(added.filter(|key| !is_constant(&key.expr, &constant)));
            if sort.expr.is_empty() {
                return Ok((Arc::unwrap_or_clone(sort.input), true));
            }
            Ok((LogicalPlan::Sort(sort), true))
        }
        LogicalPlan::Projection(Projection {
            expr,
            input,
            schema,
            ..
        }) => {
            let (input, found) = order_below(Arc::unwrap_or_clone(input))?;
            let built = Projection::try_new_with_schema(expr, Arc::new(input), schema)?;
            Ok((LogicalPlan::Projection(built), found))
        }
        LogicalPlan::SubqueryAlias(SubqueryAlias { input, alias, .. }) => {
            let (input, found) = order_below(Arc::unwrap_or_clone(input))?;
            let built = SubqueryAlias::try_new(Arc::new(input), alias)?;
            Ok((LogicalPlan::SubqueryAlias(built), found))
        }
        plan => Ok((plan, false)),
    }
}

/// Whether `expr` is the same for every row, where the columns `constant` are: it orders nothing, and a model should not lose rows
/// because it fails.
pub(super) fn is_constant(expr: &Expr, constant: &[Column]) -> bool {
    expr.column_refs()
        .iter()
        .all(|column| constant.contains(column))
        && !expr.is_volatile()
        && !expr.contains_outer()
        && !expr.contains_scalar_subquery()
}

/// The columns of `plan` that are the same for every row, as far as projections tell.
pub(super) fn constants(plan: &LogicalPlan) -> Vec<Column> {
    let schema = plan.schema();
    match plan {
        LogicalPlan::Projection(projection) => {
            let below = constants(&projection.input);
            let columns = schema.columns().into_iter().zip(&projection.expr);
            columns
                .filter(|(_, expr)| is_constant(expr, &below))
                .map(|(column, _)| column)
                .collect()
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let below = constants(&alias.input);
            let columns = alias.input.schema().columns().into_iter();
            let columns = columns.zip(schema.columns());
            columns
                .filter(|(column, _)| below.contains(column))
                .map(|(_, column)| column)
                .collect()
        }
        LogicalPlan::Filter(filter) => constants(&filter.input),
        LogicalPlan::Sort(sort) => constants(&sort.input),
        LogicalPlan::Limit(limit) => constants(&limit.input),
        _ => Vec::new(),
    }
}

/// A Sort under a LIMIT that has none, by all columns but those that are constant. Where all are, the rows are equal and any order
/// will do: one by a column could read what fails and nothing else reads.
fn with_order(plan: LogicalPlan) -> LogicalPlan {
    let constant = constants(&plan);
    let all = remaining(plan.schema(), &[]);
    if all.is_empty() {
        return plan;
    }
    let varying = all.into_iter();
    let mut expr: Vec<SortKey> = varying
        .filter(|key| !is_constant(&key.expr, &constant))
        .collect();
    if expr.is_empty() {
        expr.push(key(&lit(0)));
    }
    LogicalPlan::Sort(Sort {
        expr,
        input: Arc::new(plan),
        fetch: None,
    })
}

/// A window node whose columns keep their names though their expressions have changed. Those that have are under their old names in `window_expr`.
pub(super) fn rename_window(window: &Window, window_expr: &[Expr]) -> Outcome<LogicalPlan> {
    // A call may have had a name of its own before.
    let pairs = || window_expr.iter().zip(&window.window_expr);
    let (changed, kept): (Vec<_>, Vec<_>) = pairs().partition(|(new, old)| new != old);
    // The calls of one node have one order, so those that got another need a node of their own.
    let mut input = Arc::clone(&window.input);
    let mut kept_at = input.schema().fields().len();
    if !kept.is_empty() {
        let kept = kept.into_iter().map(|(_, old)| old.clone()).collect();
        input = Arc::new(LogicalPlan::Window(Window::try_new(kept, input)?));
    }
    let mut changed_at = input.schema().fields().len();
    let changed = changed.into_iter().map(|(new, _)| new.clone().unalias());
    let built = Window::try_new(changed.collect(), input)?;
    let width = window.input.schema().fields().len();
    let mut columns: Vec<Expr> = window
        .input
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    for (place, (new, old)) in pairs().enumerate() {
        let is_changed = new != old;
        let at = if is_changed {
            &mut changed_at
        } else {
            &mut kept_at
        };
        let (old, new) = (
            window.schema.qualified_field(width + place),
            built.schema.qualified_field(*at),
        );
        *at += 1;
        let column = Expr::Column(Column::from(new));
        columns.push(if is_changed {
            column.alias_qualified(old.0.cloned(), old.1.name())
        } else {
            column
        });
    }
    let projection = Projection::try_new(columns, Arc::new(LogicalPlan::Window(built)))?;
    Ok(LogicalPlan::Projection(projection))
}

/// Keys over the columns of `schema` that are not among `known`. Types that have no order are left out; two rows that differ in such
/// a column alone stay a tie.
fn remaining(schema: &DFSchema, known: &[Expr]) -> Vec<SortKey> {
    schema
        .iter()
        .filter(|(_, field)| is_sortable(field.data_type()))
        .map(|(qualifier, field)| Expr::Column(Column::from((qualifier, field))))
        .filter(|column| !known.contains(column))
        .map(|column| key(&column))
        .collect()
}

/// A column that is NULL for its type has no values to sort.
pub(super) fn is_sortable(data_type: &DataType) -> bool {
    !data_type.is_null() && has_order(data_type)
}

fn key(expr: &Expr) -> SortKey {
    SortKey::new(expr.clone(), true, false)
}
