//! A float with one zero and one NaN, for places where DataFusion compares bits.

use std::sync::{Arc, LazyLock};

use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;
use crate::zset::canonical::canonical;

/// The name under which plans show it.
pub const NAME: &str = "canonical";

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(Canonical::new())));

/// `expr`, whose -0.0 is 0.0 and whose every NaN is the same. It never appears in SQL text.
pub fn call(expr: Expr) -> Expr {
    FUNCTION.call(vec![expr])
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Canonical {
    signature: Signature,
}

impl Canonical {
    fn new() -> Self {
        Self {
            signature: Signature::any(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Canonical {
    fn name(&self) -> &str {
        NAME
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [value] => Ok(value.clone()),
            _ => Err(Error::internal("canonical takes a value").into()),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(array)] => Ok(ColumnarValue::Array(canonical(array)?)),
            [ColumnarValue::Scalar(value)] => {
                let one = canonical(&value.to_array()?)?;
                let value = ScalarValue::try_from_array(&one, 0)?;
                Ok(ColumnarValue::Scalar(value))
            }
            _ => Err(Error::internal("canonical takes a value").into()),
        }
    }
}
