//! Conditions on the present moment: `ts > now() - INTERVAL '1 hour'`.
//!
//! A comparison of a timestamp with `now()` and an interval of fixed length changes once a row and bound, at a moment that the row
//! says. Such conditions stand in filters of their own, in both modes; batch reads the moment that it is told.

use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::utils::{conjunction, split_conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    Between, BinaryExpr, Cast, Expr, ExprSchemable, Filter, LogicalPlan, Operator,
};

use super::keyed::without_order;
use super::lowering::{Formed, Lowering};
use crate::base::Result;
use crate::engine::operators::{Moving, TemporalFilter, TimeBound};

type Outcome<T> = std::result::Result<T, DataFusionError>;

/// DataFusion's name of the clock.
const CLOCK: &str = "now";
/// The length of a day in an interval: models are planned in UTC.
const DAY_NS: i64 = 86_400_000_000_000;

/// A comparison of a row's value with the present moment and an offset.
struct Compared {
    value: Expr,
    moving: Moving,
    unit_ns: i64,
    offset_ns: i64,
}

impl Lowering<'_> {
    /// The operator of a filter by the present moment; `None` when `plan` is none.
    pub(super) fn temporal(&mut self, plan: &LogicalPlan, depth: usize) -> Result<Option<Formed>> {
        let LogicalPlan::Filter(filter) = plan else {
            return Ok(None);
        };
        let Some(compared) = all_compared(filter) else {
            return Ok(None);
        };
        let schema = filter.input.schema();
        if let Some(reason) = without_order(schema.fields()) {
            return Ok(Some(Err(reason)));
        }
        let mut bounds = Vec::with_capacity(compared.len());
        for one in compared {
            let value = match self.physical(&one.value, schema)? {
                Ok(value) => value,
                Err(reason) => return Ok(Some(Err(reason))),
            };
            bounds.push(TimeBound {
                value,
                moving: one.moving,
                unit_ns: one.unit_ns,
                offset_ns: one.offset_ns,
            });
        }
        let line = self.explain.current();
        self.explain.note(line, "rows come and go as time passes");
        let input = self.node(&filter.input, depth + 1)?;
        let filter = TemporalFilter::new(schema.inner(), bounds)?;
        Ok(Some(Ok(self.add(filter, &[input]))))
    }
}

/// `plan` with `now()` of its conditions at a moment, in microseconds since 1970.
///
/// # Errors
/// When a filter cannot be rebuilt: a defect.
pub fn at_moment(plan: &LogicalPlan, now_us: i64) -> Result<LogicalPlan> {
    let told = |expr: Expr| {
        if !is_clock(&expr) {
            return Ok(Transformed::no(expr));
        }
        let DataType::Timestamp(_, zone) = expr.get_type(&DFSchema::empty())? else {
            return Ok(Transformed::no(expr));
        };
        let now = ScalarValue::TimestampMicrosecond(Some(now_us), zone);
        Ok(Transformed::yes(Expr::Literal(now, None)))
    };
    // an optimizer may have put the condition into a join
    let fixed = plan
        .clone()
        .transform_up_with_subqueries(|node| match node {
            node @ (LogicalPlan::Filter(_) | LogicalPlan::Join(_)) => {
                node.map_expressions(|expr| expr.transform_up(told))
            }
            node => Ok(Transformed::no(node)),
        })?;
    Ok(fixed.data)
}

/// Whether `condition` compares values of a row with the present moment, in a form that has an operator.
pub(super) fn compares_with_clock(condition: &Expr, schema: &DFSchema) -> bool {
    compared(condition, schema).is_some()
}

/// Puts the comparisons of a filter with the present moment into one above the others.
pub(super) fn split(plan: LogicalPlan) -> Outcome<Transformed<LogicalPlan>> {
    let LogicalPlan::Filter(filter) = plan else {
        return Ok(Transformed::no(plan));
    };
    if !reads_clock(&filter.predicate) {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    }
    let (above, below): (Vec<Expr>, Vec<Expr>) = split_conjunction_owned(filter.predicate.clone())
        .into_iter()
        .partition(reads_clock);
    let (Some(above), Some(below)) = (conjunction(above), conjunction(below)) else {
        return Ok(Transformed::no(LogicalPlan::Filter(filter)));
    };
    let below = LogicalPlan::Filter(Filter::try_new(below, filter.input)?);
    let above = Filter::try_new(above, Arc::new(below))?;
    Ok(Transformed::yes(LogicalPlan::Filter(above)))
}

fn is_clock(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.name() == CLOCK)
}

pub(super) fn reads_clock(expr: &Expr) -> bool {
    expr.exists(|expr| Ok(is_clock(expr))).unwrap_or(true)
}

/// The comparisons of `filter`, when it has no other conditions.
fn all_compared(filter: &Filter) -> Option<Vec<Compared>> {
    let mut all = Vec::new();
    for condition in split_conjunction(&filter.predicate) {
        all.extend(compared(condition, filter.input.schema())?);
    }
    Some(all)
}

fn compared(condition: &Expr, schema: &DFSchema) -> Option<Vec<Compared>> {
    match condition {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (value, op, moving) = if reads_clock(right) {
                (left, *op, right)
            } else {
                (right, op.swap()?, left)
            };
            Some(vec![one(value, op, moving, schema)?])
        }
        Expr::Between(Between {
            expr,
            negated: false,
            low,
            high,
        }) => {
            let bounds = [(Operator::GtEq, low), (Operator::LtEq, high)];
            let each = bounds.into_iter().map(|(op, bound)| {
                if reads_clock(expr) {
                    one(bound, op.swap()?, expr, schema)
                } else {
                    one(expr, op, bound, schema)
                }
            });
            each.collect()
        }
        _ => None,
    }
}

fn one(value: &Expr, op: Operator, moving: &Expr, schema: &DFSchema) -> Option<Compared> {
    let moving_type = moving.get_type(schema).ok()?;
    if reads_clock(value) || value.get_type(schema).ok()? != moving_type {
        return None;
    }
    let DataType::Timestamp(unit, _) = &moving_type else {
        return None;
    };
    Some(Compared {
        value: value.clone(),
        moving: match op {
            Operator::Gt => Moving::Above,
            Operator::GtEq => Moving::AtOrAbove,
            Operator::Lt => Moving::Below,
            Operator::LtEq => Moving::AtOrBelow,
            _ => return None,
        },
        unit_ns: nanoseconds(*unit),
        offset_ns: offset(moving, schema, true)?,
    })
}

fn nanoseconds(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::Second => 1_000_000_000,
        TimeUnit::Millisecond => 1_000_000,
        TimeUnit::Microsecond => 1_000,
        TimeUnit::Nanosecond => 1,
    }
}

/// What `expr` adds to the present moment. Only the outermost cast may round: the clock has whole microseconds.
fn offset(expr: &Expr, schema: &DFSchema, outermost: bool) -> Option<i64> {
    match expr {
        expr if is_clock(expr) => is_utc(&expr.get_type(schema).ok()?).then_some(0),
        Expr::Alias(alias) => offset(&alias.expr, schema, outermost),
        Expr::Cast(Cast { expr, field }) => {
            let to = field.data_type();
            let fine = matches!(
                to,
                DataType::Timestamp(TimeUnit::Microsecond | TimeUnit::Nanosecond, _)
            );
            if !is_utc(to) || !(fine || outermost) {
                return None;
            }
            offset(expr, schema, false)
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            let (inner, by) = match op {
                Operator::Plus if reads_clock(right) => (right, length(left)?),
                Operator::Plus => (left, length(right)?),
                Operator::Minus => (left, length(right)?.checked_neg()?),
                _ => return None,
            };
            // A result in another unit would have been rounded.
            let unit_is_kept = expr.get_type(schema).ok()? == inner.get_type(schema).ok()?;
            let by = offset(inner, schema, false)?.checked_add(by)?;
            unit_is_kept.then_some(by)
        }
        _ => None,
    }
}

fn is_utc(data_type: &DataType) -> bool {
    match data_type {
        DataType::Timestamp(_, None) => true,
        DataType::Timestamp(_, Some(zone)) => matches!(zone.as_ref(), "UTC" | "+00:00" | "Z"),
        _ => false,
    }
}

/// The nanoseconds of an interval of fixed length, whole microseconds.
fn length(expr: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = expr else {
        return None;
    };
    let ns = match value {
        ScalarValue::IntervalMonthDayNano(Some(value)) if value.months == 0 => {
            i64::from(value.days)
                .checked_mul(DAY_NS)?
                .checked_add(value.nanoseconds)?
        }
        ScalarValue::IntervalDayTime(Some(value)) => i64::from(value.days)
            .checked_mul(DAY_NS)?
            .checked_add(i64::from(value.milliseconds).checked_mul(1_000_000)?)?,
        // what checked arithmetic makes of an interval beside a timestamp
        ScalarValue::DurationSecond(Some(value)) => value.checked_mul(1_000_000_000)?,
        ScalarValue::DurationMillisecond(Some(value)) => value.checked_mul(1_000_000)?,
        ScalarValue::DurationMicrosecond(Some(value)) => value.checked_mul(1_000)?,
        ScalarValue::DurationNanosecond(Some(value)) => *value,
        _ => return None,
    };
    (ns % 1_000 == 0).then_some(ns)
}
