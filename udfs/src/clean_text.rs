//! `clean_text(text)`: blanks and invisible characters put in order.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringViewBuilder};
use arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::kernel::{over_arrays, texts};

/// `clean_text(text) -> text`: every run of white space and control characters becomes one blank, blanks at
/// both ends go, and a text of which nothing is left becomes NULL. Letters keep their case.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct CleanText {
    signature: Signature,
}

impl Default for CleanText {
    fn default() -> Self {
        Self {
            signature: Signature::string(1, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for CleanText {
    fn name(&self) -> &str {
        "clean_text"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| cleaned(&arrays[0]))
    }
}

fn cleaned(array: &ArrayRef) -> Result<ArrayRef> {
    let texts = texts(array)?;
    let mut answer = StringViewBuilder::with_capacity(texts.len());
    let mut text = String::new();
    for value in &texts {
        text.clear();
        clean_into(value.unwrap_or(""), &mut text);
        // Only a text that has something left is longer than nothing, so NULL and "" both end here.
        answer.append_option((!text.is_empty()).then_some(text.as_str()));
    }
    Ok(Arc::new(answer.finish()))
}

fn clean_into(text: &str, answer: &mut String) {
    let blank = |c: char| c.is_whitespace() || c.is_control();
    for word in text.split(blank).filter(|word| !word.is_empty()) {
        if !answer.is_empty() {
            answer.push(' ');
        }
        answer.push_str(word);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, LargeStringArray, StringArray};
    use datafusion_expr::ScalarUDF;

    use super::*;
    use crate::kernel::call;

    #[test]
    fn runs_of_blanks_become_one_and_ends_go() {
        let function = ScalarUDF::new_from_impl(CleanText::default());
        let texts = vec![
            Some("  AIRBUS\t INDUSTRIE \r\n"),
            Some("a\u{a0}b\u{0}c"),
            Some(" \u{3000} "),
            Some(""),
            None,
            Some("plain"),
        ];
        let expected = [
            Some("AIRBUS INDUSTRIE"),
            Some("a b c"),
            None,
            None,
            None,
            Some("plain"),
        ];
        let small: ArrayRef = Arc::new(StringArray::from(texts.clone()));
        let large: ArrayRef = Arc::new(LargeStringArray::from(texts));
        for array in [small, large] {
            let answer = call(&function, &[array]);
            assert_eq!(answer.as_string_view().iter().collect::<Vec<_>>(), expected);
            assert_eq!(answer.data_type(), &DataType::Utf8View);
        }
    }
}
