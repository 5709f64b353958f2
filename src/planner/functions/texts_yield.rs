//! Functions of values of one type, where a text among others is what it says in their type: `coalesce(day, '2024-01-01')`.

use std::sync::Arc;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::Result;
use datafusion::functions::core::coalesce;
use datafusion::functions_nested::make_array::make_array_udf;
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};

/// The functions, to be registered over DataFusion's.
pub(super) fn all() -> [Arc<ScalarUDF>; 2] {
    [coalesce(), make_array_udf()]
        .map(|inner| Arc::new(ScalarUDF::new_from_impl(TextsYield { inner })))
}

/// DataFusion's function, which refuses what it finds no common type for.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TextsYield {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for TextsYield {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(arg_types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        self.inner.simplify(args, info)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.inner.invoke_with_args(args)
    }

    fn conditional_arguments<'a>(
        &self,
        args: &'a [Expr],
    ) -> Option<(Vec<&'a Expr>, Vec<&'a Expr>)> {
        self.inner.conditional_arguments(args)
    }

    fn short_circuits(&self) -> bool {
        self.inner.short_circuits()
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.coerce_types(arg_types).or_else(|refused| {
            let mut kinds = arg_types.iter();
            let other = kinds.find(|kind| !kind.is_string() && !kind.is_null());
            let others = other.map(|other| {
                let yielded = |kind: &DataType| if kind.is_string() { other } else { kind }.clone();
                arg_types.iter().map(yielded).collect::<Vec<_>>()
            });
            match others {
                Some(others) if others != arg_types => self.inner.coerce_types(&others),
                _ => Err(refused),
            }
        })
    }
}
