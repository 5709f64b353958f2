//! `date_bin` of timestamps in microseconds and UTC over their whole range.
//!
//! DataFusion's goes by way of nanoseconds and answers NULL where those end, in 1677 and 2262. Strides of months and other
//! times are left to it.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};

use super::date_trunc::{DAY_US, coerced, is_plain, of_each, out_of_range};
use crate::base::Error;

/// The function, to be registered over DataFusion's.
pub(super) fn date_bin() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(DateBin {
        inner: functions::datetime::date_bin(),
        signature: Signature::user_defined(Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DateBin {
    inner: Arc<ScalarUDF>,
    signature: Signature,
}

/// Bins of one length, in microseconds.
#[derive(Clone, Copy, Debug)]
struct Bins {
    stride: i64,
    /// Where one of them begins.
    origin: i64,
}

impl Bins {
    /// The bins of a call; `None` where DataFusion's function answers.
    fn of(args: &ScalarFunctionArgs) -> Option<Self> {
        let (stride, value, origin) = match &args.args[..] {
            [ColumnarValue::Scalar(stride), value] => (stride, value, None),
            [
                ColumnarValue::Scalar(stride),
                value,
                ColumnarValue::Scalar(origin),
            ] => (stride, value, Some(origin)),
            _ => return None,
        };
        if !is_plain(&value.data_type()) {
            return None;
        }
        let origin = match origin {
            None => 0,
            Some(ScalarValue::TimestampMicrosecond(Some(origin), _)) => *origin,
            Some(_) => return None,
        };
        let ScalarValue::IntervalMonthDayNano(Some(length)) = stride else {
            return None;
        };
        if length.months != 0 || length.nanoseconds % 1_000 != 0 {
            return None;
        }
        let days = i64::from(length.days).checked_mul(DAY_US)?;
        let stride = days.checked_add(length.nanoseconds / 1_000)?;
        (stride > 0).then_some(Self { stride, origin })
    }

    /// The start of the bin that `us` lies in.
    fn start(self, us: i64) -> Result<i64, Error> {
        let (stride, origin) = (i128::from(self.stride), i128::from(self.origin));
        let bin = (i128::from(us) - origin).div_euclid(stride);
        i64::try_from(origin + bin * stride).map_err(|_| out_of_range())
    }
}

impl ScalarUDFImpl for DateBin {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        coerced(&self.inner, arg_types)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let Some(bins) = Bins::of(&args) else {
            return self.inner.inner().invoke_with_args(args);
        };
        of_each(args, |us| bins.start(us))
    }
}

#[cfg(test)]
mod tests {
    use super::Bins;

    #[test]
    fn a_time_lies_in_the_bin_that_begins_at_or_before_it() {
        let bins = Bins {
            stride: 10,
            origin: 3,
        };
        let starts = [-8, -7, 2, 3, 12, 13].map(|us| bins.start(us).unwrap());
        assert_eq!(starts, [-17, -7, -7, 3, 3, 13]);
        assert!(bins.start(i64::MIN).is_err());
        assert!(bins.start(i64::MAX).is_ok());
    }
}
