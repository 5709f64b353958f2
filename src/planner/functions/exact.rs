//! Exact aggregate functions under DataFusion's names: the same states in batch as in a model.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::types::{
    NativeType, logical_float64, logical_int8, logical_int16, logical_int32, logical_int64,
    logical_uint8, logical_uint16, logical_uint32, logical_uint64,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::{
    average, bit_and_or_xor, bool_and_or, correlation, count, covariance, min_max, regr, stddev,
    sum, variance,
};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, Documentation, GroupsAccumulator,
    ReversedUDAF, Signature, StatisticsArgs, TypeSignature, TypeSignatureClass, Volatility,
};

use super::adapter::{MakeStates, ManyStates, SingleState};
use crate::base::Error;
use crate::engine::accumulate::{AggregateFunction, BitOperation, PairMeasure, Spread};

/// The engine's function of that name, for lowering a plan; none when it has no incremental form.
///
/// `count(*)` arrives as `count(1)`: the caller says [`AggregateFunction::CountRows`] for an argument that is a literal.
pub fn aggregate_function(name: &str) -> Option<AggregateFunction> {
    let spread = |sample, deviation| AggregateFunction::Variance(Spread { sample, deviation });
    Some(match name {
        "count" => AggregateFunction::Count,
        "sum" => AggregateFunction::Sum,
        "avg" | "mean" => AggregateFunction::Avg,
        "min" => AggregateFunction::Min,
        "max" => AggregateFunction::Max,
        "bool_and" => AggregateFunction::BoolAnd,
        "bool_or" => AggregateFunction::BoolOr,
        "var" | "var_samp" | "var_sample" => spread(true, false),
        "var_pop" | "var_population" => spread(false, false),
        "stddev" | "stddev_samp" => spread(true, true),
        "stddev_pop" => spread(false, true),
        "bit_and" => AggregateFunction::Bits(BitOperation::And),
        "bit_or" => AggregateFunction::Bits(BitOperation::Or),
        "bit_xor" => AggregateFunction::Bits(BitOperation::Xor),
        name => AggregateFunction::Pair(pair_measure(name)?),
    })
}

fn pair_measure(name: &str) -> Option<PairMeasure> {
    Some(match name {
        "covar" | "covar_samp" => PairMeasure::CovarSamp,
        "covar_pop" => PairMeasure::CovarPop,
        "corr" => PairMeasure::Corr,
        "regr_slope" => PairMeasure::Slope,
        "regr_intercept" => PairMeasure::Intercept,
        "regr_count" => PairMeasure::Count,
        "regr_r2" => PairMeasure::R2,
        "regr_avgx" => PairMeasure::AvgX,
        "regr_avgy" => PairMeasure::AvgY,
        "regr_sxx" => PairMeasure::Sxx,
        "regr_syy" => PairMeasure::Syy,
        "regr_sxy" => PairMeasure::Sxy,
        _ => return None,
    })
}

/// The exact functions.
pub(super) fn exact_udafs() -> Vec<Arc<AggregateUDF>> {
    let theirs = [
        sum::sum_udaf(),
        average::avg_udaf(),
        min_max::min_udaf(),
        min_max::max_udaf(),
        count::count_udaf(),
        variance::var_samp_udaf(),
        variance::var_pop_udaf(),
        stddev::stddev_udaf(),
        stddev::stddev_pop_udaf(),
        bit_and_or_xor::bit_and_udaf(),
        bit_and_or_xor::bit_or_udaf(),
        bit_and_or_xor::bit_xor_udaf(),
        bool_and_or::bool_and_udaf(),
        bool_and_or::bool_or_udaf(),
        covariance::covar_samp_udaf(),
        covariance::covar_pop_udaf(),
        correlation::corr_udaf(),
        regr::regr_slope_udaf(),
        regr::regr_intercept_udaf(),
        regr::regr_count_udaf(),
        regr::regr_r2_udaf(),
        regr::regr_avgx_udaf(),
        regr::regr_avgy_udaf(),
        regr::regr_sxx_udaf(),
        regr::regr_syy_udaf(),
        regr::regr_sxy_udaf(),
    ];
    let exact = theirs.into_iter().filter_map(|inner| {
        let function = aggregate_function(inner.name())?;
        let signature = match function {
            AggregateFunction::Avg => average_signature(),
            AggregateFunction::Variance(_) => spread_signature(),
            _ => inner.signature().clone(),
        };
        let mut aliases = inner.aliases().to_vec();
        if inner.name() == "var" {
            aliases.push("variance".to_owned());
        }
        if inner.name() == "bool_and" {
            aliases.push("every".to_owned());
        }
        Some(Arc::new(AggregateUDF::new_from_impl(ExactAggregate {
            inner,
            function,
            aliases,
            signature,
        })))
    });
    exact.collect()
}

/// Integers are averaged as what they are, and not as the floats nearest to them.
fn average_signature() -> Signature {
    let exactly = |class| TypeSignature::Coercible(vec![Coercion::new_exact(class)]);
    let widened = |target, from, native| {
        let coercion = Coercion::new_implicit(TypeSignatureClass::Native(target), from, native);
        TypeSignature::Coercible(vec![coercion])
    };
    let natives = |types: Vec<_>| types.into_iter().map(TypeSignatureClass::Native).collect();
    Signature::one_of(
        vec![
            exactly(TypeSignatureClass::Decimal),
            exactly(TypeSignatureClass::Duration),
            widened(
                logical_uint64(),
                natives(vec![logical_uint8(), logical_uint16(), logical_uint32()]),
                NativeType::UInt64,
            ),
            widened(
                logical_int64(),
                natives(vec![logical_int8(), logical_int16(), logical_int32()]),
                NativeType::Int64,
            ),
            widened(
                logical_float64(),
                vec![TypeSignatureClass::Float],
                NativeType::Float64,
            ),
        ],
        Volatility::Immutable,
    )
}

/// The spread of integers is that of what they are, and not of the floats nearest to them.
fn spread_signature() -> Signature {
    let integers = vec![
        logical_int8(),
        logical_int16(),
        logical_int32(),
        logical_uint8(),
        logical_uint16(),
        logical_uint32(),
    ];
    let integers = integers.into_iter().map(TypeSignatureClass::Native);
    let one = |target, from, native| {
        let target = TypeSignatureClass::Native(target);
        TypeSignature::Coercible(vec![Coercion::new_implicit(target, from, native)])
    };
    Signature::one_of(
        vec![
            one(logical_int64(), integers.collect(), NativeType::Int64),
            one(
                logical_float64(),
                vec![TypeSignatureClass::Numeric],
                NativeType::Float64,
            ),
        ],
        Volatility::Immutable,
    )
}

/// An aggregate of DataFusion's whose accumulators are ours where ours give another answer.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ExactAggregate {
    inner: Arc<AggregateUDF>,
    function: AggregateFunction,
    aliases: Vec<String>,
    signature: Signature,
}

impl ExactAggregate {
    /// Ours for these types; `None` where DataFusion's are exact as they are, or there are none of ours.
    fn make(
        &self,
        inputs: &[FieldRef],
        output: &DataType,
        distinct: bool,
        retract: bool,
    ) -> Option<MakeStates> {
        let inputs: Vec<DataType> = inputs
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let output = output.clone();
        let floats = inputs.iter().any(DataType::is_floating);
        let nested = inputs.iter().any(DataType::is_nested);
        let function = self.function;
        match function {
            // those of other types do not depend on order: rows and lists with NULL in them do
            AggregateFunction::Min | AggregateFunction::Max if !(floats || nested) => return None,
            // DataFusion declares another state for the distinct one than it gives, and its other one answers 0 and not
            // NULL once all values have left a frame
            AggregateFunction::Bits(operation)
                if !(retract || distinct && operation == BitOperation::Xor) =>
            {
                return None;
            }
            // they cannot take a value back
            AggregateFunction::BoolAnd | AggregateFunction::BoolOr if !retract => return None,
            // -0.0 and 0.0 are one value
            AggregateFunction::Count if !(distinct && floats && inputs.len() == 1) => return None,
            AggregateFunction::Min | AggregateFunction::Max if !retract => {
                function.append_only_states(&inputs, &output).ok()??;
                return Some(Arc::new(move || {
                    let states = function.append_only_states(&inputs, &output)?;
                    states.ok_or_else(|| Error::internal("min and max have append-only states"))
                }));
            }
            _ => {}
        }
        function.states(&inputs, &output, distinct).ok()?;
        Some(Arc::new(move || {
            function.states(&inputs, &output, distinct)
        }))
    }

    fn make_for(&self, args: &AccumulatorArgs<'_>, retract: bool) -> Option<MakeStates> {
        self.make(
            args.expr_fields,
            args.return_field.data_type(),
            args.is_distinct,
            retract,
        )
    }
}

impl AggregateUDFImpl for ExactAggregate {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        if self.function == AggregateFunction::Pair(PairMeasure::Count) {
            // a count is a bigint
            return Ok(DataType::Int64);
        }
        self.inner.return_type(arg_types)
    }

    fn is_nullable(&self) -> bool {
        self.inner.is_nullable()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        if self.function.counts() {
            return Ok(ScalarValue::Int64(Some(0)));
        }
        self.inner.default_value(data_type)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.make_for(&args, false) {
            Some(make) => Ok(Box::new(SingleState::new(&make)?)),
            None => self.inner.accumulator(args),
        }
    }

    fn create_sliding_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn Accumulator>> {
        match self.make_for(&args, true) {
            Some(make) => Ok(Box::new(SingleState::new(&make)?)),
            None => self.inner.create_sliding_accumulator(args),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let make = self.make(
            args.input_fields,
            args.return_field.data_type(),
            args.is_distinct,
            false,
        );
        let Some(make) = make else {
            return self.inner.state_fields(args);
        };
        let types = make()?.partial_types();
        let fields = types.into_iter().enumerate().map(|(at, data_type)| {
            let name = format_state_name(args.name, &format!("state {at}"));
            Arc::new(Field::new(name, data_type, true))
        });
        Ok(fields.collect())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.make_for(&args, false) {
            Some(_) => true,
            None => self.inner.groups_accumulator_supported(args),
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match self.make_for(&args, false) {
            Some(make) => Ok(Box::new(ManyStates::new(make)?)),
            None => self.inner.create_groups_accumulator(args),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    // `is_descending` stays unsaid: it lets a heap of DataFusion's take the place of min and max, and that heap
    // orders NaN otherwise. `simplify_expr_op_literal` as well: sum(x + 0.1) is not sum(x) + 0.1 * count(x).

    fn value_from_stats(&self, args: &StatisticsArgs<'_>) -> Option<ScalarValue> {
        // statistics of files leave NaN out, and sums in them wrap or are rounded
        let exact = match self.function {
            AggregateFunction::Count => !args.is_distinct,
            AggregateFunction::Min | AggregateFunction::Max => !args.return_type.is_floating(),
            _ => false,
        };
        if exact {
            self.inner.value_from_stats(args)
        } else {
            None
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
