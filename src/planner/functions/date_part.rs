//! `date_part` and EXTRACT with PostgreSQL's years: the one before year 1 is -1, where DataFusion counts a year 0.

use std::sync::{Arc, LazyLock};

use arrow::array::AsArray;
use arrow::datatypes::{DataType, FieldRef, Int32Type};
use datafusion::common::{Result, ScalarValue};
use datafusion::functions;
use datafusion::logical_expr::preimage::PreimageResult;
use datafusion::logical_expr::simplify::SimplifyContext;
use datafusion::logical_expr::{
    ColumnarValue, Documentation, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature,
};

static DATE_PART: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
    let inner = functions::datetime::date_part();
    Arc::new(ScalarUDF::new_from_impl(DatePart { inner }))
});

/// The function, to be registered over DataFusion's, and what EXTRACT calls.
pub(in crate::planner) fn date_part() -> Arc<ScalarUDF> {
    Arc::clone(&DATE_PART)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct DatePart {
    inner: Arc<ScalarUDF>,
}

impl ScalarUDFImpl for DatePart {
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

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }

    fn preimage(
        &self,
        args: &[Expr],
        value: &Expr,
        info: &SimplifyContext,
    ) -> Result<PreimageResult> {
        // theirs are other years before the first
        match value.as_literal() {
            Some(ScalarValue::Int32(Some(1..))) => self.inner.inner().preimage(args, value, info),
            _ => Ok(PreimageResult::None),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let counts_years = counts_years(&args.args);
        let parts = self.inner.inner().invoke_with_args(args)?;
        if !counts_years {
            return Ok(parts);
        }
        Ok(match parts {
            ColumnarValue::Scalar(ScalarValue::Int32(Some(year))) => {
                ColumnarValue::Scalar(ScalarValue::Int32(Some(without_zero(year))))
            }
            ColumnarValue::Array(years) if *years.data_type() == DataType::Int32 => {
                let years = years
                    .as_primitive::<Int32Type>()
                    .unary::<_, Int32Type>(without_zero);
                ColumnarValue::Array(Arc::new(years))
            }
            parts => parts,
        })
    }
}

/// Whether the parts of a call are years of moments. A length of time may well have none.
fn counts_years(args: &[ColumnarValue]) -> bool {
    let [ColumnarValue::Scalar(part), moment] = args else {
        return false;
    };
    let of_length = matches!(
        moment.data_type(),
        DataType::Interval(_) | DataType::Duration(_)
    );
    let part = part.try_as_str().flatten().unwrap_or_default();
    let part = part.trim_matches(['\'', '"']);
    let years = ["year", "years", "isoyear"];
    !of_length && years.iter().any(|name| part.eq_ignore_ascii_case(name))
}

fn without_zero(year: i32) -> i32 {
    if year > 0 { year } else { year - 1 }
}
