//! Moves expressions that can fail on a row out of aggregates, joins, windows and sorts, into a projection
//! below (or a filter above), so that a failing row is left out one way in both modes.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, DFSchema, DFSchemaRef, DataFusionError, JoinType};
use datafusion::logical_expr::expr::{
    AggregateFunction, AggregateFunctionParams, Alias, GroupingSet, WindowFunction,
    WindowFunctionParams,
};
use datafusion::logical_expr::expr_fn::when;
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Aggregate, Expr, Filter, Join, LogicalPlan, Projection, Sort, SortExpr, Window, binary_expr,
};

use super::expressions::{is_subquery, may_fail};
use super::join::{is_order, sides_of};

type Outcome<T> = Result<T, DataFusionError>;

/// One node's expressions that can fail, moved.
pub(super) fn hoist(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Aggregate(aggregate) => hoist_aggregate(aggregate),
        LogicalPlan::Join(join) => hoist_join(join),
        LogicalPlan::Window(window) => hoist_window(window),
        LogicalPlan::Sort(sort) => hoist_sort(sort),
        LogicalPlan::Filter(filter) => split_filter(filter),
        other => Ok(Transformed::no(other)),
    }
}

/// Columns that a projection below will compute: the expression, its column, and the two together.
struct Below<'a> {
    schema: &'a DFSchema,
    prefix: &'static str,
    /// Whether what cannot fail moves too.
    all: bool,
    made: Vec<(Expr, Column, Expr)>,
}

impl<'a> Below<'a> {
    fn new(schema: &'a DFSchema, prefix: &'static str) -> Self {
        Self {
            schema,
            prefix,
            all: false,
            made: Vec::new(),
        }
    }

    /// `expr`, or the column that will hold its value.
    fn value(&mut self, expr: Expr) -> Expr {
        let column = Column::from_name(format!("{}_{}", self.prefix, self.made.len() + 1));
        self.value_as(expr, column)
    }

    fn value_as(&mut self, expr: Expr, column: Column) -> Expr {
        let moves = match self.all {
            true => !matches!(expr, Expr::Column(_)),
            false => may_fail(&expr, self.schema),
        };
        if !moves {
            return expr;
        }
        if let Some((_, column, _)) = self.made.iter().find(|(made, _, _)| *made == expr) {
            return Expr::Column(column.clone());
        }
        let aliased = expr
            .clone()
            .alias_qualified(column.relation.clone(), column.name.clone());
        self.made.push((expr, column.clone(), aliased));
        Expr::Column(column)
    }

    /// An aggregate's argument: a row that the call's filter keeps out cannot fail in it.
    fn filtered(&mut self, arg: Expr, filter: Option<&Expr>) -> Expr {
        if let Some(filter) = filter
            && may_fail(&arg, self.schema)
            && let Ok(guarded) = when(filter.clone(), arg.clone()).end()
        {
            return self.value(guarded);
        }
        self.value(arg)
    }

    fn sort_keys(&mut self, keys: Vec<SortExpr>) -> Vec<SortExpr> {
        keys.into_iter()
            .map(|key| SortExpr {
                expr: self.value(key.expr),
                ..key
            })
            .collect()
    }

    /// `input` with the columns added, or as it was when there are none.
    fn project(self, input: Arc<LogicalPlan>) -> Outcome<Arc<LogicalPlan>> {
        if self.made.is_empty() {
            return Ok(input);
        }
        let mut exprs = columns_of(input.schema());
        exprs.extend(self.made.into_iter().map(|(_, _, aliased)| aliased));
        Ok(Arc::new(LogicalPlan::Projection(Projection::try_new(
            exprs, input,
        )?)))
    }
}

/// Every column of `schema` as an expression.
pub(super) fn columns_of(schema: &DFSchema) -> Vec<Expr> {
    schema
        .iter()
        .map(|field| Expr::Column(Column::from(field)))
        .collect()
}

/// `plan` cut back to the columns of `schema`.
pub(super) fn only(schema: DFSchemaRef, plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    let exprs = columns_of(&schema);
    let projection = Projection::try_new_with_schema(exprs, Arc::new(plan), schema)?;
    Ok(Transformed::yes(LogicalPlan::Projection(projection)))
}

fn hoist_aggregate(aggregate: Aggregate) -> Outcome<Transformed<LogicalPlan>> {
    let input_schema = Arc::clone(aggregate.input.schema());
    let mut below = Below::new(&input_schema, "__lotic_arg");
    let Aggregate {
        input,
        group_expr,
        aggr_expr,
        schema,
        ..
    } = aggregate;
    let first_call = schema.fields().len() - aggr_expr.len();
    let group_expr: Vec<Expr> = group_expr
        .into_iter()
        .map(|expr| hoist_group(expr, &mut below))
        .collect();
    let aggr_expr: Vec<Expr> = aggr_expr
        .into_iter()
        .enumerate()
        .map(|(index, expr)| hoist_call(expr, schema.field(first_call + index).name(), &mut below))
        .collect();
    let moved = !below.made.is_empty();
    let input = below.project(input)?;
    let hoisted = Aggregate::try_new_with_schema(input, group_expr, aggr_expr, schema)?;
    Ok(Transformed::new_transformed(
        LogicalPlan::Aggregate(hoisted),
        moved,
    ))
}

/// The keys of a grouping set that are no columns, moved, whether they can fail or not.
///
/// # Errors
/// When the new plan does not add up.
pub(crate) fn hoist_set_keys(aggregate: Aggregate) -> Outcome<Transformed<LogicalPlan>> {
    let input_schema = Arc::clone(aggregate.input.schema());
    let mut below = Below::new(&input_schema, "__lotic_key");
    below.all = true;
    let groups = aggregate.group_expr.clone();
    let group_expr = groups.into_iter().map(|expr| hoist_group(expr, &mut below));
    let group_expr = group_expr.collect();
    let taken = |(_, column, _): &(Expr, Column, Expr)| {
        let mut names = input_schema.fields().iter().map(|field| field.name());
        names.any(|name| *name == column.name)
    };
    if below.made.is_empty() || below.made.iter().any(taken) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let calls = aggregate.aggr_expr.into_iter();
    let calls = calls.map(|call| grouping_of_columns(call, &below.made));
    let calls = calls.collect::<Outcome<Vec<Expr>>>()?;
    let input = below.project(aggregate.input)?;
    let hoisted = Aggregate::try_new(input, group_expr, calls)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(hoisted)))
}

/// `call`, where it is GROUPING of keys that `made` moved, of their columns.
fn grouping_of_columns(call: Expr, made: &[(Expr, Column, Expr)]) -> Outcome<Expr> {
    let columns = call.transform_up(|expr| match expr {
        Expr::AggregateFunction(mut call) if call.func.name() == "grouping" => {
            let mut changed = false;
            for arg in &mut call.params.args {
                if let Some((_, column, _)) = made.iter().find(|(key, _, _)| key == arg) {
                    *arg = Expr::Column(column.clone());
                    changed = true;
                }
            }
            let call = Expr::AggregateFunction(call);
            Ok(Transformed::new_transformed(call, changed))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(columns.data)
}

/// A grouping expression as a column under the name that the aggregate's output has for it.
fn hoist_group(expr: Expr, below: &mut Below<'_>) -> Expr {
    let mut all = |exprs: Vec<Expr>| -> Vec<Expr> {
        exprs
            .into_iter()
            .map(|expr| hoist_group(expr, below))
            .collect()
    };
    match expr {
        Expr::GroupingSet(GroupingSet::Rollup(exprs)) => {
            Expr::GroupingSet(GroupingSet::Rollup(all(exprs)))
        }
        Expr::GroupingSet(GroupingSet::Cube(exprs)) => {
            Expr::GroupingSet(GroupingSet::Cube(all(exprs)))
        }
        Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => Expr::GroupingSet(
            GroupingSet::GroupingSets(sets.into_iter().map(all).collect()),
        ),
        expr => {
            let (qualifier, name) = expr.qualified_name();
            below.value_as(expr, Column::new(qualifier, name))
        }
    }
}

/// An aggregate call over columns. Its output keeps the name `name`.
fn hoist_call(expr: Expr, name: &str, below: &mut Below<'_>) -> Expr {
    match expr {
        Expr::Alias(Alias {
            expr,
            relation,
            name,
            metadata,
        }) => {
            let inner = hoist_call(*expr, &name, below).unalias();
            Expr::Alias(Alias {
                expr: Box::new(inner),
                relation,
                name,
                metadata,
            })
        }
        Expr::AggregateFunction(call) => {
            let before = call.clone();
            let AggregateFunction { func, params } = call;
            let AggregateFunctionParams {
                args,
                distinct,
                filter,
                order_by,
                null_treatment,
            } = params;
            let args = args
                .into_iter()
                .map(|arg| below.filtered(arg, filter.as_deref()))
                .collect();
            let filter = filter.map(|filter| Box::new(below.value(*filter)));
            let order_by = below.sort_keys(order_by);
            let params = AggregateFunctionParams {
                args,
                distinct,
                filter,
                order_by,
                null_treatment,
            };
            let call = AggregateFunction { func, params };
            let renamed = call != before;
            let call = Expr::AggregateFunction(call);
            if renamed { call.alias(name) } else { call }
        }
        other => other,
    }
}

fn hoist_join(join: Join) -> Outcome<Transformed<LogicalPlan>> {
    if matches!(join.join_type, JoinType::LeftMark | JoinType::RightMark) || join.null_aware {
        return Ok(Transformed::no(LogicalPlan::Join(join)));
    }
    let (left_schema, right_schema) = (
        Arc::clone(join.left.schema()),
        Arc::clone(join.right.schema()),
    );
    let mut left = Below::new(&left_schema, "__lotic_left");
    let mut right = Below::new(&right_schema, "__lotic_right");
    let on: Vec<(Expr, Expr)> = join
        .on
        .into_iter()
        .map(|(l, r)| (left.value(l), right.value(r)))
        .collect();
    let (filter, above) = match (join.join_type, join.filter) {
        (JoinType::Inner, Some(filter)) => {
            let (above, kept): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter)
                .into_iter()
                .map(
                    |conjunct| match on.is_empty() && may_fail(&conjunct, &join.schema) {
                        true => compare_below(conjunct, &mut left, &mut right),
                        false => Ok(conjunct),
                    },
                )
                .collect::<Outcome<Vec<_>>>()?
                .into_iter()
                .partition(|conjunct| may_fail(conjunct, &join.schema));
            (conjunction(kept), conjunction(above))
        }
        (_, filter) => (filter, None),
    };
    let widened = !left.made.is_empty() || !right.made.is_empty();
    let schema = Arc::clone(&join.schema);
    let joined = if widened {
        LogicalPlan::Join(Join::try_new(
            left.project(join.left)?,
            right.project(join.right)?,
            on,
            filter,
            join.join_type,
            join.join_constraint,
            join.null_equality,
            join.null_aware,
        )?)
    } else {
        LogicalPlan::Join(Join { on, filter, ..join })
    };
    let joined = match above {
        Some(predicate) => LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(joined))?),
        None if !widened => return Ok(Transformed::no(joined)),
        None => joined,
    };
    if widened {
        only(schema, joined)
    } else {
        Ok(Transformed::yes(joined))
    }
}

/// `conjunct`, if it compares a value of the one input with one of the other by order, with what may fail in it computed below: pairs of a join
/// without a key are found by it.
fn compare_below(conjunct: Expr, left: &mut Below<'_>, right: &mut Below<'_>) -> Outcome<Expr> {
    let schemas = [left.schema, right.schema];
    let (of_left, op, of_right) = match sides_of(&conjunct, schemas)? {
        Some((of_left, op, of_right)) if is_order(op) => (of_left, op, of_right),
        _ => return Ok(conjunct),
    };
    let of_left = left.value(of_left.clone());
    Ok(binary_expr(of_left, op, right.value(of_right.clone())))
}

fn hoist_window(window: Window) -> Outcome<Transformed<LogicalPlan>> {
    let Window {
        input,
        window_expr,
        schema,
    } = window;
    let input_schema = Arc::clone(input.schema());
    let mut below = Below::new(&input_schema, "__lotic_arg");
    let first = input_schema.fields().len();
    let hoisted: Vec<Expr> = window_expr
        .iter()
        .enumerate()
        .map(|(index, expr)| {
            hoist_window_call(expr.clone(), schema.field(first + index).name(), &mut below)
        })
        .collect();
    if below.made.is_empty() {
        let same = Window {
            input,
            window_expr,
            schema,
        };
        return Ok(Transformed::no(LogicalPlan::Window(same)));
    }
    let input = below.project(input)?;
    only(
        schema,
        LogicalPlan::Window(Window::try_new(hoisted, input)?),
    )
}

fn hoist_window_call(expr: Expr, name: &str, below: &mut Below<'_>) -> Expr {
    match expr {
        Expr::Alias(Alias {
            expr,
            relation,
            name,
            metadata,
        }) => {
            let inner = hoist_window_call(*expr, &name, below).unalias();
            Expr::Alias(Alias {
                expr: Box::new(inner),
                relation,
                name,
                metadata,
            })
        }
        Expr::WindowFunction(call) => {
            let WindowFunction { fun, params } = *call;
            let WindowFunctionParams {
                args,
                partition_by,
                order_by,
                filter,
                ..
            } = params;
            let args = args
                .into_iter()
                .map(|arg| below.filtered(arg, filter.as_deref()))
                .collect();
            let params = WindowFunctionParams {
                args,
                partition_by: partition_by
                    .into_iter()
                    .map(|key| below.value(key))
                    .collect(),
                order_by: below.sort_keys(order_by),
                filter: filter.map(|filter| Box::new(below.value(*filter))),
                window_frame: params.window_frame,
                null_treatment: params.null_treatment,
                distinct: params.distinct,
            };
            Expr::WindowFunction(Box::new(WindowFunction { fun, params })).alias(name)
        }
        other => other,
    }
}

fn hoist_sort(sort: Sort) -> Outcome<Transformed<LogicalPlan>> {
    let input_schema = Arc::clone(sort.input.schema());
    let mut below = Below::new(&input_schema, "__lotic_key");
    let keys = below.sort_keys(sort.expr);
    if below.made.is_empty() {
        return Ok(Transformed::no(LogicalPlan::Sort(Sort {
            expr: keys,
            ..sort
        })));
    }
    let input = below.project(sort.input)?;
    let sorted = LogicalPlan::Sort(Sort {
        expr: keys,
        input,
        fetch: sort.fetch,
    });
    only(input_schema, sorted)
}

/// Conditions with a subquery stand above those without, which need not be recomputed when it changes.
fn split_filter(filter: Filter) -> Outcome<Transformed<LogicalPlan>> {
    if !has_subquery(&filter.predicate) {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    let (above, below): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter.predicate.clone())
        .into_iter()
        .partition(has_subquery);
    let (Some(above), Some(below)) = (conjunction(above), conjunction(below)) else {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    };
    let below = LogicalPlan::Filter(Filter::try_new(below, filter.input)?);
    Ok(Transformed::yes(LogicalPlan::Filter(Filter::try_new(
        above,
        Arc::new(below),
    )?)))
}

fn has_subquery(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(is_subquery(expr))).unwrap_or(true)
}
