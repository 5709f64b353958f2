//! `round` of a float to a whole number: a half goes to the even neighbour, as in PostgreSQL and in casts to integers.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;

static ROUND: LazyLock<ScalarUDF> = LazyLock::new(|| {
    ScalarUDF::new_from_impl(HalfEven {
        signature: Signature::uniform(
            1,
            vec![DataType::Float64, DataType::Float32],
            Volatility::Immutable,
        ),
    })
});

/// `round(float)`, which plans show under the name that SQL text has for it.
pub(super) fn call(float: Expr) -> Expr {
    ROUND.call(vec![float])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct HalfEven {
    signature: Signature,
}

impl ScalarUDFImpl for HalfEven {
    fn name(&self) -> &'static str {
        "round"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        Ok(arg_types.first().cloned().unwrap_or(DataType::Float64))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(floats)] => Ok(ColumnarValue::Array(rounded(floats)?)),
            [ColumnarValue::Scalar(float)] => {
                let one = rounded(&float.to_array()?)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&one, 0)?))
            }
            _ => Err(Error::internal("one float is rounded").into()),
        }
    }
}

fn rounded(floats: &ArrayRef) -> Result<ArrayRef> {
    Ok(match floats.data_type() {
        DataType::Float64 => {
            let floats = floats.as_primitive::<Float64Type>();
            Arc::new(floats.unary::<_, Float64Type>(f64::round_ties_even))
        }
        DataType::Float32 => {
            let floats = floats.as_primitive::<Float32Type>();
            Arc::new(floats.unary::<_, Float32Type>(f32::round_ties_even))
        }
        other => return Err(Error::internal(format!("{other} is rounded elsewhere")).into()),
    })
}
