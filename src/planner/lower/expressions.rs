//! What lowering asks about an expression: its physical form, whether it can fail on a row, and whether
//! its value changes by itself.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema};
use datafusion::common::DFSchema;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::expr::WindowFunctionDefinition;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, Volatility};
use datafusion::physical_expr::expressions::{CastExpr, Column};
use datafusion::physical_expr::{PhysicalExpr, create_physical_expr};

use super::temporal;
use crate::base::{Error, Result};
use crate::planner::functions::canonical;

/// Why a node has no incremental form; the text stands in EXPLAIN.
#[derive(Debug)]
pub(super) struct NoForm(pub(super) String);

impl NoForm {
    pub(super) fn because(reason: impl Into<String>) -> Self {
        Self(reason.into())
    }
}

/// `expr` over rows of `schema`. The inner error is for expressions that need more than a row:
/// DataFusion's physical planner evaluates them with nodes of their own.
pub(super) fn physical(
    expr: &Expr,
    schema: &DFSchema,
    props: &ExecutionProps,
) -> Result<std::result::Result<Arc<dyn PhysicalExpr>, NoForm>> {
    if let Some(reason) = needs_more_than_a_row(expr)? {
        return Ok(Err(NoForm::because(reason)));
    }
    Ok(Ok(create_physical_expr(
        expr,
        schema,
        props,
        &PhysicalPlanningContext::default(),
    )?))
}

fn needs_more_than_a_row(expr: &Expr) -> Result<Option<&'static str>> {
    let mut reason = None;
    expr.apply(|expr| {
        reason = match expr {
            Expr::ScalarSubquery(_) => Some("a scalar subquery has no incremental form yet"),
            Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
                Some("this subquery could not be turned into a join")
            }
            Expr::OuterReferenceColumn(..) => Some("a correlated subquery is left in the plan"),
            Expr::GroupingSet(_) => Some("grouping sets stand where a value is expected"),
            Expr::ScalarFunction(call) if call.func.as_async().is_some() => {
                Some("an asynchronous function has no incremental form")
            }
            _ => None,
        };
        Ok(if reason.is_some() {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    })?;
    Ok(reason)
}

/// What `expr` is under all its names.
pub(super) fn unaliased(expr: &Expr) -> &Expr {
    let mut expr = expr;
    while let Expr::Alias(alias) = expr {
        expr = alias.expr.as_ref();
    }
    expr
}

/// The columns of `from` by position, cast where `to` has another type.
pub(super) fn columns_as(from: &Schema, to: &Schema) -> Vec<Arc<dyn PhysicalExpr>> {
    from.fields()
        .iter()
        .zip(to.fields())
        .enumerate()
        .map(|(index, (have, want))| {
            let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(have.name(), index));
            if have.data_type() == want.data_type() {
                column
            } else {
                Arc::new(CastExpr::new(column, want.data_type().clone(), None))
            }
        })
        .collect()
}

/// Refuses functions whose value changes by itself: a deletion would not cancel its insertion. The clock may be compared with.
///
/// # Errors
/// 0A000 naming the function.
pub fn refuse_unstable(plan: &LogicalPlan) -> Result<()> {
    let mut refused = None;
    let mut check = |expr: &Expr| {
        expr.apply(|expr| {
            refused = refused.take().or_else(|| unstable_call(expr));
            Ok(if refused.is_some() {
                TreeNodeRecursion::Stop
            } else {
                TreeNodeRecursion::Continue
            })
        })
    };
    plan.apply_with_subqueries(|node| match node {
        LogicalPlan::Filter(filter) => {
            let schema = filter.input.schema();
            for condition in split_conjunction(&filter.predicate) {
                if !temporal::compares_with_clock(condition, schema) {
                    check(condition)?;
                }
            }
            Ok(TreeNodeRecursion::Continue)
        }
        node => node.apply_expressions(&mut check),
    })?;
    match refused {
        None => Ok(()),
        Some((name, Volatility::Volatile)) => Err(Error::unsupported(format!(
            "{name}() cannot be used in a model: it gives another value each time it is called"
        ))
        .with_hint("store its value in a column when the row is inserted, and read that column here")),
        Some((name, _)) => Err(Error::unsupported(format!(
            "{name}() cannot be used in a model yet: its value changes while no row does"
        ))
        .with_hint(
            "WHERE may compare a timestamp with now() plus or minus an interval of fixed length; for anything else keep the \
             column in the model, and compare in the query that reads it",
        )),
    }
}

fn unstable_call(expr: &Expr) -> Option<(String, Volatility)> {
    let (name, volatility) = match expr {
        Expr::ScalarFunction(call) => (call.func.name(), call.func.signature().volatility),
        Expr::AggregateFunction(call) => (call.func.name(), call.func.signature().volatility),
        Expr::WindowFunction(call) => match &call.fun {
            WindowFunctionDefinition::AggregateUDF(f) => (f.name(), f.signature().volatility),
            WindowFunctionDefinition::WindowUDF(f) => (f.name(), f.signature().volatility),
        },
        _ => return None,
    };
    (volatility != Volatility::Immutable).then(|| (name.to_owned(), volatility))
}

/// Whether `expr` is a subquery itself.
pub(super) fn is_subquery(expr: &Expr) -> bool {
    matches!(
        expr,
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
    )
}

/// Whether a part of `expr` is a subquery, or a column of a query around its own. Errs on the side of yes.
pub(crate) fn reads_elsewhere(expr: &Expr) -> bool {
    let elsewhere =
        |part: &Expr| Ok(is_subquery(part) || matches!(part, Expr::OuterReferenceColumn(..)));
    expr.exists(elsewhere).unwrap_or(true)
}

/// Whether evaluating `expr` can fail on some row. Errs on the side of yes.
pub(crate) fn may_fail(expr: &Expr, schema: &DFSchema) -> bool {
    let mut fails = false;
    let walked = expr.apply(|expr| {
        fails = fails || !is_total(expr, schema);
        Ok(if fails {
            TreeNodeRecursion::Stop
        } else {
            TreeNodeRecursion::Continue
        })
    });
    fails || walked.is_err()
}

/// Whether the outermost operation of `expr` has a value for every input.
fn is_total(expr: &Expr, schema: &DFSchema) -> bool {
    match expr {
        Expr::Alias(_)
        | Expr::Column(_)
        | Expr::Literal(..)
        | Expr::Like(_)
        | Expr::Not(_)
        | Expr::IsNotNull(_)
        | Expr::IsNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Between(_)
        | Expr::Case(_)
        | Expr::InList(_)
        | Expr::TryCast(_) => true,
        Expr::BinaryExpr(binary) => matches!(
            binary.op,
            Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::And
                | Operator::Or
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
        ),
        Expr::Cast(cast) => match cast.expr.get_type(schema) {
            Ok(from) => always_casts(&from, cast.field.data_type()),
            Err(_) => false,
        },
        Expr::ScalarFunction(call) => {
            matches!(call.func.name(), "coalesce" | "nullif" | canonical::NAME)
        }
        _ => false,
    }
}

/// Whether every value of `from` has a value in `to`.
fn always_casts(from: &DataType, to: &DataType) -> bool {
    use DataType::{Boolean, Date32, Float32, Float64, LargeUtf8, Null, Utf8, Utf8View};
    if from == to || *from == Null {
        return true;
    }
    match (from, to) {
        (from, Utf8 | LargeUtf8 | Utf8View) => {
            from.is_integer() || from.is_string() || matches!(from, Boolean | Date32)
        }
        (from, Float64) => from.is_integer() || matches!(from, Float32),
        (from, to) if from.is_integer() && to.is_integer() => {
            let wider = from.primitive_width() < to.primitive_width();
            wider && (to.is_signed_integer() || from.is_unsigned_integer())
        }
        _ => false,
    }
}
