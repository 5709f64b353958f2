//! What a value becomes before Arrow casts it, where Arrow's cast is not PostgreSQL's.
//!
//! A decimal is rounded to the places of its new type, half away from zero, and a float that becomes an integer half to
//! even; Arrow cuts both. A moment and a float become the texts that PostgreSQL writes, and `\x6162` two bytes, where Arrow takes the six of the text. Arrow rounds from decimal to decimal as it should, but
//! a comparison with such a cast is turned by DataFusion into one with the value itself, as if the cast kept it; with a function it isn't.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BinaryArray, IntervalMonthDayNanoArray,
    ListArray, PrimitiveArray, StringViewArray,
};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, DurationMicrosecondType, Field, FieldRef, Float16Type, Float32Type, Float64Type,
    IntervalMonthDayNano, IntervalUnit, TimeUnit,
};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use super::value_text::{has_text, text_of};
use crate::base::moments::{clock_in_words, days_and_micros, lacks_seconds, with_seconds};
use crate::base::{Error, bytea};

/// What is done before a cast.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::planner) enum Step {
    /// Rounds to so many places behind the point.
    Round(i8),
    /// Writes a moment, a length of time or a float.
    Write,
    /// Makes a text ready to be read as a length of time.
    Read,
    /// Tells whole days of a length of time between two moments from the rest.
    Days,
    /// Gives a text that is to be read as a moment the seconds that it may leave out.
    Seconds,
    /// Reads a text as bytes.
    Bytes,
}

/// What is to be done to a value of `from` before it is cast to `to`.
pub(in crate::planner) fn step(from: &DataType, to: &DataType) -> Option<Step> {
    match (from, to) {
        (DataType::List(from), DataType::List(to)) => step(from.data_type(), to.data_type()),
        (from, DataType::Utf8 | DataType::Utf8View) if has_text(from) => Some(Step::Write),
        (from, DataType::Interval(_)) if from.is_string() => Some(Step::Read),
        (DataType::Duration(_), DataType::Interval(_)) => Some(Step::Days),
        (from, DataType::Timestamp(..)) if from.is_string() => Some(Step::Seconds),
        (from, DataType::Binary | DataType::LargeBinary | DataType::BinaryView)
            if from.is_string() =>
        {
            Some(Step::Bytes)
        }
        (from, to) if from.is_floating() && to.is_integer() => Some(Step::Round(0)),
        (from, to) => {
            let places = if to.is_integer() { 0 } else { scale(to)? };
            (places < scale(from)?).then_some(Step::Round(places))
        }
    }
}

fn scale(data_type: &DataType) -> Option<i8> {
    match data_type {
        DataType::Decimal32(_, scale)
        | DataType::Decimal64(_, scale)
        | DataType::Decimal128(_, scale)
        | DataType::Decimal256(_, scale) => Some(*scale),
        _ => None,
    }
}

/// `array`, ready to be cast to `to`.
///
/// # Errors
/// 22008 when a moment is beyond what has a text.
pub(crate) fn before_cast(array: &ArrayRef, to: &DataType) -> Result<ArrayRef> {
    match step(array.data_type(), to) {
        Some(step) => step.done(array),
        None => Ok(Arc::clone(array)),
    }
}

impl Step {
    /// A call that does it to `expr`. It never appears in SQL text.
    pub(in crate::planner) fn call(self, expr: Expr) -> Expr {
        if is_done(&expr) {
            return expr;
        }
        ScalarUDF::new_from_impl(Prepared {
            step: self,
            signature: Signature::any(1, Volatility::Immutable),
        })
        .call(vec![expr])
    }

    fn done(self, array: &ArrayRef) -> Result<ArrayRef> {
        if let Some(list) = array.as_list_opt::<i32>() {
            let items = self.done(list.values())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            let DataType::List(item) = self.result(array.data_type()) else {
                return Err(Error::internal("a list became something else").into());
            };
            return Ok(Arc::new(ListArray::try_new(item, offsets, items, nulls)?));
        }
        match (self, array.data_type()) {
            (Self::Write, _) => Ok(text_of(array)?),
            (Self::Read, _) => {
                let texts = cast(array, &DataType::Utf8View)?;
                let texts = texts.as_string_view().iter();
                let read: StringViewArray = texts.map(|text| text.map(clock_in_words)).collect();
                Ok(Arc::new(read))
            }
            (Self::Days, _) => Ok(Arc::new(in_days(array)?)),
            (Self::Seconds, _) => {
                let texts = cast(array, &DataType::Utf8View)?;
                let all = texts.as_string_view();
                if !all.iter().flatten().any(lacks_seconds) {
                    return Ok(texts);
                }
                let read: StringViewArray = all.iter().map(|text| text.map(with_seconds)).collect();
                Ok(Arc::new(read))
            }
            (Self::Bytes, _) => {
                let texts = cast(array, &DataType::Utf8View)?;
                let texts = texts.as_string_view().iter();
                let bytes = texts.map(|text| text.map(bytea).transpose());
                let bytes = bytes.collect::<crate::base::Result<BinaryArray>>()?;
                Ok(Arc::new(bytes))
            }
            (Self::Round(_), DataType::Float64) => {
                Ok(whole::<Float64Type>(array, f64::round_ties_even))
            }
            (Self::Round(_), DataType::Float32) => {
                Ok(whole::<Float32Type>(array, f32::round_ties_even))
            }
            (Self::Round(_), DataType::Float16) => Ok(whole::<Float16Type>(array, |value| {
                <Float16Type as ArrowPrimitiveType>::Native::from_f32(
                    value.to_f32().round_ties_even(),
                )
            })),
            (Self::Round(_), data_type) => Ok(cast(array, &self.result(data_type))?),
        }
    }

    /// The type of what it makes of a value of `from`.
    fn result(self, from: &DataType) -> DataType {
        match (self, from) {
            (_, DataType::List(item)) => {
                let result = self.result(item.data_type());
                DataType::List(Arc::new(item.as_ref().clone().with_data_type(result)))
            }
            (Self::Write | Self::Read | Self::Seconds, _) => DataType::Utf8View,
            (Self::Days, _) => DataType::Interval(IntervalUnit::MonthDayNano),
            (Self::Bytes, _) => DataType::Binary,
            // One digit more may be before the point.
            (Self::Round(places), DataType::Decimal32(..)) => DataType::Decimal32(9, places),
            (Self::Round(places), DataType::Decimal64(..)) => DataType::Decimal64(18, places),
            (Self::Round(places), DataType::Decimal128(..)) => DataType::Decimal128(38, places),
            (Self::Round(places), DataType::Decimal256(..)) => DataType::Decimal256(76, places),
            (Self::Round(_), other) => other.clone(),
        }
    }
}

fn whole<T: ArrowPrimitiveType>(
    array: &ArrayRef,
    round: impl Fn(T::Native) -> T::Native,
) -> ArrayRef {
    let rounded: PrimitiveArray<T> = array.as_primitive::<T>().unary(round);
    Arc::new(rounded)
}

/// Lengths of time as intervals of days and the rest of one.
fn in_days(lengths: &ArrayRef) -> Result<IntervalMonthDayNanoArray> {
    let micros = cast(lengths, &DataType::Duration(TimeUnit::Microsecond))?;
    let micros = micros.as_primitive::<DurationMicrosecondType>();
    Ok(micros.unary(|micros| {
        let (days, micros) = days_and_micros(micros);
        IntervalMonthDayNano::new(0, days, micros * 1_000)
    }))
}

/// Whether `expr` is what a step gives.
fn is_done(expr: &Expr) -> bool {
    matches!(expr, Expr::ScalarFunction(call) if call.func.inner().is::<Prepared>())
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Prepared {
    step: Step,
    signature: Signature,
}

impl ScalarUDFImpl for Prepared {
    fn name(&self) -> &str {
        match self.step {
            Step::Round(_) => "rounded",
            Step::Write => "written",
            Step::Read => "spelled_out",
            Step::Days => "in_days",
            Step::Seconds => "with_seconds",
            Step::Bytes => "bytes_of",
        }
    }

    /// The name that the cast has, so that columns keep theirs.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        Ok(match args {
            [arg] => arg.schema_name().to_string(),
            _ => self.name().to_owned(),
        })
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [from] => Ok(self.step.result(from)),
            _ => Err(Error::internal("a cast is of one value").into()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let [from] = args.arg_fields else {
            return Err(Error::internal("a cast is of one value").into());
        };
        let result = self.step.result(from.data_type());
        Ok(Arc::new(Field::new(
            self.name(),
            result,
            from.is_nullable(),
        )))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        Ok(match (self.step, inputs) {
            (Step::Round(_), [value]) => value.sort_properties,
            (Step::Write | Step::Read | Step::Days | Step::Seconds | Step::Bytes, [value])
                if value.sort_properties == SortProperties::Singleton =>
            {
                SortProperties::Singleton
            }
            _ => SortProperties::Unordered,
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(self.step.done(array)?)),
            [ColumnarValue::Scalar(value)] => {
                let one = self.step.done(&value.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            _ => Err(Error::internal("a cast is of one value").into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray};

    use super::*;

    fn cast_as_written(array: impl Array + 'static, to: &DataType) -> ArrayRef {
        let array: ArrayRef = Arc::new(array);
        cast(&before_cast(&array, to).unwrap(), to).unwrap()
    }

    #[test]
    fn decimals_are_rounded_half_away_from_zero() {
        let decimals = Decimal128Array::from(vec![Some(15), Some(-15), Some(25), Some(14), None])
            .with_precision_and_scale(2, 1)
            .unwrap();
        let whole = cast_as_written(decimals, &DataType::Int64);
        let expected = Int64Array::from(vec![Some(2), Some(-2), Some(3), Some(1), None]);
        assert_eq!(whole.as_ref(), &expected);
        let nines = Decimal128Array::from(vec![99])
            .with_precision_and_scale(2, 1)
            .unwrap();
        let ten = cast_as_written(nines, &DataType::Int16);
        assert_eq!(
            ten.as_primitive::<arrow::datatypes::Int16Type>().value(0),
            10
        );
    }

    #[test]
    fn floats_are_rounded_half_to_even() {
        let floats = Float64Array::from(vec![2.5, 3.5, -2.5, -0.4, 1e15 + 0.5]);
        let whole = cast_as_written(floats, &DataType::Int64);
        let expected = Int64Array::from(vec![2, 4, -2, 0, 1_000_000_000_000_000]);
        assert_eq!(whole.as_ref(), &expected);
    }

    #[test]
    fn items_of_lists_are_cast_as_values_are() {
        let item = |data_type| Arc::new(Field::new("item", data_type, true));
        let offsets = arrow::buffer::OffsetBuffer::from_lengths([2, 0]);
        let moments: ArrayRef =
            Arc::new(TimestampMicrosecondArray::from(vec![Some(1_500_000), None]));
        let of = item(moments.data_type().clone());
        let list = ListArray::try_new(of, offsets, moments, None).unwrap();
        let texts = cast_as_written(list, &DataType::List(item(DataType::Utf8View)));
        let items = texts.as_list::<i32>().values();
        assert_eq!(items.as_string_view().value(0), "1970-01-01 00:00:01.5");
        assert!(items.is_null(1));
    }

    #[test]
    fn other_casts_are_left_alone() {
        use DataType::{Decimal128, Float64, Int32, Int64, LargeUtf8, Utf8View};
        for (from, to) in [
            (Int32, Int64),
            (Decimal128(10, 2), Decimal128(12, 3)),
            (Decimal128(10, 2), Float64),
            (Decimal128(10, 0), Int64),
            (DataType::Timestamp(TimeUnit::Second, None), LargeUtf8),
            (Utf8View, Int32),
        ] {
            assert_eq!(step(&from, &to), None, "{from} to {to}");
        }
    }
}
