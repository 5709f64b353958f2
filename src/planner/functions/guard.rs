//! Functions that can make huge values: the size of the result is computed first, and refused beyond a limit.
//!
//! DataFusion's memory pool does not see scalar functions, so that `repeat('x', 2000000000)` takes what it likes.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};
use datafusion::{functions, functions_nested};

use super::arithmetic::out_of_range;
use super::sizes::{Growth, result_sizes};
use crate::base::Error;

/// How large results may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SizeLimits {
    /// Bytes of one value. PostgreSQL allows 1 GiB.
    pub value: usize,
    /// Bytes of one call's results over a batch (8,192 rows as a rule).
    pub batch: usize,
}

impl Default for SizeLimits {
    fn default() -> Self {
        Self {
            value: 64 << 20,
            batch: 512 << 20,
        }
    }
}

impl SizeLimits {
    /// Refuses results of `sizes` bytes, a row each, that `function` would make.
    ///
    /// # Errors
    /// 54000 when one value, or all together, pass a limit.
    pub fn check(&self, function: &str, sizes: &[u128]) -> std::result::Result<(), Error> {
        let refuse = |what: &str, size: u128, limit: usize| {
            Error::limit(format!(
                "{what} made by {function} would have {size} bytes, more than the limit of {limit}"
            ))
            .with_hint("make shorter values, or fewer at a time")
        };
        if let Some(size) = sizes.iter().find(|size| **size > self.value as u128) {
            return Err(refuse("a value", *size, self.value));
        }
        let total = sizes.iter().sum::<u128>();
        if total > self.batch as u128 {
            return Err(refuse("the values of one batch", total, self.batch));
        }
        Ok(())
    }
}

/// The guarded functions, to be registered over DataFusion's.
pub fn guarded_udfs(limits: SizeLimits) -> Vec<Arc<ScalarUDF>> {
    let pairs = [
        (functions::math::abs(), Growth::Nothing),
        (functions::string::repeat(), Growth::Repeat),
        (functions::unicode::lpad(), Growth::Pad),
        (functions::unicode::rpad(), Growth::Pad),
        (functions::string::concat(), Growth::Concat),
        (functions::string::concat_ws(), Growth::Concat),
        (functions::string::replace(), Growth::Replace),
        (
            functions_nested::repeat::array_repeat_udf(),
            Growth::ArrayRepeat,
        ),
        (
            functions_nested::resize::array_resize_udf(),
            Growth::ArrayResize,
        ),
        (functions_nested::range::range_udf(), Growth::Range),
        (functions_nested::range::gen_series_udf(), Growth::Range),
    ];
    let guarded = pairs.into_iter().map(|(inner, growth)| {
        Arc::new(ScalarUDF::new_from_impl(Guarded {
            inner,
            growth,
            limits,
        }))
    });
    guarded.collect()
}

/// A function of DataFusion's behind a check of its result's size.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    limits: SizeLimits,
}

impl Guarded {
    fn check(&self, args: &ScalarFunctionArgs) -> Result<()> {
        if self.growth == Growth::Nothing {
            return Ok(());
        }
        let constant = args
            .args
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if constant { 1 } else { args.number_rows };
        let columns = args
            .args
            .iter()
            .map(|arg| arg.to_array(rows))
            .collect::<Result<Vec<_>>>()?;
        Ok(self.limits.check(
            self.inner.name(),
            &result_sizes(self.growth, &columns, rows)?,
        )?)
    }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.inner.inner().schema_name(args)
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types)
    }

    fn is_strict(&self) -> bool {
        self.inner.inner().is_strict()
    }

    fn simplify(&self, args: Vec<Expr>, _info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        // DataFusion's own would put its unguarded function in this one's place
        Ok(ExprSimplifyResult::Original(args))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.check(&args)?;
        let result_type = args.return_field.data_type().clone();
        self.inner.invoke_with_args(args).map_err(|error| match error {
            // abs() tells an overflow as any other failure of a kernel
            DataFusionError::ArrowError(arrow, _)
                if matches!(&*arrow, ArrowError::ComputeError(text) if text.contains("overflow")) =>
            {
                out_of_range(&result_type).into()
            }
            other => other,
        })
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
