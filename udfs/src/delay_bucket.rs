//! `delay_bucket(minutes)`: a delay as one of five words.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{DataType, Int64Type};
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::kernel::over_arrays;

/// `delay_bucket(minutes bigint) -> text`: `on time` (not late), `up to 15 minutes`, `up to an hour`, `up
/// to three hours`, `over three hours`. Bounds belong to the smaller bucket.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct DelayBucket {
    signature: Signature,
}

impl Default for DelayBucket {
    fn default() -> Self {
        Self {
            signature: Signature::exact(vec![DataType::Int64], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for DelayBucket {
    fn name(&self) -> &str {
        "delay_bucket"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| Ok(buckets(&arrays[0])))
    }
}

fn buckets(minutes: &ArrayRef) -> ArrayRef {
    let minutes = minutes.as_primitive::<Int64Type>();
    Arc::new(
        minutes
            .iter()
            .map(|value| value.map(bucket))
            .collect::<StringViewArray>(),
    )
}

fn bucket(minutes: i64) -> &'static str {
    match minutes {
        ..=0 => "on time",
        1..=15 => "up to 15 minutes",
        16..=60 => "up to an hour",
        61..=180 => "up to three hours",
        _ => "over three hours",
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use datafusion_expr::ScalarUDF;

    use super::*;
    use crate::kernel::call;

    #[test]
    fn bounds_belong_to_the_smaller_bucket() {
        let minutes = [i64::MIN, 0, 1, 15, 16, 60, 61, 180, 181, i64::MAX];
        let words: Vec<&str> = minutes.into_iter().map(bucket).collect();
        assert_eq!(
            words,
            [
                "on time",
                "on time",
                "up to 15 minutes",
                "up to 15 minutes",
                "up to an hour",
                "up to an hour",
                "up to three hours",
                "up to three hours",
                "over three hours",
                "over three hours"
            ]
        );
    }

    #[test]
    fn null_stays_null() {
        let function = ScalarUDF::new_from_impl(DelayBucket::default());
        let answer = call(
            &function,
            &[Arc::new(Int64Array::from(vec![Some(3), None]))],
        );
        let words: Vec<_> = answer.as_string_view().iter().collect();
        assert_eq!(words, [Some("up to 15 minutes"), None]);
    }
}
