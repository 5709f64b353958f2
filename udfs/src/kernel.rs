//! What the kernels share: constants in, a constant out; and one type of text.

use arrow::array::{ArrayRef, AsArray, StringViewArray};
use arrow::compute::cast;
use arrow::datatypes::DataType;
use datafusion_common::{Result, ScalarValue};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs};

/// Runs `kernel` over the arguments as arrays. Where all arguments are constants it runs over one row,
/// and the answer is a constant again.
pub(crate) fn over_arrays(
    arguments: &ScalarFunctionArgs,
    kernel: impl Fn(&[ArrayRef]) -> Result<ArrayRef>,
) -> Result<ColumnarValue> {
    let constant = arguments
        .args
        .iter()
        .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
    let rows = if constant { 1 } else { arguments.number_rows };
    let arrays = arguments
        .args
        .iter()
        .map(|argument| argument.to_array(rows))
        .collect::<Result<Vec<_>>>()?;
    let answer = kernel(&arrays)?;
    if constant {
        return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
            &answer, 0,
        )?));
    }
    Ok(ColumnarValue::Array(answer))
}

/// An array of any string type as views. From `Utf8` this copies no text.
pub(crate) fn texts(array: &ArrayRef) -> Result<StringViewArray> {
    let views = cast(array, &DataType::Utf8View)?;
    Ok(views.as_string_view().clone())
}

/// Calls a function with arrays and gives back the array, for tests.
#[cfg(test)]
pub(crate) fn call(function: &datafusion_expr::ScalarUDF, arguments: &[ArrayRef]) -> ArrayRef {
    use arrow::datatypes::Field;
    use datafusion_common::config::ConfigOptions;
    use std::sync::Arc;

    let types: Vec<DataType> = arguments
        .iter()
        .map(|array| array.data_type().clone())
        .collect();
    let field = |kind: DataType| Arc::new(Field::new("x", kind, true));
    let rows = arguments[0].len();
    let answer = function
        .invoke_with_args(ScalarFunctionArgs {
            args: arguments
                .iter()
                .map(|a| ColumnarValue::Array(Arc::clone(a)))
                .collect(),
            arg_fields: types.iter().cloned().map(field).collect(),
            number_rows: rows,
            return_field: field(function.return_type(&types).unwrap()),
            config_options: Arc::new(ConfigOptions::default()),
        })
        .unwrap();
    answer.to_array(rows).unwrap()
}
