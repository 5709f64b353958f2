//! The mark on the condition of an ASOF join, from the pre-pass until the plan is built.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;

/// The function's name. It is of no use in a query: nothing but a join's condition gives it a meaning.
pub const ASOF_MARK: &str = "lotic_asof_match";

/// The function of this file.
pub(super) fn asof_mark() -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Mark {
        signature: Signature::any(1, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &str {
        ASOF_MARK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(Error::unsupported("MATCH_CONDITION stands in an ASOF JOIN alone").into())
    }
}
