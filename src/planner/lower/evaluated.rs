//! Aggregate calls without an exact state: DataFusion's accumulators run over the rows of a touched group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, new_empty_array};
use arrow::compute::{SortOptions, cast};
use arrow::datatypes::{DataType, FieldRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::{DFSchema, DataFusionError, ScalarValue};
use datafusion::functions_aggregate::first_last::{first_value_udaf, last_value_udaf};
use datafusion::logical_expr::Expr;
use datafusion::logical_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::aggregate::{AggregateFunctionExpr, LoweredAggregateBuilder};
use datafusion::physical_expr::expressions::Literal;

use super::expressions::NoForm;
use super::lowering::Lowering;
use super::tolerant::is_row_error;
use crate::base::{Error, Result};
use crate::engine::accumulate::{Evaluated, GroupFunction, Reads};

type Column = Arc<dyn PhysicalExpr>;
type Partly<T> = std::result::Result<T, NoForm>;

impl Lowering<'_> {
    /// The call `expr` over rows of `input` as a function to be run, and the columns that it is given.
    pub(super) fn evaluated_call(
        &self,
        expr: &Expr,
        field: &FieldRef,
        input: &DFSchema,
    ) -> Result<Partly<(Evaluated, Vec<Column>)>> {
        let physical = input.inner();
        let context = PhysicalPlanningContext::default();
        let builder = LoweredAggregateBuilder::new(expr, input, physical, &self.props, &context);
        let call = builder.build()?.aggregate;
        let (columns, order) = columns_of(&call);
        let types = columns
            .iter()
            .map(|column| Ok(column.data_type(physical)?))
            .collect::<Result<Vec<_>>>()?;
        let keys = types
            .iter()
            .map(|data_type| SortField::new(data_type.clone()));
        if !RowConverter::supports_fields(&keys.collect::<Vec<_>>()) {
            let name = call.fun().name();
            return Ok(Err(NoForm::because(format!(
                "aggregate {name} over values without an order has no incremental form"
            ))));
        }
        // a call that cannot run is refused when the model is made
        call.create_accumulator()?;
        let values = given(&call);
        let sources = values.iter().map(|value| source(value, &columns));
        let function = Accumulated {
            sources: sources.collect::<Result<_>>()?,
            output: field.data_type().clone(),
            types,
            call: Arc::clone(&call),
        };
        let evaluated = Evaluated {
            function: Arc::new(function),
            order,
            reads: reads(&call),
        };
        Ok(Ok((evaluated, columns)))
    }
}

/// What an accumulator is given: the arguments, then the order.
fn given(call: &AggregateFunctionExpr) -> Vec<Column> {
    let mut values = call.expressions();
    values.extend(call.order_bys().iter().map(|key| Arc::clone(&key.expr)));
    values
}

/// The columns that have to be kept, each once, sorted by the call's order first; constants are not kept.
fn columns_of(call: &AggregateFunctionExpr) -> (Vec<Column>, Vec<SortOptions>) {
    let (mut columns, mut order): (Vec<Column>, Vec<SortOptions>) = (Vec::new(), Vec::new());
    let keys = call.order_bys().iter().map(|key| (&key.expr, key.options));
    let args = call.expressions();
    let rest = SortOptions::default().asc().nulls_last();
    for (column, options) in keys.chain(args.iter().map(|arg| (arg, rest))) {
        if constant(column).is_none() && !columns.contains(column) {
            columns.push(Arc::clone(column));
            order.push(options);
        }
    }
    // a row has to be something
    if columns.is_empty() {
        columns.extend(args.into_iter().take(1));
        order.push(rest);
    }
    (columns, order)
}

fn constant(expr: &Column) -> Option<&ScalarValue> {
    expr.downcast_ref::<Literal>().map(Literal::value)
}

/// How many rows decide: what comes before or after them is not even decoded.
fn reads(call: &AggregateFunctionExpr) -> Reads {
    if call.ignore_nulls() || call.is_distinct() {
        return Reads::All;
    }
    let function = call.fun();
    if *function == *first_value_udaf() {
        return Reads::First(1);
    }
    if *function == *last_value_udaf() {
        return Reads::Last;
    }
    if function.name() == "nth_value"
        && let [_, number] = call.expressions().as_slice()
        && let Some(ScalarValue::Int64(Some(number))) = constant(number)
        && let Ok(number) = usize::try_from(*number)
        && number > 0
    {
        return Reads::First(number);
    }
    Reads::All
}

/// Where a value that the accumulator takes comes from.
#[derive(Debug)]
enum Source {
    Column(usize),
    Constant(ScalarValue),
}

fn source(value: &Column, columns: &[Column]) -> Result<Source> {
    if let Some(constant) = constant(value) {
        return Ok(Source::Constant(constant.clone()));
    }
    let place = columns.iter().position(|column| column == value);
    let place = place.ok_or_else(|| Error::internal("an aggregate's value is not kept"))?;
    Ok(Source::Column(place))
}

/// A call whose accumulator is fed a group's rows.
#[derive(Debug)]
struct Accumulated {
    call: Arc<AggregateFunctionExpr>,
    sources: Vec<Source>,
    types: Vec<DataType>,
    output: DataType,
}

impl Accumulated {
    /// The result over `length` rows from `from` on.
    fn run(
        &self,
        columns: &[ArrayRef],
        from: usize,
        length: usize,
    ) -> std::result::Result<ScalarValue, DataFusionError> {
        let mut accumulator = self.call.create_accumulator()?;
        if length > 0 {
            let values = self.sources.iter().map(|source| match source {
                Source::Column(at) => match columns.get(*at) {
                    Some(column) => Ok(column.slice(from, length)),
                    None => Err(Error::internal("an aggregate's column is missing").into()),
                },
                Source::Constant(value) => value.to_array_of_size(length),
            });
            let values = values.collect::<std::result::Result<Vec<_>, DataFusionError>>()?;
            accumulator.update_batch(&values)?;
        }
        let result = accumulator.evaluate()?;
        if result.data_type() == self.output {
            return Ok(result);
        }
        result.cast_to(&self.output)
    }
}

impl GroupFunction for Accumulated {
    fn columns(&self) -> &[DataType] {
        &self.types
    }

    fn evaluate(
        &self,
        columns: &[ArrayRef],
        lengths: &[usize],
        errors: &mut Vec<(usize, Error)>,
    ) -> Result<ArrayRef> {
        if lengths.is_empty() {
            return Ok(new_empty_array(&self.output));
        }
        let mut results = Vec::with_capacity(lengths.len());
        let mut from = 0;
        for (at, length) in lengths.iter().enumerate() {
            match self.run(columns, from, *length) {
                Ok(result) => results.push(result),
                Err(error) if is_row_error(&error) => {
                    errors.push((at, error.into()));
                    results.push(ScalarValue::try_from(&self.output)?);
                }
                Err(error) => return Err(error.into()),
            }
            from += length;
        }
        let results = ScalarValue::iter_to_array(results)?;
        if *results.data_type() == self.output {
            return Ok(results);
        }
        Ok(cast(&results, &self.output)?)
    }
}
