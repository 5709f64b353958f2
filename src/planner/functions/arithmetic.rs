//! `+`, `-`, `*` and unary minus over integers and decimals that raise an error where DataFusion's wrap, and `%` over decimals, which
//! DataFusion takes for 0 beside a 1, as if they had no places.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Datum};
use arrow::compute::kernels::numeric::{add, mul, neg, rem, sub};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Field,
    FieldRef,
};
use arrow::error::ArrowError;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::interval_arithmetic::{Interval, apply_operator};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use crate::base::{Error, Kind};

/// What is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Operation {
    Add,
    Subtract,
    Multiply,
    Negate,
    Remainder,
}

/// The functions, one an operation. They never appear in SQL text: a rule puts them in the operators' place.
static FUNCTIONS: LazyLock<[Arc<ScalarUDF>; 5]> = LazyLock::new(|| {
    [
        Operation::Add,
        Operation::Subtract,
        Operation::Multiply,
        Operation::Negate,
        Operation::Remainder,
    ]
    .map(|operation| Arc::new(ScalarUDF::new_from_impl(Checked::new(operation))))
});

impl Operation {
    pub(super) fn function(self) -> Arc<ScalarUDF> {
        Arc::clone(
            &FUNCTIONS[match self {
                Self::Add => 0,
                Self::Subtract => 1,
                Self::Multiply => 2,
                Self::Negate => 3,
                Self::Remainder => 4,
            }],
        )
    }

    /// What is computed in the place of `operator` between operands of these types; none where DataFusion's answer is right.
    pub(super) fn of(operator: Operator, left: &DataType, right: &DataType) -> Option<Self> {
        if !is_exact_number(left) || !is_exact_number(right) {
            return None;
        }
        Some(match operator {
            Operator::Plus => Self::Add,
            Operator::Minus => Self::Subtract,
            Operator::Multiply => Self::Multiply,
            Operator::Modulo if left.is_decimal() => Self::Remainder,
            _ => return None,
        })
    }

    fn operator(self) -> Operator {
        match self {
            Self::Add => Operator::Plus,
            Self::Subtract | Self::Negate => Operator::Minus,
            Self::Multiply => Operator::Multiply,
            Self::Remainder => Operator::Modulo,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Add => "checked_add",
            Self::Subtract => "checked_subtract",
            Self::Multiply => "checked_multiply",
            Self::Negate => "checked_negate",
            Self::Remainder => "checked_remainder",
        }
    }
}

/// Whether arithmetic over this type can wrap.
pub(super) fn is_exact_number(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_decimal()
}

/// The operator that stands for a call of one of the functions here, if it is one.
pub(super) fn plain(function: &ScalarUDF, args: &[Expr]) -> Option<Expr> {
    let checked = function.inner().downcast_ref::<Checked>()?;
    match (checked.operation, args) {
        (Operation::Negate, [arg]) => Some(Expr::Negative(Box::new(arg.clone()))),
        (operation, [left, right]) => Some(Expr::BinaryExpr(BinaryExpr::new(
            Box::new(left.clone()),
            operation.operator(),
            Box::new(right.clone()),
        ))),
        _ => None,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Checked {
    operation: Operation,
    signature: Signature,
}

impl Checked {
    fn new(operation: Operation) -> Self {
        let arity = if operation == Operation::Negate { 1 } else { 2 };
        Self {
            operation,
            signature: Signature::any(arity, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for Checked {
    fn name(&self) -> &str {
        self.operation.name()
    }

    /// The name that the operator has, so that columns keep theirs.
    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        match args {
            [arg] => Ok(format!("(- {})", arg.schema_name())),
            [left, right] => {
                let operator = self.operation.operator();
                Ok(format!(
                    "{} {operator} {}",
                    left.schema_name(),
                    right.schema_name()
                ))
            }
            _ => Ok(self.name().to_owned()),
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arg_types: &[DataType]) -> Result<DataType> {
        match arg_types {
            [left, right] => {
                BinaryTypeCoercer::new(left, &self.operation.operator(), right).get_result_type()
            }
            [arg] => Ok(arg.clone()),
            _ => Err(Error::internal("arithmetic takes one operand or two").into()),
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
        let result_type = args.return_field.data_type();
        let result = match (self.operation, &args.args[..]) {
            (Operation::Negate, [arg]) => negate(arg),
            (Operation::Add, [left, right]) => apply(left, right, kernel(add)),
            (Operation::Subtract, [left, right]) => apply(left, right, kernel(sub)),
            (Operation::Multiply, [left, right]) => apply(left, right, kernel(mul)),
            (Operation::Remainder, [left, right]) => apply(left, right, kernel(rem)),
            _ => return Err(Error::internal("arithmetic takes one operand or two").into()),
        };
        let result = result.map_err(|error| named(error, result_type))?;
        check_precision(&result)?;
        Ok(result)
    }

    fn evaluate_bounds(&self, inputs: &[&Interval]) -> Result<Interval> {
        match inputs {
            [arg] => arg.arithmetic_negate(),
            [left, right] if self.operation == Operation::Remainder => {
                Interval::make_unbounded(&self.return_type(&[left.data_type(), right.data_type()])?)
            }
            [left, right] => apply_operator(&self.operation.operator(), left, right),
            _ => Interval::make_unbounded(&DataType::Null),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        // checked arithmetic never wraps, so sums keep the order that their operands share
        Ok(match (self.operation, inputs) {
            (Operation::Add, [left, right]) => left.sort_properties.add(&right.sort_properties),
            (Operation::Subtract, [left, right]) => {
                left.sort_properties.sub(&right.sort_properties)
            }
            (Operation::Negate, [arg]) => -arg.sort_properties,
            _ if inputs
                .iter()
                .all(|arg| arg.sort_properties == SortProperties::Singleton) =>
            {
                SortProperties::Singleton
            }
            _ => SortProperties::Unordered,
        })
    }
}

type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

/// Only gives the function item its type.
fn kernel(kernel: Kernel) -> Kernel {
    kernel
}

fn negate(arg: &ColumnarValue) -> Result<ColumnarValue> {
    match arg {
        ColumnarValue::Array(array) => Ok(ColumnarValue::Array(neg(array)?)),
        ColumnarValue::Scalar(scalar) => {
            let array = neg(&scalar.to_array()?)?;
            Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(
                &array, 0,
            )?))
        }
    }
}

/// An overflow as PostgreSQL says it; other errors as they are.
fn named(
    error: datafusion::common::DataFusionError,
    data_type: &DataType,
) -> datafusion::common::DataFusionError {
    let error = Error::from(error);
    if error.code() != "22003" {
        return error.into();
    }
    out_of_range(data_type).into()
}

/// The error for a result that `data_type` cannot hold.
pub(super) fn out_of_range(data_type: &DataType) -> Error {
    let name = match data_type {
        DataType::Int8 => "tinyint",
        DataType::Int16 => "smallint",
        DataType::Int32 => "integer",
        DataType::Int64 => "bigint",
        DataType::UInt8 => "unsigned tinyint",
        DataType::UInt16 => "unsigned smallint",
        DataType::UInt32 => "unsigned integer",
        DataType::UInt64 => "unsigned bigint",
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            let message = "numeric field overflow";
            let detail = format!("the result does not fit numeric({precision},{scale})");
            return Error::new(Kind::Invalid, "22003", message).with_detail(detail);
        }
        _ => "value",
    };
    Error::new(Kind::Invalid, "22003", format!("{name} out of range"))
}

/// Arrow's kernels check that a decimal fits its bits; this checks that it fits its digits.
fn check_precision(result: &ColumnarValue) -> Result<()> {
    let data_type = result.data_type();
    if !data_type.is_decimal() {
        return Ok(());
    }
    let array = match result {
        ColumnarValue::Array(array) => Arc::clone(array),
        ColumnarValue::Scalar(scalar) => scalar.to_array()?,
    };
    let fits = match data_type {
        DataType::Decimal32(precision, _) => fits::<Decimal32Type>(&array, precision),
        DataType::Decimal64(precision, _) => fits::<Decimal64Type>(&array, precision),
        DataType::Decimal128(precision, _) => fits::<Decimal128Type>(&array, precision),
        DataType::Decimal256(precision, _) => fits::<Decimal256Type>(&array, precision),
        _ => true,
    };
    if fits {
        Ok(())
    } else {
        Err(out_of_range(&data_type).into())
    }
}

fn fits<T: DecimalType>(array: &dyn Array, precision: u8) -> bool {
    array
        .as_primitive::<T>()
        .validate_decimal_precision(precision)
        .is_ok()
}
