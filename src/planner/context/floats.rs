//! A float beside a decimal makes the expression a double, as in PostgreSQL.
//!
//! DataFusion compares the two as decimals: `f = 0.1` with a literal of many digits could then miss the double that the
//! literal stands for, and large floats would not fit. The rule runs before DataFusion's own coercion, which then
//! finds two doubles.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::{
    Between, Case, InList, InSubquery, ScalarFunction, SetComparison,
};
use datafusion::logical_expr::logical_plan::Subquery;
use datafusion::logical_expr::{
    BinaryExpr, Cast, Expr, ExprSchemable, Join, LogicalPlan, LogicalPlanBuilder, Operator,
    Projection, Union, Values, cast,
};
use datafusion::optimizer::AnalyzerRule;

use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

/// The analyzer rule. It runs first.
#[derive(Debug, Default)]
pub(super) struct FloatOverDecimal;

impl AnalyzerRule for FloatOverDecimal {
    fn name(&self) -> &str {
        "lotic_float_over_decimal"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_node).data()
    }
}

fn rewrite_node(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    match plan {
        LogicalPlan::Union(union) => {
            rewrite_union(union).map(|union| union.update_data(LogicalPlan::Union))
        }
        LogicalPlan::Values(values) => rewrite_values(values),
        LogicalPlan::Join(join) => {
            let (join, keys) = rewrite_keys(join);
            let plan = rewrite_over_inputs(LogicalPlan::Join(join), rewrite)?;
            let changed = plan.transformed || keys;
            Ok(Transformed::new_transformed(plan.data, changed))
        }
        plan => rewrite_over_inputs(plan, rewrite),
    }
}

/// The keys of USING, INTERSECT and EXCEPT, which no expression compares.
fn rewrite_keys(join: Join) -> (Join, bool) {
    let (left, right) = (
        Arc::clone(join.left.schema()),
        Arc::clone(join.right.schema()),
    );
    let mut changed = false;
    let on = join.on.into_iter().map(|(l, r)| {
        let types = (l.get_type(&left), r.get_type(&right));
        let mixed = matches!(&types, (Ok(l), Ok(r)) if meet(l, r));
        changed |= mixed;
        if mixed {
            (as_double(l, &left), as_double(r, &right))
        } else {
            (l, r)
        }
    });
    let on = on.collect();
    (Join { on, ..join }, changed)
}

/// A column of VALUES with a float in one row and a decimal in another, which DataFusion has made a decimal.
fn rewrite_values(values: Values) -> Outcome<Transformed<LogicalPlan>> {
    let nothing = DFSchema::empty();
    let float_below = |cell: &Expr| match cell {
        Expr::Cast(Cast { expr, field }) => {
            let from = expr.get_type(&nothing);
            field.data_type().is_decimal() && from.is_ok_and(|from| from.is_floating())
        }
        _ => false,
    };
    let width = values.schema.fields().len();
    let has_float = |place: usize| {
        let mut cells = values.values.iter().filter_map(|row| row.get(place));
        cells.any(float_below)
    };
    let mixed: Vec<bool> = (0..width).map(has_float).collect();
    if !mixed.contains(&true) {
        return Ok(Transformed::no(LogicalPlan::Values(values)));
    }
    let cell = |(cell, mixed): (Expr, &bool)| match cell {
        Expr::Cast(Cast { expr, .. }) if *mixed => as_double(*expr, &nothing),
        cell if *mixed => as_double(cell, &nothing),
        cell => cell,
    };
    let rows = values.values.into_iter();
    let rows = rows.map(|row| row.into_iter().zip(&mixed).map(cell).collect());
    let plan = LogicalPlanBuilder::values(rows.collect())?.build()?;
    Ok(Transformed::yes(plan))
}

/// `expr` and the one column of a subquery that it is compared with, where they are a float and a decimal.
fn beside_subquery(
    expr: Expr,
    subquery: Subquery,
    schema: &DFSchema,
) -> Outcome<(Expr, Subquery, bool)> {
    let inner = subquery.subquery.schema();
    let theirs = inner.fields().first().map(|field| field.data_type());
    let mixed =
        matches!((expr.get_type(schema), theirs), (Ok(ours), Some(theirs)) if meet(&ours, theirs));
    if !mixed {
        return Ok((expr, subquery, false));
    }
    let subquery = Subquery {
        subquery: columns_as_doubles(&subquery.subquery, &[true])?,
        ..subquery
    };
    Ok((as_double(expr, schema), subquery, true))
}

/// Whether one type is of floats and the other of decimals.
fn meet(one: &DataType, other: &DataType) -> bool {
    one.is_floating() && other.is_decimal() || one.is_decimal() && other.is_floating()
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(binary) if brings_together(binary.op) => {
            let BinaryExpr { left, op, right } = binary;
            let pair = [*left, *right];
            let mixed = is_mixed(&pair, schema);
            let [left, right] = if mixed {
                pair.map(|expr| as_double(expr, schema))
            } else {
                pair
            };
            let binary = BinaryExpr::new(Box::new(left), op, Box::new(right));
            Ok(Transformed::new_transformed(
                Expr::BinaryExpr(binary),
                mixed,
            ))
        }
        Expr::Between(between) => {
            let Between {
                expr,
                negated,
                low,
                high,
            } = between;
            let all = [*expr, *low, *high];
            let mixed = is_mixed(&all, schema);
            let [expr, low, high] = if mixed {
                all.map(|expr| as_double(expr, schema))
            } else {
                all
            };
            let between = Between::new(Box::new(expr), negated, Box::new(low), Box::new(high));
            Ok(Transformed::new_transformed(Expr::Between(between), mixed))
        }
        Expr::InList(list) => {
            let mut all = list.list;
            all.push(*list.expr);
            let (mut all, mixed) = together(all, schema);
            let Some(expr) = all.pop() else {
                return Err(DataFusionError::Internal("an empty IN list".to_owned()));
            };
            let list = InList::new(Box::new(expr), all, list.negated);
            Ok(Transformed::new_transformed(Expr::InList(list), mixed))
        }
        Expr::InSubquery(test) => {
            let (expr, subquery, mixed) = beside_subquery(*test.expr, test.subquery, schema)?;
            let test = InSubquery::new(Box::new(expr), subquery, test.negated);
            let test = Expr::InSubquery(test);
            Ok(Transformed::new_transformed(test, mixed))
        }
        Expr::SetComparison(test) => {
            let (expr, subquery, mixed) = beside_subquery(*test.expr, test.subquery, schema)?;
            let expr = Box::new(expr);
            let test = SetComparison::new(expr, subquery, test.op, test.quantifier);
            let test = Expr::SetComparison(test);
            Ok(Transformed::new_transformed(test, mixed))
        }
        Expr::Case(case) => rewrite_case(case, schema),
        Expr::ScalarFunction(ScalarFunction { func, args })
            if matches!(
                func.name(),
                "coalesce" | "nullif" | "greatest" | "least" | "make_array"
            ) =>
        {
            let (args, mixed) = together(args, schema);
            let call = Expr::ScalarFunction(ScalarFunction { func, args });
            Ok(Transformed::new_transformed(call, mixed))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The values of a CASE are of one type, and so are the operand and what it is compared with.
fn rewrite_case(case: Case, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let count = case.when_then_expr.len();
    let (whens, thens): (Vec<Expr>, Vec<Expr>) = case
        .when_then_expr
        .into_iter()
        .map(|(when, then)| (*when, *then))
        .unzip();
    let mut values = thens;
    values.extend(case.else_expr.map(|expr| *expr));
    let (mut values, mixed_values) = together(values, schema);
    let else_expr = (values.len() > count)
        .then(|| values.pop())
        .flatten()
        .map(Box::new);
    let (operand, whens, mixed_whens) = match case.expr {
        Some(operand) => {
            let mut all = whens;
            all.push(*operand);
            let (mut all, mixed) = together(all, schema);
            (all.pop().map(Box::new), all, mixed)
        }
        None => (None, whens, false),
    };
    let when_then_expr = whens
        .into_iter()
        .zip(values)
        .map(|(when, then)| (Box::new(when), Box::new(then)))
        .collect();
    Ok(Transformed::new_transformed(
        Expr::Case(Case::new(operand, when_then_expr, else_expr)),
        mixed_values || mixed_whens,
    ))
}

/// A column of a union that is a float in one branch and a decimal in another is a double in all.
pub(super) fn rewrite_union(union: Union) -> Outcome<Transformed<Union>> {
    let width = union.schema.fields().len();
    let mixed: Vec<bool> = (0..width)
        .map(|place| {
            let mut types = union
                .inputs
                .iter()
                .filter_map(|input| input.schema().fields().get(place))
                .map(|field| field.data_type());
            types.clone().any(DataType::is_floating) && types.any(DataType::is_decimal)
        })
        .collect();
    if !mixed.contains(&true) {
        return Ok(Transformed::no(union));
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| columns_as_doubles(&input, &mixed))
        .collect::<Outcome<Vec<_>>>()?;
    Union::try_new_with_loose_types(inputs).map(Transformed::yes)
}

/// `input` with doubles in the columns that are `mixed`, under the names that they have.
fn columns_as_doubles(input: &Arc<LogicalPlan>, mixed: &[bool]) -> Outcome<Arc<LogicalPlan>> {
    let columns = input.schema().columns().into_iter().zip(mixed);
    let columns = columns.map(|(column, mixed)| {
        let (relation, name) = (column.relation.clone(), column.name.clone());
        let column = Expr::Column(column);
        if *mixed {
            as_double(column, input.schema()).alias_qualified(relation, name)
        } else {
            column
        }
    });
    let cast = Projection::try_new(columns.collect(), Arc::clone(input))?;
    Ok(Arc::new(LogicalPlan::Projection(cast)))
}

fn brings_together(op: Operator) -> bool {
    matches!(
        op,
        Operator::Plus
            | Operator::Minus
            | Operator::Multiply
            | Operator::Divide
            | Operator::Modulo
            | Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn together(exprs: Vec<Expr>, schema: &DFSchema) -> (Vec<Expr>, bool) {
    if !is_mixed(&exprs, schema) {
        return (exprs, false);
    }
    let exprs = exprs
        .into_iter()
        .map(|expr| as_double(expr, schema))
        .collect();
    (exprs, true)
}

/// Whether there is a float and a decimal among `exprs`. What has no type yet is none of them.
fn is_mixed(exprs: &[Expr], schema: &DFSchema) -> bool {
    let (mut float, mut decimal) = (false, false);
    for expr in exprs {
        if let Ok(data_type) = expr.get_type(schema) {
            float |= data_type.is_floating();
            decimal |= data_type.is_decimal();
        }
    }
    float && decimal
}

/// A decimal or a shorter float as a double; anything else as it is.
fn as_double(expr: Expr, schema: &DFSchema) -> Expr {
    if let Expr::Literal(value, metadata) = &expr
        && value.data_type().is_decimal()
        && let Some(value) = nearest_double(value)
    {
        return Expr::Literal(ScalarValue::Float64(Some(value)), metadata.clone());
    }
    match expr.get_type(schema) {
        Ok(data_type)
            if data_type.is_decimal()
                || matches!(data_type, DataType::Float16 | DataType::Float32) =>
        {
            cast(expr, DataType::Float64)
        }
        _ => expr,
    }
}

/// The double nearest to a decimal. Dividing the digits by a power of ten would round twice.
fn nearest_double(value: &ScalarValue) -> Option<f64> {
    let text = value.cast_to(&DataType::Utf8).ok()?;
    let ScalarValue::Utf8(Some(text)) = text else {
        return None;
    };
    text.parse().ok()
}
