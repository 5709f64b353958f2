//! RANGE frames whose bounds always have a place in the type of their key.
//!
//! Where a row's value and the offset together pass the end of the type, DataFusion lets the frame reach the end of the
//! partition, over the rows without a value that may stand there. In PostgreSQL an offset never reaches those. So whole
//! numbers that may be NULL are ordered by in a wider type, in which every bound is a value like any other. Moments are ordered by as the
//! numbers that they are: the calendar ends long before they do, and a frame whose bound it cannot tell would begin at the frame
//! before.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::logical_expr::expr::WindowFunction;
use datafusion::logical_expr::{
    Expr, ExprSchemable, LogicalPlan, Window, WindowFrame, WindowFrameBound as Bound,
    WindowFrameUnits, cast,
};
use datafusion::optimizer::AnalyzerRule;

use super::total_order::rename_window;

type Outcome<T> = Result<T, DataFusionError>;

/// Holds every sum and difference of two 64-bit numbers.
const WIDEST: DataType = DataType::Decimal128(38, 0);

/// The analyzer rule. It runs on types that are already coerced.
#[derive(Debug, Default)]
pub(super) struct RangeFrames;

impl AnalyzerRule for RangeFrames {
    fn name(&self) -> &str {
        "lotic_range_frames"
    }

    fn analyze(&self, plan: LogicalPlan, _config: &ConfigOptions) -> Outcome<LogicalPlan> {
        plan.transform_up_with_subqueries(|node| match node {
            LogicalPlan::Window(window) => widened_window(window),
            node => Ok(Transformed::no(node)),
        })
        .data()
    }
}

fn widened_window(window: Window) -> Outcome<Transformed<LogicalPlan>> {
    let schema = window.input.schema();
    let mut changed = false;
    let mut calls = Vec::with_capacity(window.window_expr.len());
    for expr in &window.window_expr {
        let name = expr.schema_name().to_string();
        let made = expr.clone().transform_down(|expr| match expr {
            Expr::WindowFunction(call) => widened_call(call, schema),
            expr => Ok(Transformed::no(expr)),
        })?;
        changed |= made.transformed;
        calls.push(match (made.transformed, made.data) {
            (false, call) | (true, call @ Expr::Alias(_)) => call,
            // Parents know the column by its old name.
            (true, call) => call.alias(name),
        });
    }
    if !changed {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    rename_window(&window, &calls).map(Transformed::yes)
}

/// The call over a key whose frames' bounds have a place.
fn widened_call(mut call: Box<WindowFunction>, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let params = &mut call.params;
    if let [key] = params.order_by.as_mut_slice()
        && has_offset(&params.window_frame)
        && let kind = key.expr.get_type(schema)?
        && let Some(wide) = wider(&kind)
        && (is_moment(&kind) || key.expr.nullable(schema)?)
    {
        let frame = &mut params.window_frame;
        let start = widened_bound(&frame.start_bound, &kind, &wide)?;
        let end = widened_bound(&frame.end_bound, &kind, &wide)?;
        if let (Some(start), Some(end)) = (start, end) {
            (frame.start_bound, frame.end_bound) = (start, end);
            let narrow = std::mem::take(&mut key.expr);
            key.expr = match kind {
                DataType::Timestamp(..) => cast(cast(narrow, DataType::Int64), wide),
                DataType::Date32 => cast(cast(narrow, DataType::Int32), wide),
                _ => cast(narrow, wide),
            };
            return Ok(Transformed::yes(Expr::WindowFunction(call)));
        }
    }
    Ok(Transformed::no(Expr::WindowFunction(call)))
}

fn is_moment(kind: &DataType) -> bool {
    matches!(kind, DataType::Timestamp(..) | DataType::Date32)
}

/// Whether a bound of the frame lies at a distance in value.
fn has_offset(frame: &WindowFrame) -> bool {
    frame.units == WindowFrameUnits::Range
        && (is_at_distance(&frame.start_bound) || is_at_distance(&frame.end_bound))
}

/// Whether `bound` is at an offset from the row, neither the row itself nor the end of the partition.
pub(super) fn is_at_distance(bound: &Bound) -> bool {
    match bound {
        Bound::CurrentRow => false,
        Bound::Preceding(offset) | Bound::Following(offset) => !offset.is_null(),
    }
}

/// A type of numbers in which no bound of a frame over `key` overflows.
fn wider(key: &DataType) -> Option<DataType> {
    match key {
        DataType::Int64 | DataType::UInt64 | DataType::Timestamp(..) => Some(WIDEST),
        key if key.is_integer() || *key == DataType::Date32 => Some(DataType::Int64),
        _ => None,
    }
}

/// `bound` over keys of the type `key` as one over `wide`; none where its length depends on the calendar.
fn widened_bound(bound: &Bound, key: &DataType, wide: &DataType) -> Outcome<Option<Bound>> {
    let widened = |offset: &ScalarValue| -> Outcome<Option<ScalarValue>> {
        if offset.is_null() {
            return ScalarValue::try_from(wide).map(Some);
        }
        if !is_moment(key) {
            return offset.cast_to(wide).map(Some);
        }
        let number = distance(offset, key).map(|number| ScalarValue::Int64(Some(number)));
        number.map(|number| number.cast_to(wide)).transpose()
    };
    Ok(match bound {
        Bound::CurrentRow => Some(Bound::CurrentRow),
        Bound::Preceding(offset) => widened(offset)?.map(Bound::Preceding),
        Bound::Following(offset) => widened(offset)?.map(Bound::Following),
    })
}

/// `offset` in units of `key`, where a value less the offset and the offset more is the value again: floats are
/// rounded, months are not all as long, and neither are days where clocks change.
pub(crate) fn distance(offset: &ScalarValue, key: &DataType) -> Option<i64> {
    let distance = match key {
        key if key.is_integer() || matches!(key, DataType::Decimal128(_, 0)) => {
            match offset.cast_to(&DataType::Int64).ok()? {
                ScalarValue::Int64(value) => value?,
                _ => return None,
            }
        }
        DataType::Date32 => match interval(offset)? {
            (days, 0) => days,
            _ => return None,
        },
        DataType::Timestamp(unit, zone) => {
            let (days, nanos) = interval(offset)?;
            if days != 0 && zone.as_deref().is_some_and(changes_clocks) {
                return None;
            }
            let nanos = i128::from(days) * 86_400_000_000_000 + i128::from(nanos);
            let unit = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            if nanos % unit != 0 {
                return None;
            }
            i64::try_from(nanos / unit).ok()?
        }
        _ => return None,
    };
    (distance >= 0).then_some(distance)
}

/// Whether days may differ in length in the time zone; all are 24 hours long in UTC and at a fixed distance from it.
fn changes_clocks(zone: &str) -> bool {
    zone != "UTC" && !zone.starts_with(['+', '-'])
}

/// The days and nanoseconds of an interval without months.
fn interval(value: &ScalarValue) -> Option<(i64, i64)> {
    match value {
        ScalarValue::IntervalMonthDayNano(Some(value)) if value.months == 0 => {
            Some((i64::from(value.days), value.nanoseconds))
        }
        ScalarValue::IntervalDayTime(Some(value)) => {
            let nanos = i64::from(value.milliseconds) * 1_000_000;
            Some((i64::from(value.days), nanos))
        }
        _ => None,
    }
}
