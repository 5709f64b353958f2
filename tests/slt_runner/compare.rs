//! When two results are the same.

use std::cmp::Ordering;

use super::session::Row;

/// A row as a line: values parted by blanks, NULL and the empty text by name.
pub(crate) fn line(row: &Row) -> String {
    let shown = row.iter().map(|value| match value.as_deref() {
        None => "NULL",
        Some(text) if text.trim().is_empty() => "(empty)",
        Some(text) => text,
    });
    // Blanks inside a value part words like blanks between values: the format cannot tell them apart.
    shown
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}

/// All rows as lines.
pub(crate) fn lines(rows: &[Row]) -> Vec<String> {
    rows.iter().map(line).collect()
}

/// What is different, in words; `Ok` where nothing is.
pub(crate) fn same(got: &[String], expected: &[String], ordered: bool) -> Result<(), String> {
    let expected: Vec<String> = expected
        .iter()
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    let (mut got, mut expected) = (got.to_vec(), expected);
    if !ordered {
        got.sort_by(|a, b| by_value(a, b));
        expected.sort_by(|a, b| by_value(a, b));
    }
    let equal = got.len() == expected.len()
        && got
            .iter()
            .zip(&expected)
            .all(|(got, expected)| line_equal(got, expected));
    if equal {
        return Ok(());
    }
    Err(format!(
        "expected {} rows:\n{}\ngot {} rows:\n{}",
        expected.len(),
        shown(&expected),
        got.len(),
        shown(&got)
    ))
}

fn shown(lines: &[String]) -> String {
    let mut text: Vec<String> = lines
        .iter()
        .take(20)
        .map(|line| format!("    {line}"))
        .collect();
    if lines.len() > 20 {
        text.push(format!("    ... and {} more", lines.len() - 20));
    }
    text.join("\n")
}

/// An order that two renderings of one row share: numbers by value, to six digits.
fn by_value(a: &str, b: &str) -> Ordering {
    let key = |text: &str| -> Vec<String> {
        text.split(' ')
            .map(|word| number(word).map_or_else(|| word.to_owned(), |x| format!("{x:.5e}")))
            .collect()
    };
    key(a).cmp(&key(b)).then_with(|| a.cmp(b))
}

fn line_equal(a: &str, b: &str) -> bool {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.split(' ').collect(), b.split(' ').collect());
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| word_equal(a, b))
}

/// Equal texts, or numbers of which one has a fraction and that differ in its last digits only.
fn word_equal(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let fraction = |text: &str| text.contains(['.', 'e', 'E']);
    match (number(a), number(b)) {
        (Some(x), Some(y)) if fraction(a) || fraction(b) => {
            (x - y).abs() <= 1e-9 * x.abs().max(y.abs()) || (x == 0.0 && y == 0.0)
        }
        _ => false,
    }
}

/// The number that a word is; `inf` and `nan` are words.
fn number(text: &str) -> Option<f64> {
    let looks = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    looks
        .then(|| text.parse().ok())
        .flatten()
        .filter(|x: &f64| x.is_finite())
}
