//! A filter that bounds a rank from above, recognised in a plan.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::utils::{conjunction, split_conjunction};
use datafusion::logical_expr::{Between, Expr, Filter, LogicalPlan, Operator as Binary, Window};

use super::keyed::column_of;
use crate::engine::operators::Numbering;

/// A filter that bounds the rank of a window function below it.
pub(super) struct Ranked<'p> {
    pub(super) window: &'p Window,
    /// The nodes between the filter and the window, from above.
    pub(super) chain: Vec<&'p LogicalPlan>,
    pub(super) call: WindowFunction,
    pub(super) rank: Numbering,
    /// Which of the columns that the filter sees are the rank.
    pub(super) ranks: Vec<bool>,
    pub(super) first: u64,
    pub(super) last: u64,
    /// What else the filter asks.
    pub(super) rest: Option<Expr>,
    /// Whether an expression between filter and window, or the rest of the filter, reads the rank.
    pub(super) read: bool,
}

/// The nodes that neither drop nor add rows, from `plan` down, and the first other one.
pub(super) fn chain_below(plan: &LogicalPlan) -> (Vec<&LogicalPlan>, &LogicalPlan) {
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
pub(super) fn ranked_of(filter: &Filter) -> Option<Ranked<'_>> {
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

/// Whether `expr` reads one of the marked columns.
pub(super) fn reads(expr: &Expr, schema: &DFSchema, marked: &[bool]) -> bool {
    expr.column_refs().into_iter().any(|column| {
        schema
            .maybe_index_of_column(column)
            .is_none_or(|index| marked.get(index) == Some(&true))
    })
}
