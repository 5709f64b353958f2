//! `||` over text, refused when the result would be too large: a chain of them doubles with every link.

use std::sync::{Arc, LazyLock};

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr as PhysicalBinary, Column};

use super::guard::SizeLimits;
use super::sizes::{Growth, result_sizes};
use crate::base::Error;

static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    Arc::new(ScalarUDF::new_from_impl(Joined {
        signature: Signature::any(2, Volatility::Immutable),
    }))
});

/// The function in the place of `||` over text.
pub(super) fn function() -> Arc<ScalarUDF> {
    Arc::clone(&FUNCTION)
}

/// Whether `||` over two values of these types joins text.
pub(super) fn joins_text(left: &DataType, right: &DataType) -> bool {
    left.is_string() && right.is_string()
}

/// The operator that stands for a call of [`function`], if it is one.
pub(super) fn plain(function: &ScalarUDF, args: &[Expr]) -> Option<Expr> {
    let [left, right] = args else { return None };
    function.inner().downcast_ref::<Joined>()?;
    let (left, right) = (Box::new(left.clone()), Box::new(right.clone()));
    Some(Expr::BinaryExpr(BinaryExpr::new(
        left,
        Operator::StringConcat,
        right,
    )))
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Joined {
    signature: Signature,
}

impl ScalarUDFImpl for Joined {
    fn name(&self) -> &str {
        "checked_concat"
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        let names: Vec<String> = args
            .iter()
            .map(|arg| arg.schema_name().to_string())
            .collect();
        Ok(names.join(" || "))
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [left, right] => {
                BinaryTypeCoercer::new(left, &Operator::StringConcat, right).get_result_type()
            }
            _ => Err(Error::internal("|| takes two operands").into()),
        }
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let types: Vec<DataType> = args
            .arg_fields
            .iter()
            .map(|field| field.data_type().clone())
            .collect();
        let nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            self.return_type(&types)?,
            nullable,
        )))
    }

    fn is_strict(&self) -> bool {
        true
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
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
        SizeLimits::default().check("||", &result_sizes(Growth::Join, &columns, rows)?)?;
        // the operator of DataFusion itself does the work, over a batch of the two operands
        let fields = columns
            .iter()
            .map(|column| Field::new("x", column.data_type().clone(), true));
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)?;
        let operand = |at| -> Arc<dyn PhysicalExpr> { Arc::new(Column::new("x", at)) };
        let operator = PhysicalBinary::new(operand(0), Operator::StringConcat, operand(1));
        let joined = operator.evaluate(&batch)?.into_array(rows)?;
        if constant {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &joined, 0,
            )?));
        }
        Ok(ColumnarValue::Array(joined))
    }
}
