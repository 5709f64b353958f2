//! SQL functions that come with Lotic, and the worked example for writing more.
//!
//! A function is a type that implements [`ScalarUDFImpl`](datafusion_expr::ScalarUDFImpl): a name, a
//! signature that says which arguments it takes, and a kernel over whole Arrow arrays. All functions
//! here are immutable (equal arguments, equal answer), give NULL for NULL but where they say otherwise, and never panic
//! on data.
//!
//! To add one: a file with its doc, its kernel and its tests; a line in [`all`]. The crate knows Arrow and
//! DataFusion's expressions, and nothing of Lotic, which registers what [`all`] gives.

mod clean_text;
mod delay_bucket;
mod gaps;
mod hour_of_week;
mod jaro_winkler;
pub mod json;
mod kernel;
mod to_char;
mod to_char_pattern;
mod wind_band;

pub use clean_text::CleanText;
pub use delay_bucket::DelayBucket;
pub use gaps::{GAP_STEPS, GAP_TIME, GAP_VALUE};
pub use hour_of_week::HourOfWeek;
pub use jaro_winkler::JaroWinkler;
pub use to_char::ToChar;
pub use wind_band::WindBand;

use datafusion_expr::ScalarUDF;

/// Every function of this crate, ready to be registered.
pub fn all() -> Vec<ScalarUDF> {
    let mut all = vec![
        ScalarUDF::new_from_impl(CleanText::default()),
        ScalarUDF::new_from_impl(DelayBucket::default()),
        ScalarUDF::new_from_impl(HourOfWeek::default()),
        ScalarUDF::new_from_impl(JaroWinkler::default()),
        ScalarUDF::new_from_impl(ToChar::default()),
        ScalarUDF::new_from_impl(WindBand::default()),
    ];
    all.extend(gaps::all());
    all.extend(json::all());
    all
}
