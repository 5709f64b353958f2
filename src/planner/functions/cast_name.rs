//! The mark that gives a cast a name of its own, until the plan is optimised.

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::Result;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

use crate::base::Error;

/// The name of the mark.
pub const CAST_MARK: &str = "__lotic_cast";

/// `__lotic_cast(cast, type)`: the cast.
pub(super) fn cast_mark() -> Arc<ScalarUDF> {
    let signature = Signature::any(2, Volatility::Immutable);
    Arc::new(ScalarUDF::new_from_impl(CastName { signature }))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CastName {
    signature: Signature,
}

impl ScalarUDFImpl for CastName {
    fn name(&self) -> &str {
        CAST_MARK
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [value, _] => Ok(value.clone()),
            _ => Err(misused().into()),
        }
    }

    fn simplify(&self, mut args: Vec<Expr>, _: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if args.len() != 2 {
            return Ok(ExprSimplifyResult::Original(args));
        }
        Ok(ExprSimplifyResult::Simplified(args.swap_remove(0)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let mut args = args.args;
        if args.len() != 2 {
            return Err(misused().into());
        }
        Ok(args.swap_remove(0))
    }
}

fn misused() -> Error {
    Error::internal(format!("{CAST_MARK} takes a cast and a type"))
}
