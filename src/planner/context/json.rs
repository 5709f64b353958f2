//! Operators and casts of JSON, as calls of the functions that `udfs` has for them.
//!
//! JSON is the Arrow type `LargeUtf8`, which nothing else has. A text becomes JSON by the function that checks it, never
//! by Arrow's cast; JSON becomes a number or a boolean only where it is one.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult};
use datafusion::common::{DFSchema, DataFusionError, plan_err};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{Cast, Expr, ExprSchemable, LogicalPlan, ScalarUDF, cast, lit};
use datafusion::optimizer::AnalyzerRule;
use lotic_udfs::json;
use sqlparser::ast::BinaryOperator;

use crate::planner::functions::checked::rewrite_over_inputs;

type Outcome<T> = Result<T, DataFusionError>;

static FUNCTIONS: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    lotic_udfs::all()
        .into_iter()
        .map(|function| (function.name().to_owned(), Arc::new(function)))
        .collect()
});

/// A call of a function of `udfs`.
pub(super) fn call(name: &str, args: Vec<Expr>) -> Outcome<Expr> {
    match FUNCTIONS.get(name) {
        Some(function) => Ok(function.call(args)),
        None => plan_err!("there is no function {name}"),
    }
}

/// Plans the operators of JSON. It stands before DataFusion's planners, which know some of the operators for arrays.
#[derive(Debug)]
pub(super) struct JsonOperators;

impl ExprPlanner for JsonOperators {
    fn plan_binary_op(
        &self,
        expr: RawBinaryExpr,
        schema: &DFSchema,
    ) -> Outcome<PlannerResult<RawBinaryExpr>> {
        use BinaryOperator as Op;
        let is_json = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| kind == json::TYPE);
        let (left, right) = (is_json(&expr.left), is_json(&expr.right));
        let name = match &expr.op {
            // No array has these, and a text beside them is read as JSON.
            Op::Arrow => "jsonb_get",
            Op::LongArrow => "jsonb_get_text",
            Op::HashArrow => "jsonb_at_path",
            Op::HashLongArrow => "jsonb_text_at_path",
            Op::HashMinus => "jsonb_delete_path",
            Op::Question => "jsonb_exists",
            Op::QuestionPipe => "jsonb_exists_any",
            Op::QuestionAnd => "jsonb_exists_all",
            Op::AtArrow if left || right => "jsonb_contains",
            Op::ArrowAt if left || right => "jsonb_contained",
            Op::StringConcat if left && (right || is_literal(&expr.right)) => "jsonb_concat",
            Op::StringConcat if right && is_literal(&expr.left) => "jsonb_concat",
            Op::Minus if left => "jsonb_delete",
            Op::Eq | Op::NotEq | Op::Lt | Op::LtEq | Op::Gt | Op::GtEq if left != right => {
                let RawBinaryExpr {
                    op,
                    left: a,
                    right: b,
                } = expr;
                let read = |expr: Expr| match is_literal(&expr) {
                    true => call("jsonb", vec![expr]),
                    false => Ok(expr),
                };
                let (left, right) = if left { (a, read(b)?) } else { (read(a)?, b) };
                return Ok(PlannerResult::Original(RawBinaryExpr { op, left, right }));
            }
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(call(
            name,
            vec![expr.left, expr.right],
        )?))
    }
}

/// Whether `expr` is a literal text, whose type PostgreSQL leaves open.
fn is_literal(expr: &Expr) -> bool {
    matches!(expr, Expr::Literal(value, _) if value.data_type().is_string())
}

/// The analyzer rule for casts. It runs before DataFusion's coercion and once more behind it.
#[derive(Debug, Default)]
pub(super) struct JsonCasts;

impl AnalyzerRule for JsonCasts {
    fn name(&self) -> &str {
        "lotic_json_casts"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|plan| rewrite_over_inputs(plan, rewrite))
            .data()
    }
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let Expr::Cast(Cast { expr, field }) = expr else {
        return Ok(Transformed::no(expr));
    };
    let from = expr.get_type(schema).unwrap_or(DataType::Null);
    let to = field.data_type();
    if *to == json::TYPE && from != json::TYPE && !from.is_null() {
        if !from.is_string() {
            let name = type_word(&from).map_or_else(|| from.to_string(), str::to_owned);
            return plan_err!("cannot cast type {name} to jsonb");
        }
        return Ok(Transformed::yes(call("jsonb", vec![*expr])?));
    }
    if from == json::TYPE
        && let Some(word) = type_word(to)
    {
        let text = call("jsonb_scalar_text", vec![*expr, lit(word)])?;
        return Ok(Transformed::yes(cast(text, to.clone())));
    }
    Ok(Transformed::no(Expr::Cast(Cast { expr, field })))
}

/// The name of a type that a JSON number or boolean can be cast to.
fn type_word(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::Boolean => "boolean",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::Float32 => "real",
        DataType::Float64 => "double precision",
        DataType::Decimal128(..) => "numeric",
        _ => return None,
    })
}
