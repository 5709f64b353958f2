//! Floats that an expression made, canonical wherever equal values must meet.
//!
//! In SQL -0.0 equals 0.0, and NaN equals NaN and is above every number. DataFusion's orders, IN lists, CASE and NULLIF
//! compare bits, and nothing of it knows the NaN with a sign that arithmetic gives. The rows of tables and models are
//! canonical already, and so are groups and most aggregates; any other float is made so where it is a key of an order, of a
//! partition, of a group or of a join, and where it is compared. What a query shows is left as it is.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::{Case, GroupingSet, InList, ScalarFunction, Sort as SortKey};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{
    Aggregate, Distinct, Expr, ExprSchemable, JoinType, LogicalPlan, Operator, Projection, Window,
};
use datafusion::optimizer::{AnalyzerRule, ApplyOrder, OptimizerConfig, OptimizerRule};

use super::total_order::{may_split_peers, rename_window, shows_order};
use crate::planner::functions::canonical;
use crate::planner::functions::checked::rewrite_expressions;
use crate::zset::canonical::holds_floats;

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule, which runs after the order is total, and the optimizer rule, since other rules make IN lists.
#[derive(Debug, Default)]
pub(crate) struct OneZero;

impl AnalyzerRule for OneZero {
    fn name(&self) -> &str {
        "lotic_one_zero"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| {
            let compared = comparisons(node)?;
            let keyed = keys(compared.data)?;
            let changed = compared.transformed || keyed.transformed;
            Ok(Transformed::new_transformed(keyed.data, changed))
        })
        .data()
    }
}

impl OptimizerRule for OneZero {
    fn name(&self) -> &str {
        "lotic_one_zero"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::BottomUp)
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        _config: &dyn OptimizerConfig,
    ) -> Outcome<Transformed<LogicalPlan>> {
        comparisons(plan)
    }
}

/// The keys of one node's orders.
fn keys(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Sort(mut sort) => {
            let found = Found::new(&[&sort.input]);
            let changed = found.sort_keys(&mut sort.expr);
            Ok(Transformed::new_transformed(
                LogicalPlan::Sort(sort),
                changed,
            ))
        }
        LogicalPlan::Distinct(Distinct::On(mut on)) => {
            let found = Found::new(&[&on.input]);
            let mut changed = found.all(&mut on.on_expr);
            if let Some(keys) = &mut on.sort_expr {
                changed |= found.sort_keys(keys);
            }
            Ok(Transformed::new_transformed(
                LogicalPlan::Distinct(Distinct::On(on)),
                changed,
            ))
        }
        LogicalPlan::Distinct(Distinct::All(input)) => distinct_rows(input),
        LogicalPlan::Window(window) => window_keys(window),
        LogicalPlan::Aggregate(aggregate) => aggregate_keys(aggregate),
        other => Ok(Transformed::no(other)),
    }
}

fn window_keys(window: Window) -> Outcome<Transformed<LogicalPlan>> {
    let found = Found::new(&[&window.input]);
    let (calls, changed) = found.in_calls(&window.window_expr)?;
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    rename_window(&window, &calls).map(Transformed::yes)
}

fn aggregate_keys(aggregate: Aggregate) -> Outcome<Transformed<LogicalPlan>> {
    let found = Found::new(&[&aggregate.input]);
    let (calls, mut changed) = found.in_calls(&aggregate.aggr_expr)?;
    let mut groups = aggregate.group_expr.clone();
    for group in &mut groups {
        changed |= found.make_group(group);
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let built = Aggregate::try_new(aggregate.input, groups, calls)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(built)))
}

fn distinct_rows(input: Arc<LogicalPlan>) -> Outcome<Transformed<LogicalPlan>> {
    let found = Found::new(&[&input]);
    let mut columns: Vec<Expr> = input
        .schema()
        .columns()
        .into_iter()
        .map(Expr::Column)
        .collect();
    let mut changed = false;
    for column in &mut columns {
        changed |= found.make_named(column);
    }
    let input = if changed {
        let rows = Projection::try_new(columns, Arc::clone(&input))?;
        Arc::new(LogicalPlan::Projection(rows))
    } else {
        input
    };
    let distinct = LogicalPlan::Distinct(Distinct::All(input));
    Ok(Transformed::new_transformed(distinct, changed))
}

/// The comparisons in one node's expressions.
fn comparisons(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    if !reads_floats(&plan) {
        return Ok(Transformed::no(plan));
    }
    let inputs: Vec<LogicalPlan> = plan.inputs().into_iter().cloned().collect();
    let inputs: Vec<&LogicalPlan> = inputs.iter().collect();
    let found = Found::new(&inputs);
    let (plan, keys) = match plan {
        LogicalPlan::Join(mut join) => {
            let mut changed = false;
            for (left, right) in &mut join.on {
                changed |= found.make(left);
                changed |= found.make(right);
            }
            (LogicalPlan::Join(join), changed)
        }
        plan => (plan, false),
    };
    let mut outcome = rewrite_expressions(plan, |expr| found.compared(expr))?;
    outcome.transformed |= keys;
    Ok(outcome)
}

/// Whether a comparison of the node could be one of floats: of its columns, or of what its expressions make.
fn reads_floats(plan: &LogicalPlan) -> bool {
    let of = |schema: &DFSchema| schema.fields().iter().any(|f| holds_floats(f.data_type()));
    plan.inputs().iter().any(|input| of(input.schema())) || {
        let mut found = false;
        let walked = plan.apply_expressions(|expr| {
            found |= expr.exists(|part| Ok(may_make_floats(part)))?;
            Ok(if found {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        });
        found || walked.is_err()
    }
}

/// Whether `expr` may be a float though nothing that it is made of is one.
fn may_make_floats(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(value, _) => holds_floats(&value.data_type()),
        Expr::Cast(cast) => holds_floats(cast.field.data_type()),
        Expr::TryCast(cast) => holds_floats(cast.field.data_type()),
        Expr::ScalarSubquery(subquery) => {
            let mut fields = subquery.subquery.schema().fields().iter();
            fields.any(|field| holds_floats(field.data_type()))
        }
        Expr::ScalarFunction(_) | Expr::AggregateFunction(_) | Expr::WindowFunction(_) => true,
        _ => false,
    }
}

/// What is known of the values that a node reads.
struct Found<'a> {
    inputs: Vec<&'a LogicalPlan>,
    schema: DFSchema,
}

impl<'a> Found<'a> {
    fn new(inputs: &[&'a LogicalPlan]) -> Self {
        Self {
            inputs: inputs.to_vec(),
            schema: merge_schema(inputs),
        }
    }

    fn sort_keys(&self, keys: &mut [SortKey]) -> bool {
        let mut changed = false;
        for key in keys {
            changed |= self.make(&mut key.expr);
        }
        changed
    }

    fn all(&self, exprs: &mut [Expr]) -> bool {
        let mut changed = false;
        for expr in exprs {
            changed |= self.make(expr);
        }
        changed
    }

    /// The calls with canonical keys. One that has changed is known by its old name.
    fn in_calls(&self, calls: &[Expr]) -> Outcome<(Vec<Expr>, bool)> {
        let mut any = false;
        let mut changed = Vec::with_capacity(calls.len());
        for call in calls {
            let name = call.schema_name().to_string();
            let made = call.clone().transform_down(|expr| match expr {
                Expr::WindowFunction(mut call) => {
                    let partition = self.all(&mut call.params.partition_by);
                    let order = self.sort_keys(&mut call.params.order_by);
                    // peers are sorted by what is collected of them: see `peers`
                    let name = call.fun.name();
                    let is_open =
                        shows_order(name) && !may_split_peers(name, &call.params.window_frame);
                    let args = is_open && self.all(&mut call.params.args);
                    let call = Expr::WindowFunction(call);
                    Ok(Transformed::new_transformed(
                        call,
                        partition || order || args,
                    ))
                }
                Expr::AggregateFunction(mut call) => {
                    let order = self.sort_keys(&mut call.params.order_by);
                    let call = Expr::AggregateFunction(call);
                    Ok(Transformed::new_transformed(call, order))
                }
                expr => Ok(Transformed::no(expr)),
            })?;
            any |= made.transformed;
            changed.push(match (made.transformed, made.data) {
                (false, call) | (true, call @ Expr::Alias(_)) => call,
                (true, call) => call.alias(name),
            });
        }
        Ok((changed, any))
    }

    /// As [`Self::make`], under the name that parents know.
    fn make_named(&self, expr: &mut Expr) -> bool {
        let (qualifier, name) = expr.qualified_name();
        let changed = self.make(expr);
        if changed {
            *expr = std::mem::take(expr).alias_qualified(qualifier, name);
        }
        changed
    }

    /// The keys of a grouping, those within grouping sets too.
    fn make_group(&self, group: &mut Expr) -> bool {
        let sets: Vec<&mut Vec<Expr>> = match group {
            Expr::GroupingSet(GroupingSet::Rollup(keys) | GroupingSet::Cube(keys)) => vec![keys],
            Expr::GroupingSet(GroupingSet::GroupingSets(sets)) => sets.iter_mut().collect(),
            key => return self.make_named(key),
        };
        let mut changed = false;
        for key in sets.into_iter().flatten() {
            changed |= self.make_named(key);
        }
        changed
    }

    fn compared(&self, expr: Expr) -> Outcome<Transformed<Expr>> {
        match expr {
            Expr::BinaryExpr(mut binary) if is_comparison(binary.op) => {
                let left = self.make(&mut binary.left);
                let right = self.make(&mut binary.right);
                let binary = Expr::BinaryExpr(binary);
                Ok(Transformed::new_transformed(binary, left || right))
            }
            Expr::Between(mut between) => {
                let mut changed = self.make(&mut between.expr);
                changed |= self.make(&mut between.low);
                changed |= self.make(&mut between.high);
                let between = Expr::Between(between);
                Ok(Transformed::new_transformed(between, changed))
            }
            Expr::InSubquery(mut test) => {
                let changed = self.make(&mut test.expr);
                let test = Expr::InSubquery(test);
                Ok(Transformed::new_transformed(test, changed))
            }
            Expr::InList(mut list) => {
                let mut changed = self.make(&mut list.expr);
                changed |= self.all(&mut list.list);
                let InList {
                    expr,
                    list,
                    negated,
                } = list;
                let list = Expr::InList(InList::new(expr, list, negated));
                Ok(Transformed::new_transformed(list, changed))
            }
            Expr::Case(Case {
                expr: Some(mut operand),
                mut when_then_expr,
                else_expr,
            }) => {
                let mut changed = self.make(&mut operand);
                for (when, _) in &mut when_then_expr {
                    changed |= self.make(when);
                }
                let case = Case::new(Some(operand), when_then_expr, else_expr);
                Ok(Transformed::new_transformed(Expr::Case(case), changed))
            }
            Expr::ScalarFunction(ScalarFunction { func, mut args })
                if matches!(func.name(), "nullif" | "greatest" | "least") =>
            {
                // one of them is also the answer, which is 0.0 where it was -0.0
                let changed = self.all(&mut args);
                let call = ScalarFunction { func, args };
                Ok(Transformed::new_transformed(
                    Expr::ScalarFunction(call),
                    changed,
                ))
            }
            other => Ok(Transformed::no(other)),
        }
    }

    /// Makes `expr` canonical. Says whether that changed anything.
    fn make(&self, expr: &mut Expr) -> bool {
        let holds_floats = expr
            .get_type(&self.schema)
            .is_ok_and(|data_type| holds_floats(&data_type));
        if !holds_floats || is_canonical(expr, &self.inputs) {
            return false;
        }
        let inner = std::mem::take(expr);
        *expr = canonical::call(inner);
        true
    }
}

/// Whether `op` compares two values.
pub(super) fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Whether all values of `expr` over `inputs` are canonical for sure.
fn is_canonical(expr: &Expr, inputs: &[&LogicalPlan]) -> bool {
    match expr {
        Expr::Column(column) => inputs.iter().any(|input| {
            input
                .schema()
                .maybe_index_of_column(column)
                .is_some_and(|place| gives_canonical(input, place))
        }),
        Expr::Alias(alias) => is_canonical(&alias.expr, inputs),
        Expr::Literal(value, _) => match value {
            ScalarValue::Float64(Some(value)) => {
                value.to_bits() == (value + 0.0).to_bits() && !value.is_nan()
            }
            ScalarValue::Float32(Some(value)) => {
                value.to_bits() == (value + 0.0).to_bits() && !value.is_nan()
            }
            value => value.is_null(),
        },
        Expr::Cast(cast) => {
            // no number of another kind has two zeros
            let schema = merge_schema(inputs);
            let from = cast.expr.get_type(&schema);
            from.is_ok_and(|from| from.is_integer() || from.is_decimal())
                || is_canonical(&cast.expr, inputs)
                    && cast
                        .expr
                        .get_type(&schema)
                        .is_ok_and(|from| matches!(from, DataType::Float16 | DataType::Float32))
        }
        Expr::ScalarFunction(call) => call.func.name() == canonical::NAME,
        Expr::ScalarSubquery(subquery) => gives_canonical(&subquery.subquery, 0),
        // the row outside is looked at where the subquery becomes a join
        Expr::OuterReferenceColumn(..) | Expr::Placeholder(_) => true,
        _ => false,
    }
}

/// Whether all values of column `place` of `plan` are canonical for sure.
fn gives_canonical(plan: &LogicalPlan, place: usize) -> bool {
    let of_expr = |expr: Option<&Expr>, input: &LogicalPlan| {
        expr.is_some_and(|expr| is_canonical(expr, &[input]))
    };
    match plan {
        // rows of files that are read in place are taken as they are
        LogicalPlan::TableScan(_) | LogicalPlan::EmptyRelation(_) => true,
        LogicalPlan::Projection(node) => of_expr(node.expr.get(place), &node.input),
        LogicalPlan::Filter(node) => gives_canonical(&node.input, place),
        LogicalPlan::Sort(node) => gives_canonical(&node.input, place),
        LogicalPlan::Limit(node) => gives_canonical(&node.input, place),
        LogicalPlan::SubqueryAlias(node) => gives_canonical(&node.input, place),
        LogicalPlan::Repartition(node) => gives_canonical(&node.input, place),
        LogicalPlan::Distinct(Distinct::All(input)) => gives_canonical(input, place),
        LogicalPlan::Distinct(Distinct::On(on)) => of_expr(on.select_expr.get(place), &on.input),
        LogicalPlan::Union(union) => union
            .inputs
            .iter()
            .all(|input| gives_canonical(input, place)),
        LogicalPlan::Join(join) => {
            let left = join.left.schema().fields().len();
            match join.join_type {
                JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => {
                    gives_canonical(&join.right, place)
                }
                _ if place < left => gives_canonical(&join.left, place),
                _ => gives_canonical(&join.right, place - left),
            }
        }
        LogicalPlan::Window(window) => {
            place < window.input.schema().fields().len() && gives_canonical(&window.input, place)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let calls = aggregate.schema.fields().len() - aggregate.aggr_expr.len();
            place < calls || is_canonical_call(&aggregate.aggr_expr[place - calls])
        }
        LogicalPlan::Values(values) => values
            .values
            .iter()
            .all(|row| row.get(place).is_some_and(|expr| is_canonical(expr, &[]))),
        _ => false,
    }
}

/// Aggregates that keep exact states have one zero in them; those that choose a value give it as it is.
fn is_canonical_call(expr: &Expr) -> bool {
    let name = match expr {
        Expr::Alias(alias) => return is_canonical_call(&alias.expr),
        Expr::AggregateFunction(call) => call.func.name(),
        _ => return false,
    };
    matches!(name, "sum" | "avg" | "min" | "max" | "median" | "mode")
        || name.starts_with("percentile")
}
