//! DataFusion's window functions, run over some rows of a partition.
//!
//! DataFusion would evaluate every row that it is given, and give up at the first error. Here only the rows that are
//! asked for are evaluated, so the rows around them need no frame of their own, and an error takes its row.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, RecordBatch, UInt64Array, new_empty_array};
use arrow::compute::{SortColumn, filter, lexsort_to_indices, take_record_batch};
use arrow::datatypes::DataType;
use datafusion::common::utils::evaluate_partition_ranges;
use datafusion::common::{DFSchema, DataFusionError, ScalarValue, cast::as_boolean_array};
use datafusion::logical_expr::execution_props::ExecutionProps;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::logical_expr::window_state::WindowFrameContext;
use datafusion::logical_expr::{
    Accumulator, Expr, PartitionEvaluator, WindowFrame, WindowFrameBound, WindowFrameUnits,
};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::window::{
    StandardWindowExpr, StandardWindowFunctionExpr, WindowExpr,
};
use datafusion::physical_expr::{PhysicalExpr, PhysicalSortExpr, create_physical_expr};
use datafusion::physical_planner::create_window_expr;

use super::tolerant::is_row_error;
use super::window::call_of;
use crate::base::{Error, Result};
use crate::engine::operators::WindowFunction;
use crate::planner::context::{aggregate_of, is_open_to_peers, peer_order};

type Outcome<T> = std::result::Result<T, DataFusionError>;

/// The calls `exprs` of one window over rows that begin with the columns of `input`.
pub(super) fn evaluated(
    exprs: &[Expr],
    input: &DFSchema,
    props: &ExecutionProps,
) -> Result<Vec<Arc<dyn WindowFunction>>> {
    let context = PhysicalPlanningContext::default();
    let calls = exprs
        .iter()
        .map(|expr| create_window_expr(expr, input, props, &context))
        .collect::<Outcome<Vec<_>>>()?;
    let order = Arc::new(peer_order(&calls, input.as_arrow())?);
    let mut functions = Vec::with_capacity(calls.len());
    for (expr, call) in exprs.iter().zip(calls) {
        let function = evaluated_call(expr, &call, input, props)?;
        functions.push(if is_open_to_peers(call.as_ref()) {
            Arc::new(Settled {
                function,
                order: Arc::clone(&order),
                call,
            })
        } else {
            function
        });
    }
    Ok(functions)
}

fn evaluated_call(
    expr: &Expr,
    call: &Arc<dyn WindowExpr>,
    input: &DFSchema,
    props: &ExecutionProps,
) -> Result<Arc<dyn WindowFunction>> {
    let context = PhysicalPlanningContext::default();
    let window = Framed {
        output: call.field()?.data_type().clone(),
        frame: Arc::clone(call.get_window_frame()),
        call: Arc::clone(call),
    };
    if let Some(standard) = call.as_any().downcast_ref::<StandardWindowExpr>() {
        let function = Arc::clone(standard.get_standard_func_expr());
        return Ok(Arc::new(Standard { function, window }));
    }
    let Some((aggregate, retracts)) = aggregate_of(call.as_ref()) else {
        let name = call.name();
        return Err(Error::internal(format!("{name} is no window function")));
    };
    let filter = call_of(expr).and_then(|call| call.params.filter.as_deref());
    let filter = filter
        .map(|filter| create_physical_expr(filter, input, props, &context))
        .transpose()?;
    let aggregate = Aggregated {
        aggregate: aggregate.clone(),
        retracts,
        filter,
        window,
    };
    // A call that cannot run is refused when the model is made.
    aggregate.accumulator()?;
    Ok(Arc::new(aggregate))
}

/// A call that the order of peers shows in, over peers in that order. All peers have one frame, so each has the value that
/// stands in its place.
#[derive(Debug)]
struct Settled {
    function: Arc<dyn WindowFunction>,
    order: Arc<Vec<PhysicalSortExpr>>,
    call: Arc<dyn WindowExpr>,
}

impl Settled {
    fn arranged(&self, rows: &RecordBatch) -> Outcome<RecordBatch> {
        let count = rows.num_rows();
        let keys = self.call.order_by_columns(rows)?;
        let peers = evaluate_partition_ranges(count, &keys)?;
        if peers.len() == count {
            return Ok(rows.clone());
        }
        let numbers = peers
            .iter()
            .zip(0_u64..)
            .flat_map(|(peers, number)| std::iter::repeat_n(number, peers.len()));
        let mut columns = vec![SortColumn {
            values: Arc::new(UInt64Array::from_iter_values(numbers)),
            options: None,
        }];
        for key in self.order.iter() {
            columns.push(key.evaluate_to_sort_column(rows)?);
        }
        Ok(take_record_batch(
            rows,
            &lexsort_to_indices(&columns, None)?,
        )?)
    }
}

impl WindowFunction for Settled {
    fn evaluate(
        &self,
        rows: &RecordBatch,
        asked: Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        self.function.evaluate(&self.arranged(rows)?, asked, errors)
    }
}

/// What every call has.
#[derive(Debug)]
struct Framed {
    call: Arc<dyn WindowExpr>,
    frame: Arc<WindowFrame>,
    output: DataType,
}

impl Framed {
    fn keys(&self, rows: &RecordBatch) -> Outcome<Vec<ArrayRef>> {
        let columns = self.call.order_by_columns(rows)?;
        Ok(columns.into_iter().map(|column| column.values).collect())
    }

    /// The frames of the rows `asked`, each with its row.
    fn frames(
        &self,
        keys: &[ArrayRef],
        rows: usize,
        asked: &Range<usize>,
    ) -> impl Iterator<Item = (usize, Outcome<Range<usize>>)> {
        let options = self.call.order_by().iter().map(|key| key.options).collect();
        let mut context = WindowFrameContext::new(Arc::clone(&self.frame), options);
        // A frame is searched from the one before it on, and a frame of groups counts them from the first row.
        let first = asked.start;
        let (from, mut last) = if self.is_found_alone() {
            (first, 0..first)
        } else {
            (0, 0..0)
        };
        let frames = (from..asked.end).map(move |row| {
            let frame = context.calculate_range(keys, &last, rows, row);
            if let Ok(frame) = &frame {
                last = frame.clone();
            }
            (row, frame)
        });
        frames.filter(move |(row, frame)| *row >= first || frame.is_err())
    }

    /// Whether a row's frame is found without those of the rows before.
    fn is_found_alone(&self) -> bool {
        let by_place = |bound: &WindowFrameBound| {
            *bound == WindowFrameBound::CurrentRow || bound.is_unbounded()
        };
        match self.frame.units {
            WindowFrameUnits::Rows => true,
            WindowFrameUnits::Range => {
                by_place(&self.frame.start_bound) && by_place(&self.frame.end_bound)
            }
            WindowFrameUnits::Groups => false,
        }
    }

    fn column(&self, values: &Values) -> Outcome<ArrayRef> {
        match values.runs.as_slice() {
            [] => Ok(new_empty_array(&self.output)),
            [(value, rows)] => value.to_array_of_size(*rows),
            runs => ScalarValue::iter_to_array(
                runs.iter()
                    .flat_map(|(value, rows)| std::iter::repeat_n(value.clone(), *rows)),
            ),
        }
    }

    /// Takes the error for row `row`, if it is that row's.
    fn none(
        &self,
        row: usize,
        error: DataFusionError,
        errors: &mut Vec<(usize, Error)>,
    ) -> Outcome<ScalarValue> {
        if !is_row_error(&error) {
            return Err(error);
        }
        errors.push((row, error.into()));
        ScalarValue::try_from(&self.output)
    }
}

/// Values of rows that follow each other, each with the number of rows that have it.
#[derive(Debug, Default)]
struct Values {
    runs: Vec<(ScalarValue, usize)>,
}

impl Values {
    fn push(&mut self, value: ScalarValue) {
        self.runs.push((value, 1));
    }

    /// The last value once more.
    fn again(&mut self) -> bool {
        let last = self.runs.last_mut();
        last.map(|(_, rows)| *rows += 1).is_some()
    }
}

/// A function that is no aggregate.
#[derive(Debug)]
struct Standard {
    function: Arc<dyn StandardWindowFunctionExpr>,
    window: Framed,
}

impl Standard {
    fn run(
        &self,
        rows: &RecordBatch,
        asked: &Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Outcome<ArrayRef> {
        let mut evaluator: Box<dyn PartitionEvaluator> = self.function.create_evaluator()?;
        let count = rows.num_rows();
        if evaluator.include_rank() && !evaluator.uses_window_frame() {
            let keys = self.window.call.order_by_columns(rows)?;
            let ranks = evaluate_partition_ranges(count, &keys)?;
            let all = evaluator.evaluate_all_with_rank(count, &ranks)?;
            return Ok(all.slice(asked.start, asked.len()));
        }
        let mut columns = self.function.evaluate_args(rows)?;
        if !evaluator.uses_window_frame() {
            let all = evaluator.evaluate_all(&columns, count)?;
            return Ok(all.slice(asked.start, asked.len()));
        }
        let keys = self.window.keys(rows)?;
        columns.extend(keys.iter().map(Arc::clone));
        let mut values = Values::default();
        for (row, frame) in self.window.frames(&keys, count, asked) {
            values.push(match evaluator.evaluate(&columns, &frame?) {
                Ok(value) => value,
                Err(error) => self.window.none(row, error, errors)?,
            });
        }
        self.window.column(&values)
    }
}

impl WindowFunction for Standard {
    fn evaluate(
        &self,
        rows: &RecordBatch,
        asked: Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        Ok(self.run(rows, &asked, errors)?)
    }
}

/// An aggregate over the rows of a frame.
#[derive(Debug)]
struct Aggregated {
    aggregate: AggregateFunctionExpr,
    /// Whether rows also leave the frame.
    retracts: bool,
    filter: Option<Arc<dyn PhysicalExpr>>,
    window: Framed,
}

/// An accumulator, and the rows that it holds.
struct Held {
    accumulator: Box<dyn Accumulator>,
    rows: Range<usize>,
}

impl Aggregated {
    fn accumulator(&self) -> Outcome<Box<dyn Accumulator>> {
        if self.retracts {
            self.aggregate.create_sliding_accumulator()
        } else {
            self.aggregate.create_accumulator()
        }
    }

    fn run(
        &self,
        rows: &RecordBatch,
        asked: &Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Outcome<ArrayRef> {
        let args = Args {
            columns: self.window.call.evaluate_args(rows)?,
            mask: match &self.filter {
                None => None,
                Some(filter) => {
                    let mask = filter.evaluate(rows)?.into_array(rows.num_rows())?;
                    Some(as_boolean_array(&mask)?.clone())
                }
            },
        };
        let keys = self.window.keys(rows)?;
        let mut held: Option<Held> = None;
        let mut last = None;
        let mut values = Values::default();
        for (row, frame) in self.window.frames(&keys, rows.num_rows(), asked) {
            let frame = frame?;
            if last.as_ref() == Some(&frame) && values.again() {
                continue;
            }
            match self.value(&mut held, &frame, &args) {
                Ok(value) => {
                    values.push(value);
                    last = Some(frame);
                }
                Err(error) => {
                    // What the accumulator holds now, nobody knows.
                    (held, last) = (None, None);
                    values.push(self.window.none(row, error, errors)?);
                }
            }
        }
        self.window.column(&values)
    }

    /// The value over the rows of `frame`.
    fn value(
        &self,
        held: &mut Option<Held>,
        frame: &Range<usize>,
        args: &Args,
    ) -> Outcome<ScalarValue> {
        if frame.is_empty() {
            return self.aggregate.default_value(&self.window.output);
        }
        let moves_on = held.as_ref().is_some_and(|held| {
            let same_start = held.rows.start == frame.start;
            let moved = self.retracts && held.rows.contains(&frame.start);
            (same_start || moved) && held.rows.end <= frame.end
        });
        if !moves_on {
            *held = None;
        }
        let held = match held {
            Some(held) => held,
            None => held.insert(Held {
                accumulator: self.accumulator()?,
                rows: frame.start..frame.start,
            }),
        };
        if held.rows.end < frame.end {
            let come = args.slice(held.rows.end..frame.end)?;
            held.accumulator.update_batch(&come)?;
        }
        if held.rows.start < frame.start {
            let gone = args.slice(held.rows.start..frame.start)?;
            held.accumulator.retract_batch(&gone)?;
        }
        held.rows = frame.clone();
        held.accumulator.evaluate()
    }
}

impl WindowFunction for Aggregated {
    fn evaluate(
        &self,
        rows: &RecordBatch,
        asked: Range<usize>,
        errors: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        Ok(self.run(rows, &asked, errors)?)
    }
}

/// An aggregate's arguments, and which rows count.
struct Args {
    columns: Vec<ArrayRef>,
    mask: Option<BooleanArray>,
}

impl Args {
    fn slice(&self, rows: Range<usize>) -> Outcome<Vec<ArrayRef>> {
        let mask = self
            .mask
            .as_ref()
            .map(|mask| mask.slice(rows.start, rows.len()));
        let slice = |column: &ArrayRef| {
            let column = column.slice(rows.start, rows.len());
            match &mask {
                None => Ok(column),
                Some(mask) => Ok(filter(&column, mask)?),
            }
        };
        self.columns.iter().map(slice).collect()
    }
}
