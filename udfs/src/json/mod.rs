//! JSON as PostgreSQL's `jsonb` has it, kept as text.
//!
//! A value is its canonical text: what PostgreSQL prints for it (keys in order, each once, numbers without exponent, one
//! blank after a comma and a colon). Its Arrow type is `LargeUtf8`, which nothing else in Lotic has: so the type goes
//! through joins, groups and files by itself, and equal texts are equal values but for trailing zeros of numbers.
//! `parse` makes canonical text of any and is the only way in; `walk` finds its way in canonical text without reading all
//! of it; `arrow` makes JSON of other values; `contain` is `@>`; `change` is `||` and `-`. `call` is what the functions share,
//! `read`, `build` and `lists` are the functions.

mod arrow;
mod build;
mod call;
mod change;
mod contain;
mod lists;
mod parse;
mod read;
#[cfg(test)]
mod tests;
mod walk;

use ::arrow::array::{Array, ArrayRef, AsArray};
use ::arrow::datatypes::DataType;
use datafusion_common::Result;
use datafusion_expr::ScalarUDF;

/// The Arrow type of JSON.
pub const TYPE: DataType = DataType::LargeUtf8;

/// The functions over JSON, ready to be registered.
pub(crate) fn all() -> Vec<ScalarUDF> {
    let mut all = read::functions();
    all.extend(build::functions());
    all.extend(lists::functions());
    all.into_iter().map(ScalarUDF::new_from_impl).collect()
}

/// The JSON of a column of any string type; what is JSON already is given back.
///
/// # Errors
/// PostgreSQL's, when a text is no JSON.
pub fn parsed(texts: &ArrayRef) -> Result<ArrayRef> {
    if *texts.data_type() == TYPE {
        return Ok(std::sync::Arc::clone(texts));
    }
    let texts = crate::kernel::texts(texts)?;
    call::each(texts.len(), |row, out| {
        if texts.is_null(row) {
            return Ok(false);
        }
        parse::canonical(texts.value(row), out)?;
        Ok(true)
    })
}

/// The canonical text of one JSON text; none when it is no JSON.
pub fn parsed_text(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    parse::canonical(text, &mut out).ok()?;
    Some(out)
}

/// Appends `text` as a JSON string.
pub fn write_string(text: &str, out: &mut String) {
    walk::write_string(text, out);
}

/// A column of canonical texts, whatever strings it comes in.
fn column(array: &ArrayRef) -> Result<::arrow::array::LargeStringArray> {
    Ok(parsed(array)?.as_string::<i64>().clone())
}
