//! Lotic's own functions, registered over DataFusion's by name, so that a batch query and a model agree.
//!
//! * [`exact`], [`adapter`]: sum, avg, variance, covariance, regression, and min, max and count where DataFusion's
//!   answer depends on order; they keep the very states of the incremental operator.
//! * [`ordered_set`]: percentiles, mode, median, any_value, and exact answers for the approximate functions.
//! * `nth`: `nth_value` of rows that it sorts itself.
//! * [`arithmetic`], [`checked`]: integer and decimal arithmetic that raises an error where DataFusion wraps.
//! * [`casts`], `value_text`: what values become before a cast that would cut them, or write them otherwise.
//! * [`guard`], [`joined`], [`sizes`]: functions that can make huge values compute the size first and refuse.
//! * [`asof`]: the marks on the conditions of ASOF joins and lookups.
//! * `cast_name`: the mark that gives a cast a name of its own.
//! * `ranks`: `rank` and its like, with a sign.
//! * `shift`: `lead` and `lag`, right where NULLs are ignored.
//! * [`session`]: the bounds of session windows, of which the table function SESSION is made.
//! * `texts_yield`: functions in which texts become what the other values are.
//! * `same`: a value of which less is known.
//! * `half_even`: `round` of floats.
//! * `length_order`: lengths of time as numbers that compare as they do.
//! * `scaled`: lengths of time times or divided by a number.
//! * `seconds`: the seconds of a moment with their fraction.
//! * `date_part`: years as PostgreSQL counts them.
//! * `timezone`: what AT TIME ZONE means.
//! * `now`, `date_trunc`, `date_bin`: times in microseconds over their whole range, where DataFusion goes by way of nanoseconds.
//! * [`canonical`]: floats with one zero and one NaN, where DataFusion compares bits.
//! * [`one_row`], [`or_null`]: the value of a subquery that must not have a second row, or may have none.

pub mod adapter;
pub mod arithmetic;
pub mod asof;
pub mod canonical;
mod cast_name;
pub mod casts;
pub mod checked;
pub mod collect;
mod date_bin;
pub(in crate::planner) mod date_part;
mod date_trunc;
mod durations;
pub mod exact;
pub mod guard;
mod half_even;
pub mod joined;
pub(in crate::planner) mod length_order;
mod now;
mod nth;
pub mod one_row;
pub mod or_null;
pub mod ordered_set;
mod ranks;
mod replay;
mod same;
pub(in crate::planner) mod scaled;
pub(in crate::planner) mod seconds;
pub mod session;
mod shift;
pub mod sizes;
mod texts_yield;
mod timezone;
mod value_text;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use datafusion::logical_expr::{AggregateUDF, ScalarUDF, WindowUDF};

pub use asof::{ASOF_MARK, LOOKUP_MARK};
pub use cast_name::CAST_MARK;
pub use checked::{CheckedArithmetic, checked_arithmetic_rule, plain_arithmetic};
pub use exact::aggregate_function;
pub use guard::{SizeLimits, guarded_udfs};
pub use ordered_set::ordered_set_function;
pub(crate) use ranks::row_number;
pub(crate) use same::{is_same, same};
pub use session::{SESSION_END, SESSION_START, session_gap};

/// Optimizer rules of DataFusion that must not run beside the exact aggregates, by name.
///
/// `single_distinct_aggregation_to_group_by` splits a sum beside a DISTINCT into two levels: the inner ones would be
/// rounded, or refused as out of range, before the outer one adds them up.
pub const RULES_OFF: [&str; 1] = ["single_distinct_aggregation_to_group_by"];

/// Aggregate functions of DataFusion that are not offered: what they answer depends on the order of the rows.
pub const AGGREGATES_OFF: [&str; 1] = ["approx_percentile_cont_with_weight"];

/// The aggregate functions to register over DataFusion's.
pub fn all_udafs() -> Vec<Arc<AggregateUDF>> {
    all_udafs_within(SizeLimits::default())
}

/// [`all_udafs`] with limits of one's own for those that collect values.
pub fn all_udafs_within(limits: SizeLimits) -> Vec<Arc<AggregateUDF>> {
    let mut all = exact::exact_udafs();
    all.extend(ordered_set::ordered_set_udafs());
    all.extend(collect::guarded_udafs(limits));
    all.push(nth::nth_value());
    all
}

/// The scalar functions to register over DataFusion's.
pub fn all_udfs() -> Vec<Arc<ScalarUDF>> {
    let mut all = guarded_udfs(SizeLimits::default());
    all.extend([
        now::now(),
        date_part::date_part(),
        date_trunc::date_trunc(),
        date_bin::date_bin(),
    ]);
    all.extend(scaled::all());
    all.extend(texts_yield::all());
    all.push(Arc::new(timezone::timezone()));
    all
}

/// The window functions to register, some over DataFusion's.
pub fn all_udwfs() -> Vec<Arc<WindowUDF>> {
    let mut all = session::session_udwfs();
    all.extend(shift::shift_udwfs());
    all.extend(ranks::rank_udwfs());
    all
}

/// Functions that hold a place in a query until its plan is built.
pub fn marks() -> Vec<Arc<ScalarUDF>> {
    vec![
        asof::asof_mark(),
        asof::lookup_mark(),
        cast_name::cast_mark(),
    ]
}
