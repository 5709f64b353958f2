//! `jaro_winkler(a, b)`: how alike two short texts are, from 0 to 1.
//!
//! Source of the algorithm: M. A. Jaro, "Advances in record-linkage methodology" (1989), and W. E.
//! Winkler, "String comparator metrics and enhanced decision rules in the Fellegi-Sunter model of record
//! linkage" (1990): characters match when they are equal and not further apart than half of the longer
//! text; a common beginning of up to four characters adds a tenth each of what is missing to 1.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Float64Builder};
use arrow::datatypes::DataType;
use datafusion_common::{Result, exec_err};
use datafusion_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDFImpl, Signature, Volatility};

use crate::kernel::{over_arrays, texts};

/// The longest text that is compared, in characters: the work grows with the product of both lengths.
const LENGTH_MAX: usize = 4_096;

/// `jaro_winkler(a text, b text) -> double precision`: 1 for equal texts, 0 for texts that share nothing.
/// Characters count as they are: clean and lower both sides before, if case does not matter.
///
/// # Errors
/// A text of more than 4,096 characters.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct JaroWinkler {
    signature: Signature,
}

impl Default for JaroWinkler {
    fn default() -> Self {
        Self {
            signature: Signature::string(2, Volatility::Immutable),
        }
    }
}

impl ScalarUDFImpl for JaroWinkler {
    fn name(&self) -> &str {
        "jaro_winkler"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn invoke_with_args(&self, arguments: ScalarFunctionArgs) -> Result<ColumnarValue> {
        over_arrays(&arguments, |arrays| similarities(&arrays[0], &arrays[1]))
    }
}

fn similarities(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let (left, right) = (texts(left)?, texts(right)?);
    let mut answer = Float64Builder::with_capacity(left.len());
    let mut comparison = Comparison::default();
    for pair in left.iter().zip(&right) {
        match pair {
            (Some(a), Some(b)) => answer.append_value(comparison.similarity(a, b)?),
            _ => answer.append_null(),
        }
    }
    Ok(Arc::new(answer.finish()))
}

/// Room that is kept from pair to pair.
#[derive(Default)]
struct Comparison {
    a: Vec<char>,
    b: Vec<char>,
    /// For each character of `b`: is it matched?
    taken: Vec<bool>,
    /// The matched characters of `a`, in its order.
    matched: Vec<char>,
}

impl Comparison {
    fn similarity(&mut self, a: &str, b: &str) -> Result<f64> {
        if a == b {
            return Ok(1.0);
        }
        self.a.clear();
        self.a.extend(a.chars());
        self.b.clear();
        self.b.extend(b.chars());
        let longest = self.a.len().max(self.b.len());
        if longest > LENGTH_MAX {
            return exec_err!(
                "jaro_winkler takes texts of up to {LENGTH_MAX} characters, not of {longest}"
            );
        }
        let jaro = self.jaro();
        let common = self
            .a
            .iter()
            .zip(&self.b)
            .take(4)
            .take_while(|(a, b)| a == b)
            .count();
        Ok(jaro + count(common) * 0.1 * (1.0 - jaro))
    }

    fn jaro(&mut self) -> f64 {
        let window = (self.a.len().max(self.b.len()) / 2).saturating_sub(1);
        self.taken.clear();
        self.taken.resize(self.b.len(), false);
        self.matched.clear();
        for (at, character) in self.a.iter().enumerate() {
            let from = at.saturating_sub(window);
            let to = (at + window + 1).min(self.b.len());
            let place = (from..to).find(|&k| !self.taken[k] && self.b[k] == *character);
            if let Some(place) = place {
                self.taken[place] = true;
                self.matched.push(*character);
            }
        }
        if self.matched.is_empty() {
            return 0.0;
        }
        let theirs = self
            .b
            .iter()
            .zip(&self.taken)
            .filter(|(_, taken)| **taken)
            .map(|(c, _)| c);
        let out_of_order = self
            .matched
            .iter()
            .zip(theirs)
            .filter(|(a, b)| a != b)
            .count();
        let matches = count(self.matched.len());
        let transpositions = count(out_of_order) / 2.0;
        (matches / count(self.a.len())
            + matches / count(self.b.len())
            + (matches - transpositions) / matches)
            / 3.0
    }
}

/// A length of at most [`LENGTH_MAX`] as a float.
fn count(n: usize) -> f64 {
    u32::try_from(n).map_or(f64::INFINITY, f64::from)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, StringArray, StringViewArray};
    use arrow::datatypes::Float64Type;
    use datafusion_expr::ScalarUDF;

    use super::*;
    use crate::kernel::call;

    fn close(a: &str, b: &str, expected: f64) {
        let mut comparison = Comparison::default();
        let there = comparison.similarity(a, b).unwrap();
        let back = comparison.similarity(b, a).unwrap();
        assert!(
            (there - expected).abs() < 5e-4,
            "{a} {b}: {there}, expected {expected}"
        );
        assert!((there - back).abs() < 1e-12, "{a} {b}: not symmetric");
    }

    #[test]
    fn published_examples_come_out() {
        close("MARTHA", "MARHTA", 0.961);
        close("DIXON", "DICKSONX", 0.813);
        close("DWAYNE", "DUANE", 0.840);
        close("CRATE", "TRACE", 0.733);
    }

    #[test]
    fn ends_of_the_scale_are_zero_and_one() {
        close("", "", 1.0);
        close("", "a", 0.0);
        close("abc", "xyz", 0.0);
        close("\u{e9}t\u{e9}", "\u{e9}t\u{e9}", 1.0);
    }

    #[test]
    fn null_on_either_side_gives_null() {
        let function = ScalarUDF::new_from_impl(JaroWinkler::default());
        let left = StringArray::from(vec![Some("a"), None, Some("a")]);
        let right = StringViewArray::from(vec![Some("a"), Some("a"), None]);
        let answer = call(&function, &[Arc::new(left), Arc::new(right)]);
        let values: Vec<_> = answer.as_primitive::<Float64Type>().iter().collect();
        assert_eq!(values, [Some(1.0), None, None]);
    }

    #[test]
    fn longer_text_is_refused() {
        let long = "x".repeat(LENGTH_MAX + 1);
        assert!(Comparison::default().similarity(&long, "y").is_err());
    }
}
