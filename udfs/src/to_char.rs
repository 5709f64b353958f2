//! `to_char(moment, pattern)`: a moment as text, by PostgreSQL's patterns.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder};
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use datafusion_common::{Result, exec_err, plan_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::kernel::{over_arrays, texts};
use crate::to_char_pattern::{Moment, Pattern};

/// `to_char(moment timestamp, pattern text) -> text`. A pattern that PostgreSQL has and this function has not is an
/// error, never a part of the answer.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ToChar {
    signature: Signature,
}

impl Default for ToChar {
    fn default() -> Self {
        Self {
            signature: Signature::user_defined(Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for ToChar {
    fn name(&self) -> &str {
        "to_char"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [
                DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 | DataType::Null,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null,
            ] => Ok(vec![
                DataType::Timestamp(TimeUnit::Microsecond, None),
                DataType::Utf8View,
            ]),
            _ => plan_err!("to_char takes a timestamp or a date, and a pattern"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| to_char(&arrays[0], &arrays[1]))
    }
}

fn to_char(moments: &ArrayRef, patterns: &ArrayRef) -> Result<ArrayRef> {
    let moments = moments.as_primitive::<TimestampMicrosecondType>();
    let patterns = texts(patterns)?;
    let mut answer = StringViewBuilder::with_capacity(moments.len());
    let mut text = String::new();
    // The pattern is a constant as a rule, so it is read once; and of moments that come in their order, many have one text.
    let mut known: Option<(&str, Pattern)> = None;
    let mut written: Option<i64> = None;
    for row in 0..moments.len() {
        if moments.is_null(row) || patterns.is_null(row) {
            answer.append_null();
            continue;
        }
        let wanted = patterns.value(row);
        if known.as_ref().is_none_or(|(text, _)| *text != wanted) {
            match Pattern::parse(wanted) {
                Ok(pattern) => known = Some((wanted, pattern)),
                Err(message) => return exec_err!("{message}"),
            }
            written = None;
        }
        if let Some((_, pattern)) = &known {
            let moment = moments.value(row);
            let step = moment.div_euclid(pattern.grain());
            if written.replace(step) != Some(step) {
                text.clear();
                pattern.write(&Moment::from_micros(moment), &mut text);
            }
        }
        answer.append_value(&text);
    }
    Ok(Arc::new(answer.finish()))
}

#[cfg(test)]
mod tests {
    use arrow::array::{StringArray, TimestampMicrosecondArray};
    use datafusion_expr::ScalarUDF;

    use super::*;
    use crate::kernel::call;

    /// 5 March 2024, a Tuesday, 14:07:09.012345.
    const MOMENT: i64 = 1_709_647_629_012_345;

    fn written(moment: i64, pattern: &str) -> String {
        let function = ScalarUDF::new_from_impl(ToChar::default());
        let moments: ArrayRef = Arc::new(TimestampMicrosecondArray::from(vec![moment]));
        let patterns: ArrayRef = Arc::new(StringArray::from(vec![pattern]));
        let answer = call(&function, &[moments, patterns]);
        answer.as_string_view().value(0).to_owned()
    }

    #[test]
    fn patterns_answer_as_postgresql_does() {
        for (pattern, expected) in [
            ("YYYY-MM-DD HH24:MI:SS.US", "2024-03-05 14:07:09.012345"),
            ("yyyy/mm/dd hh:mi am", "2024/03/05 02:07 pm"),
            ("Mon DD, YY", "Mar 05, 24"),
            (
                "[Month] [MONTH] [month]",
                "[March    ] [MARCH    ] [march    ]",
            ),
            ("FMMonth FMDD FMDay", "March 5 Tuesday"),
            ("Day|DY|dy", "Tuesday  |TUE|tue"),
            ("D ID DDD Q", "3 2 065 1"),
            ("HH12 P.M. MS", "02 P.M. 012"),
            ("\"at\" HH24 \\\"", "at 14 \""),
            ("IYYY IW SSSS", "2024 10 50829"),
        ] {
            assert_eq!(written(MOMENT, pattern), expected, "{pattern}");
        }
    }

    #[test]
    fn moments_that_follow_each_other_keep_their_own_texts() {
        let function = ScalarUDF::new_from_impl(ToChar::default());
        let steps = [0, 1, 999, 1_000, 999_999, 1_000_000, 59_999_999, 60_000_000];
        let steps = steps
            .into_iter()
            .chain([3_600_000_000, 43_200_000_000, 86_400_000_000]);
        let moments: Vec<i64> = steps.flat_map(|step| [-step, step, step - 1]).collect();
        for pattern in [
            "US",
            "MS",
            "SS",
            "SSSS",
            "MI",
            "HH24",
            "AM",
            "DD",
            "FMDay IYYY",
        ] {
            let rows: ArrayRef = Arc::new(TimestampMicrosecondArray::from(moments.clone()));
            let patterns: ArrayRef = Arc::new(StringArray::from(vec![pattern; moments.len()]));
            let answer = call(&function, &[rows, patterns]);
            for (row, moment) in moments.iter().enumerate() {
                let found = answer.as_string_view().value(row);
                assert_eq!(found, written(*moment, pattern), "{moment} {pattern}");
            }
        }
    }

    #[test]
    fn moments_before_1970_keep_their_day() {
        assert_eq!(
            written(-1, "YYYY-MM-DD HH24:MI:SS.US"),
            "1969-12-31 23:59:59.999999"
        );
        assert_eq!(written(0, "Dy HH12 AM IYYY-IW"), "Thu 12 AM 1970-01");
        // 1 January 2021, a Friday, is in the last week of 2020.
        assert_eq!(written(1_609_459_200_000_000, "IYYY-IW"), "2020-53");
    }

    #[test]
    fn unknown_patterns_are_errors() {
        for pattern in ["YYYY TZ", "%m-%d", "J", "hello"] {
            assert!(Pattern::parse(pattern).is_err(), "{pattern}");
        }
    }
}
