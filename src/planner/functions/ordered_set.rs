//! Percentiles, mode, median, any_value, and the approximate functions, which here answer exactly.
//!
//! All but the last keep the values of a group in order. `any_value` gives the least one, because a model has to give
//! the same whatever came first; `approx_distinct`, `approx_median` and `approx_percentile_cont` are `count(DISTINCT)`,
//! `median` and `percentile_cont`: a sketch cannot take a row back.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::types::{NativeType, logical_float64, logical_int64};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::median::median_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Coercion, ColumnarValue, GroupsAccumulator,
    Signature, TypeSignature, TypeSignatureClass, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;

use super::adapter::{MakeStates, ManyStates, SingleState};
use crate::base::{Error, Kind};
use crate::engine::accumulate::{AggregateFunction, Pick, Place};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    PercentileCont,
    PercentileDisc,
    Mode,
    Median,
    AnyValue,
    ApproxDistinct,
    ApproxMedian,
    ApproxPercentileCont,
}

/// The functions of this file.
pub(super) fn ordered_set_udafs() -> Vec<Arc<AggregateUDF>> {
    let all = [
        Which::PercentileCont,
        Which::PercentileDisc,
        Which::Mode,
        Which::Median,
        Which::AnyValue,
        Which::ApproxDistinct,
        Which::ApproxMedian,
        Which::ApproxPercentileCont,
    ];
    let made = all.into_iter().map(|which| {
        let aliases: &[&str] = match which {
            Which::PercentileCont => &["quantile_cont"],
            _ => &[],
        };
        Arc::new(AggregateUDF::new_from_impl(OrderedSet {
            which,
            aliases: aliases.iter().map(ToString::to_string).collect(),
            signature: signature(which),
        }))
    });
    made.collect()
}

/// The engine's function behind a call of one of these, and whether it counts each value once; `None` for other
/// functions. `descending` is the order within the group.
///
/// # Errors
/// When the percentile is no constant between 0 and 1.
pub fn ordered_set_function(
    function: &AggregateUDF,
    args: &[Arc<dyn PhysicalExpr>],
    descending: bool,
    distinct: bool,
) -> Result<Option<(AggregateFunction, bool)>> {
    let Some(own) = function.inner().downcast_ref::<OrderedSet>() else {
        return Ok(None);
    };
    let function = own.function(args, descending)?;
    Ok(Some((function, distinct || own.is_distinct())))
}

fn signature(which: Which) -> Signature {
    let float = || {
        Coercion::new_implicit(
            TypeSignatureClass::Native(logical_float64()),
            vec![TypeSignatureClass::Numeric],
            NativeType::Float64,
        )
    };
    let integer = || {
        Coercion::new_implicit(
            TypeSignatureClass::Native(logical_int64()),
            vec![TypeSignatureClass::Integer],
            NativeType::Int64,
        )
    };
    let one_of = |all| Signature::one_of(all, Volatility::Immutable);
    match which {
        Which::PercentileCont => {
            Signature::coercible(vec![float(), float()], Volatility::Immutable)
        }
        Which::PercentileDisc => Signature::user_defined(Volatility::Immutable),
        Which::Mode | Which::AnyValue | Which::ApproxDistinct => {
            Signature::any(1, Volatility::Immutable)
        }
        Which::Median => one_of(vec![
            TypeSignature::Coercible(vec![Coercion::new_exact(TypeSignatureClass::Decimal)]),
            TypeSignature::Coercible(vec![float()]),
        ]),
        Which::ApproxMedian => Signature::coercible(vec![float()], Volatility::Immutable),
        Which::ApproxPercentileCont => one_of(vec![
            TypeSignature::Coercible(vec![float(), float()]),
            TypeSignature::Coercible(vec![float(), float(), integer()]),
        ]),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OrderedSet {
    which: Which,
    aliases: Vec<String>,
    signature: Signature,
}

impl OrderedSet {
    fn is_distinct(&self) -> bool {
        self.which == Which::ApproxDistinct
    }

    fn function(
        &self,
        args: &[Arc<dyn PhysicalExpr>],
        descending: bool,
    ) -> Result<AggregateFunction> {
        let percentile = || Ok::<_, Error>(Place::new(percentile(args)?, descending));
        let place = match self.which {
            Which::PercentileCont | Which::ApproxPercentileCont | Which::PercentileDisc => {
                percentile()?
            }
            _ => Place::new(0.5, false),
        };
        let place = place.ok_or_else(|| Error::internal("a percentile was not checked"))?;
        Ok(match self.which {
            Which::PercentileDisc => AggregateFunction::Pick(Pick::Discrete(place)),
            Which::Mode => AggregateFunction::Pick(Pick::Mode { descending }),
            Which::AnyValue => AggregateFunction::Min,
            Which::ApproxDistinct => AggregateFunction::Count,
            _ => AggregateFunction::Pick(Pick::Continuous(place)),
        })
    }

    /// DataFusion's function, where it is exact and there is none of ours: decimals have their own median.
    fn theirs(&self, input: &[FieldRef]) -> Option<Arc<AggregateUDF>> {
        let decimal = input
            .first()
            .is_some_and(|field| field.data_type().is_decimal());
        (self.which == Which::Median && decimal).then(median_udaf)
    }

    fn make(&self, args: &AccumulatorArgs<'_>) -> Result<MakeStates> {
        let descending = args
            .order_bys
            .first()
            .is_some_and(|key| key.options.descending);
        let function = self.function(args.exprs, descending)?;
        let inputs = input_types(args.expr_fields);
        let output = args.return_field.data_type().clone();
        let distinct = args.is_distinct || self.is_distinct();
        Ok(Arc::new(move || {
            function.states(&inputs, &output, distinct)
        }))
    }
}

fn input_types(fields: &[FieldRef]) -> Vec<DataType> {
    fields
        .iter()
        .take(1)
        .map(|field| field.data_type().clone())
        .collect()
}

/// The second argument: a constant from 0 to 1.
fn percentile(args: &[Arc<dyn PhysicalExpr>]) -> std::result::Result<f64, Error> {
    let not_constant = || {
        Error::new(
            Kind::Invalid,
            "22023",
            "a percentile has to be a constant between 0 and 1",
        )
    };
    let nothing = RecordBatch::new_empty(Arc::new(Schema::empty()));
    let value = args.get(1).ok_or_else(not_constant)?;
    let Ok(ColumnarValue::Scalar(value)) = value.evaluate(&nothing) else {
        return Err(not_constant());
    };
    let ScalarValue::Float64(Some(value)) = value.cast_to(&DataType::Float64)? else {
        return Err(not_constant());
    };
    if (0.0..=1.0).contains(&value) {
        return Ok(value);
    }
    let message = format!("percentile value {value} is not between 0 and 1");
    Err(Error::new(Kind::Invalid, "22003", message))
}

impl AggregateUDFImpl for OrderedSet {
    fn name(&self) -> &str {
        match self.which {
            Which::PercentileCont => "percentile_cont",
            Which::PercentileDisc => "percentile_disc",
            Which::Mode => "mode",
            Which::Median => "median",
            Which::AnyValue => "any_value",
            Which::ApproxDistinct => "approx_distinct",
            Which::ApproxMedian => "approx_median",
            Which::ApproxPercentileCont => "approx_percentile_cont",
        }
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        match arg_types {
            [value, fraction] if fraction.is_numeric() || fraction.is_null() => {
                Ok(vec![value.clone(), DataType::Float64])
            }
            _ => {
                let name = self.name();
                let message =
                    format!("{name} takes a number from 0 to 1, and WITHIN GROUP (ORDER BY value)");
                Err(Error::new(Kind::Invalid, "42883", message).into())
            }
        }
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(match (self.which, arg_types) {
            (Which::ApproxDistinct, _) => DataType::Int64,
            (
                Which::PercentileDisc | Which::Mode | Which::Median | Which::AnyValue,
                [value, ..],
            ) => value.clone(),
            _ => DataType::Float64,
        })
    }

    fn is_nullable(&self) -> bool {
        self.which != Which::ApproxDistinct
    }

    fn default_value(&self, data_type: &DataType) -> Result<ScalarValue> {
        if self.which == Which::ApproxDistinct {
            return Ok(ScalarValue::Int64(Some(0)));
        }
        ScalarValue::try_from(data_type)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        match self.theirs(args.expr_fields) {
            Some(theirs) => theirs.accumulator(args),
            None => Ok(Box::new(SingleState::new(&self.make(&args)?)?)),
        }
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        if let Some(theirs) = self.theirs(args.input_fields) {
            return theirs.state_fields(args);
        }
        // the columns are the same for every percentile
        let half = Place::new(0.5, false)
            .ok_or_else(|| Error::internal("a half is a part of the whole"))?;
        let function = match self.which {
            Which::ApproxDistinct => AggregateFunction::Count,
            Which::AnyValue => AggregateFunction::Min,
            _ => AggregateFunction::Pick(Pick::Discrete(half)),
        };
        let inputs = input_types(args.input_fields);
        let output = args.return_field.data_type();
        let states = function.states(&inputs, output, args.is_distinct || self.is_distinct())?;
        let fields = states.partial_types().into_iter().enumerate();
        let fields = fields.map(|(at, data_type)| {
            let name = format_state_name(args.name, &format!("state {at}"));
            Arc::new(Field::new(name, data_type, true))
        });
        Ok(fields.collect())
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        match self.theirs(args.expr_fields) {
            Some(theirs) => theirs.groups_accumulator_supported(args),
            None => true,
        }
    }

    fn create_groups_accumulator(
        &self,
        args: AccumulatorArgs<'_>,
    ) -> Result<Box<dyn GroupsAccumulator>> {
        match self.theirs(args.expr_fields) {
            Some(theirs) => theirs.create_groups_accumulator(args),
            None => Ok(Box::new(ManyStates::new(self.make(&args)?)?)),
        }
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }

    fn supports_within_group_clause(&self) -> bool {
        matches!(
            self.which,
            Which::PercentileCont
                | Which::PercentileDisc
                | Which::Mode
                | Which::ApproxPercentileCont
        )
    }
}
