//! The rule that puts checked arithmetic in the place of the operators.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, Result};
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator};
use datafusion::optimizer::AnalyzerRule;

use super::arithmetic::{Operation, is_exact_number, plain};
use super::durations::as_duration;
use super::half_even;
use super::joined::{self, joins_text};

/// The rule, to be registered after DataFusion's own analyzer rules: operands have their final types then, and
/// constants are folded later, by the checked functions.
pub fn checked_arithmetic_rule() -> Arc<dyn AnalyzerRule + Send + Sync> {
    Arc::new(CheckedArithmetic)
}

/// Rewrites `+`, `-`, `*` and unary minus over integers and decimals, `%` over decimals, `||` over text (whose size is checked), and `round` of
/// floats. An interval of time alone becomes a number beside a timestamp. Dates and floats keep DataFusion's operators; division and the
/// remainder of integers raise errors by themselves.
#[derive(Debug, Default)]
pub struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn name(&self) -> &str {
        "checked_arithmetic"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Result<LogicalPlan> {
        plan.transform_up_with_subqueries(rewrite_node).data()
    }
}

fn rewrite_node(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = &plan {
        let columns =
            DFSchema::try_from_qualified_schema(scan.table_name.clone(), &scan.source.schema())?;
        schema.merge(&columns);
    }
    rewrite_expressions(plan, |expr| rewrite(expr, &schema))
}

/// Rewrites the expressions of one node from their leaves up. The columns that it gives keep their names.
///
/// # Errors
/// Those of `rewrite`, and when the node's new schema does not add up.
pub(in crate::planner) fn rewrite_expressions(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let names = NamePreserver::new(&plan);
    let rewritten = plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let rewritten = expr.transform_up(&rewrite)?;
        Ok(rewritten.update_data(|expr| name.restore(expr)))
    })?;
    if !rewritten.transformed {
        return Ok(rewritten);
    }
    rewritten.map_data(LogicalPlan::recompute_schema)
}

/// The same, for a rewrite that looks at the columns of the node's inputs.
///
/// # Errors
/// Those of [`rewrite_expressions`].
pub(in crate::planner) fn rewrite_over_inputs(
    plan: LogicalPlan,
    rewrite: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<Transformed<LogicalPlan>> {
    let schema = merge_schema(&plan.inputs());
    rewrite_expressions(plan, |expr| rewrite(expr, &schema))
}

fn rewrite(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    match expr {
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: Operator::StringConcat,
            right,
        }) => {
            if joins_text(&left.get_type(schema)?, &right.get_type(schema)?) {
                return Ok(Transformed::yes(
                    joined::function().call(vec![*left, *right]),
                ));
            }
            let op = Operator::StringConcat;
            Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr {
                left,
                op,
                right,
            })))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let kind = left.get_type(schema)?;
            let adds = matches!(op, Operator::Plus | Operator::Minus);
            if let Some(length) = adds.then(|| as_duration(&kind, &right)).flatten() {
                let right = Box::new(length);
                return Ok(Transformed::yes(Expr::BinaryExpr(BinaryExpr {
                    left,
                    op,
                    right,
                })));
            }
            let operation = Operation::of(op, &kind, &right.get_type(schema)?);
            Ok(match operation {
                Some(operation) => Transformed::yes(operation.function().call(vec![*left, *right])),
                None => Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })),
            })
        }
        Expr::Negative(inner) if is_exact_number(&inner.get_type(schema)?) => Ok(Transformed::yes(
            Operation::Negate.function().call(vec![*inner]),
        )),
        Expr::ScalarFunction(mut call) if call.func.name() == "round" && call.args.len() == 1 => {
            let kind = call.args[0].get_type(schema)?;
            if !matches!(kind, DataType::Float32 | DataType::Float64) {
                return Ok(Transformed::no(Expr::ScalarFunction(call)));
            }
            let float = std::mem::take(&mut call.args[0]);
            Ok(Transformed::yes(half_even::call(float)))
        }
        other => Ok(Transformed::no(other)),
    }
}

/// The expression with operators again, for sources that take filters as SQL text (where the remote server checks).
///
/// # Errors
/// Never for expressions that a plan holds.
pub fn plain_arithmetic(expr: Expr) -> Result<Expr> {
    expr.transform_up(|expr| {
        let Expr::ScalarFunction(call) = &expr else {
            return Ok(Transformed::no(expr));
        };
        match plain(&call.func, &call.args).or_else(|| joined::plain(&call.func, &call.args)) {
            Some(operator) => Ok(Transformed::yes(operator)),
            None => Ok(Transformed::no(expr)),
        }
    })
    .data()
}
