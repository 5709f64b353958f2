//! `nth_value` as an aggregate, which sorts its rows itself where the input does not come in order.
//!
//! DataFusion's requires the order of its input, so two calls in different orders could not stand in one query, and it does not know
//! IGNORE NULLS. This one takes its value out of what `array_agg` collects.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions_aggregate::array_agg::array_agg_udaf;
use datafusion::functions_aggregate::nth_value::nth_value_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::AggregateOrderSensitivity;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature,
};
use datafusion::physical_expr::expressions::Literal;

use crate::base::Error;

/// `nth_value`.
pub(super) fn nth_value() -> Arc<AggregateUDF> {
    Arc::new(AggregateUDF::new_from_impl(NthValue {
        theirs: nth_value_udaf(),
        collected: array_agg_udaf(),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NthValue {
    /// Whose name, types and documentation these are.
    theirs: Arc<AggregateUDF>,
    /// `array_agg`, which may know that its input comes in order.
    collected: Arc<AggregateUDF>,
}

impl AggregateUDFImpl for NthValue {
    fn name(&self) -> &str {
        self.theirs.name()
    }

    fn signature(&self) -> &Signature {
        self.theirs.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.theirs.return_type(arg_types)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        let number = match args.exprs.get(1).and_then(|n| n.downcast_ref::<Literal>()) {
            Some(literal) => literal.value().clone(),
            None => return Err(not_constant().into()),
        };
        let ScalarValue::Int64(Some(number)) = number.cast_to(&DataType::Int64)? else {
            return Err(not_constant().into());
        };
        if number == 0 {
            return Err(Error::bad_value("nth_value counts from 1").into());
        }
        let number = if args.is_reversed { -number } else { number };
        let output = args.return_field.data_type().clone();
        let collected = self.collected.accumulator(AccumulatorArgs {
            exprs: args.exprs.get(..1).unwrap_or_default(),
            expr_fields: args.expr_fields.get(..1).unwrap_or_default(),
            is_reversed: false,
            ..args
        })?;
        Ok(Box::new(Nth {
            collected,
            number,
            output,
        }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        self.collected.state_fields(StateFieldsArgs {
            input_fields: args.input_fields.get(..1).unwrap_or_default(),
            ..args
        })
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::SoftRequirement
    }

    fn with_beneficial_ordering(
        self: Arc<Self>,
        beneficial_ordering: bool,
    ) -> Result<Option<Arc<dyn AggregateUDFImpl>>> {
        let collected = Arc::unwrap_or_clone(Arc::clone(&self.collected))
            .with_beneficial_ordering(beneficial_ordering)?;
        let collected = collected.map_or_else(|| Arc::clone(&self.collected), Arc::new);
        Ok(Some(Arc::new(Self {
            theirs: Arc::clone(&self.theirs),
            collected,
        })))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::NotSupported
    }

    fn supports_null_handling_clause(&self) -> bool {
        true
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.theirs.documentation()
    }
}

fn not_constant() -> Error {
    Error::bad_value("the second argument of nth_value must be a constant number")
}

#[derive(Debug)]
struct Nth {
    collected: Box<dyn Accumulator>,
    /// From 1 on; from the end where it is negative.
    number: i64,
    output: DataType,
}

impl Accumulator for Nth {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let mut kept = values.to_vec();
        // the number, which is the same in every row
        if kept.len() > 1 {
            kept.remove(1);
        }
        self.collected.update_batch(&kept)
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.collected.merge_batch(states)
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let ScalarValue::List(list) = self.collected.evaluate()? else {
            return Err(Error::internal("array_agg made no list").into());
        };
        let nothing = || ScalarValue::try_new_null(&self.output);
        if list.is_empty() || list.is_null(0) {
            return nothing();
        }
        let values = list.value(0);
        let count = i64::try_from(values.len()).unwrap_or(i64::MAX);
        let at = match self.number {
            number if number > 0 => number - 1,
            number => count.saturating_add(number),
        };
        match usize::try_from(at) {
            Ok(at) if at < values.len() => ScalarValue::try_from_array(&values, at),
            _ => nothing(),
        }
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.collected.state()
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.collected.size()
    }
}
