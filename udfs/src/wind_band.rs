//! `wind_band(miles_an_hour)`: the speed of the wind as one of five words.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::datatypes::{DataType, Float64Type};
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::kernel::over_arrays;

/// `wind_band(miles_an_hour double precision) -> text`, by the bounds of the Beaufort scale: `calm` (below
/// 4, forces 0 and 1), `light` (below 13, to force 3), `moderate` (below 25, to force 5), `strong` (below
/// 39, to force 7), `gale`. NULL for NULL and for what is no speed (negative, NaN).
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct WindBand {
    signature: Signature,
}

impl Default for WindBand {
    fn default() -> Self {
        Self {
            signature: Signature::exact(vec![DataType::Float64], Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for WindBand {
    fn name(&self) -> &str {
        "wind_band"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| Ok(bands(&arrays[0])))
    }
}

fn bands(speeds: &ArrayRef) -> ArrayRef {
    let speeds = speeds.as_primitive::<Float64Type>();
    Arc::new(
        speeds
            .iter()
            .map(|speed| speed.and_then(band))
            .collect::<StringViewArray>(),
    )
}

fn band(miles_an_hour: f64) -> Option<&'static str> {
    match miles_an_hour {
        speed if speed.is_nan() || speed < 0.0 => None,
        speed if speed < 4.0 => Some("calm"),
        speed if speed < 13.0 => Some("light"),
        speed if speed < 25.0 => Some("moderate"),
        speed if speed < 39.0 => Some("strong"),
        _ => Some("gale"),
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Float64Array;
    use datafusion_expr::ScalarUDF;

    use super::*;
    use crate::kernel::call;

    #[test]
    fn bounds_belong_to_the_stronger_band() {
        let speeds = [0.0, -0.0, 3.9, 4.0, 13.0, 25.0, 39.0, f64::INFINITY];
        let words: Vec<_> = speeds.into_iter().map(band).collect();
        let expected = [
            "calm", "calm", "calm", "light", "moderate", "strong", "gale", "gale",
        ]
        .map(Some);
        assert_eq!(words, expected);
    }

    #[test]
    fn what_is_no_speed_has_no_band() {
        let function = ScalarUDF::new_from_impl(WindBand::default());
        let speeds = Float64Array::from(vec![Some(-1.0), Some(f64::NAN), None]);
        let answer = call(&function, &[Arc::new(speeds)]);
        assert_eq!(answer.null_count(), 3);
    }
}
