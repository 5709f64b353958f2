//! What a model must not call: functions that would not give the same answer twice.

use std::ops::ControlFlow;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr as PlanExpr, LogicalPlan, Volatility};
use sqlparser::ast::{Expr, Query, Visit, Visitor};

use crate::base::{Error, Result};

/// Refuses a query that is not a function of its inputs; views behind it are checked by [`check_model_plan`].
///
/// # Errors
/// 0A000 naming the function.
pub fn check_model_query(query: &Query) -> Result<()> {
    match query.visit(&mut Calls) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(error) => Err(error),
    }
}

struct Calls;

impl Visitor for Calls {
    type Break = Error;

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<Error> {
        if let Expr::Function(function) = expr {
            let name = function.name.to_string().to_lowercase();
            if let Some(error) = refused(&name, false) {
                return ControlFlow::Break(error);
            }
        }
        ControlFlow::Continue(())
    }
}

/// Refuses a plan with volatile functions or the date anywhere in it, also behind views. To be called before
/// the optimizer runs, which would freeze it. Whether `now()` stands where a model may have it, lowering says.
///
/// # Errors
/// 0A000 naming the function.
pub fn check_model_plan(plan: &LogicalPlan) -> Result<()> {
    let mut found = None;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let (name, volatile) = match expr {
                    PlanExpr::ScalarFunction(call) => (
                        call.func.name(),
                        call.func.signature().volatility == Volatility::Volatile,
                    ),
                    _ => return Ok(TreeNodeRecursion::Continue),
                };
                if name == "now" {
                    return Ok(TreeNodeRecursion::Continue);
                }
                found = refused(name, volatile);
                Ok(if found.is_some() {
                    TreeNodeRecursion::Stop
                } else {
                    TreeNodeRecursion::Continue
                })
            })
        })
    })?;
    found.map_or(Ok(()), Err)
}

fn refused(name: &str, volatile: bool) -> Option<Error> {
    let hint = match name {
        "random" | "uuid" | "uuidv4" | "uuidv7" | "gen_random_uuid" | "setseed" => {
            "compute the value where the row is made: as a column of the table or source"
        }
        "now"
        | "current_timestamp"
        | "current_date"
        | "current_time"
        | "localtime"
        | "localtimestamp"
        | "today"
        | "clock_timestamp"
        | "statement_timestamp"
        | "transaction_timestamp"
        | "timeofday" => {
            "a model may not read the clock yet: keep the time as a column, or filter by time when you query the model"
        }
        "current_user" | "session_user" | "user" | "current_role" | "current_schema"
        | "current_schemas" | "current_database" | "current_catalog" | "pg_backend_pid"
        | "current_setting" | "txid_current" => {
            "a model is the same for every session: ask for this when you query the model"
        }
        _ if volatile => {
            "a model may only use functions that give the same answer for the same row"
        }
        _ => return None,
    };
    Some(
        Error::unsupported(format!("{name}() is not allowed in a materialized view"))
            .with_hint(hint),
    )
}
