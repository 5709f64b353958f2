//! RANGE frames whose bounds always have a place in the type of their key.
//!
//! Where a row's value and the offset together pass the end of the type, DataFusion lets the frame reach the end of the
//! partition, over the rows without a value that may stand there. In PostgreSQL an offset never reaches those. So whole
//! numbers that may be NULL are ordered by in a wider type, in which every bound is a value like any other.

use arrow::datatypes::DataType;
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

fn widened_call(mut call: Box<WindowFunction>, schema: &DFSchema) -> Outcome<Transformed<Expr>> {
    let params = &mut call.params;
    if let [key] = params.order_by.as_mut_slice()
        && has_offset(&params.window_frame)
        && key.expr.nullable(schema)?
        && let Some(wide) = wider(&key.expr.get_type(schema)?)
    {
        key.expr = cast(std::mem::take(&mut key.expr), wide.clone());
        let frame = &mut params.window_frame;
        frame.start_bound = widened_bound(&frame.start_bound, &wide)?;
        frame.end_bound = widened_bound(&frame.end_bound, &wide)?;
        return Ok(Transformed::yes(Expr::WindowFunction(call)));
    }
    Ok(Transformed::no(Expr::WindowFunction(call)))
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

/// A type in which no bound of a frame over `key` overflows.
fn wider(key: &DataType) -> Option<DataType> {
    match key {
        DataType::Int64 | DataType::UInt64 => Some(WIDEST),
        key if key.is_integer() => Some(DataType::Int64),
        _ => None,
    }
}

fn widened_bound(bound: &Bound, wide: &DataType) -> Outcome<Bound> {
    let widened = |offset: &ScalarValue| offset.cast_to(wide);
    Ok(match bound {
        Bound::CurrentRow => Bound::CurrentRow,
        Bound::Preceding(offset) => Bound::Preceding(widened(offset)?),
        Bound::Following(offset) => Bound::Following(widened(offset)?),
    })
}
