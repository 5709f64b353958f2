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
use datafusion::logical_expr::expr::{Between, Case, InList, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, Projection, Union, cast,
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
    if let LogicalPlan::Union(union) = plan {
        return rewrite_union(union);
    }
    rewrite_over_inputs(plan, rewrite)
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
        Expr::Case(case) => rewrite_case(case, schema),
        Expr::ScalarFunction(ScalarFunction { func, args })
            if matches!(func.name(), "coalesce" | "nullif" | "greatest" | "least") =>
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
fn rewrite_union(union: Union) -> Outcome<Transformed<LogicalPlan>> {
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
        return Ok(Transformed::no(LogicalPlan::Union(union)));
    }
    let inputs = union
        .inputs
        .into_iter()
        .map(|input| {
            let exprs = input
                .schema()
                .columns()
                .into_iter()
                .zip(&mixed)
                .map(|(column, mixed)| {
                    let (relation, name) = (column.relation.clone(), column.name.clone());
                    let column = Expr::Column(column);
                    if *mixed {
                        as_double(column, input.schema()).alias_qualified(relation, name)
                    } else {
                        column
                    }
                })
                .collect();
            let cast = Projection::try_new(exprs, input)?;
            Ok(Arc::new(LogicalPlan::Projection(cast)))
        })
        .collect::<Outcome<Vec<_>>>()?;
    let union = Union::try_new_with_loose_types(inputs)?;
    Ok(Transformed::yes(LogicalPlan::Union(union)))
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
