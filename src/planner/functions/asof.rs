//! The marks on the conditions of ASOF joins and of lookups, from the pre-pass until the plan is built.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;

/// The function's name. It is of no use in a query: nothing but a join's condition gives it a meaning.
pub const ASOF_MARK: &str = "lotic_asof_match";

/// The mark on the condition of a join that looks a table up.
pub const LOOKUP_MARK: &str = "lotic_lookup";

/// The function behind [`ASOF_MARK`].
pub(super) fn asof_mark() -> Arc<ScalarUDF> {
    mark(ASOF_MARK)
}

/// The function behind [`LOOKUP_MARK`].
pub(super) fn lookup_mark() -> Arc<ScalarUDF> {
    mark(LOOKUP_MARK)
}

fn mark(name: &'static str) -> Arc<ScalarUDF> {
    Arc::new(ScalarUDF::new_from_impl(Mark {
        name,
        signature: Signature::any(1, Volatility::Immutable),
    }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Mark {
    name: &'static str,
    signature: Signature,
}

impl ScalarUDFImpl for Mark {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, _args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        Err(Error::unsupported(
            "this function marks the condition of a join and stands nowhere else",
        )
        .into())
    }
}
