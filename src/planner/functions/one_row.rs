//! The value of a scalar subquery that must not have a second row.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef, Int64Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    Volatility,
};

use crate::base::{Error, Kind};

static FUNCTION: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(OneRow::new())));

/// `one_row(count, value)`: the value, or error 21000 where there were several rows. It never appears in SQL text.
pub fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct OneRow {
    signature: Signature,
}

impl OneRow {
    fn new() -> Self {
        Self {
            signature: Signature::any(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for OneRow {
    fn name(&self) -> &str {
        "one_row"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [_, value] => Ok(value.clone()),
            _ => Err(Error::internal("one_row takes a count and a value").into()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        Ok(Arc::new(Field::new(
            self.name(),
            self.return_type(&types)?,
            true,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [count, value] = &args.args[..] else {
            return Err(Error::internal("one_row takes a count and a value").into());
        };
        let several = match count {
            ColumnarValue::Scalar(ScalarValue::Int64(count)) => {
                count.is_some_and(|count| count > 1)
            }
            count => {
                let counts = count.to_array(args.number_rows)?;
                let Some(counts) = counts.as_primitive_opt::<Int64Type>() else {
                    return Err(Error::internal("one_row counts in bigint").into());
                };
                (0..counts.len()).any(|row| counts.is_valid(row) && counts.value(row) > 1)
            }
        };
        if several {
            return Err(Error::new(
                Kind::Invalid,
                "21000",
                "more than one row returned by a subquery used as an expression",
            )
            .into());
        }
        Ok(value.clone())
    }
}
