//! One pass over a query's tree before DataFusion plans it, the same in batch and in stream.
//!
//! DataFusion parses some syntax and then ignores it, lacks some, and gets some wrong. `reject` and `whole_rows` refuse the first
//! kind with a clear error; `window_tables`, `gap_fill`, `grouping_sets`, `outer_aggregates`, `named_windows`, `from_functions`, `select_functions`, `fetch`, `table`, `using`, `order`, `ctes`, `numbers`, `operators`, `patterns`, `percentiles`, `subscripts`, `arrays`, `array_calls`, `json`, `rows`, `values` and `names` rewrite the second, as do `asof` and `lookup`. (INTERSECT ALL and EXCEPT ALL are
//! mended after planning, in `context::multiset`, where the columns of `*` are known. `cast_names` is for a query that is refused for two
//! columns of one name.) `dependencies` collects
//! what a query reads and `volatile` refuses in a model what would not give the same answer twice.

mod array_calls;
mod arrays;
mod asof;
mod build;
mod cast_names;
mod ctes;
mod dependencies;
mod expansion;
mod fetch;
mod from_functions;
mod gap_fill;
mod grouping_sets;
mod interval;
mod json;
mod lookup;
mod named_windows;
mod names;
mod numbers;
mod operators;
mod order;
mod outer_aggregates;
mod patterns;
mod percentiles;
mod reject;
mod rows;
mod select_functions;
mod subscripts;
mod table;
#[cfg(test)]
mod tests;
mod using;
mod values;
mod visit;
mod volatile;
mod watermark;
mod whole_rows;
mod window_tables;

pub use cast_names::{is_of_names, tell_casts_apart};
pub use dependencies::Dependencies;
pub use gap_fill::{GapSpec, STEP, STEPS, Strategy, filled_as, next_of};
pub use lookup::PRESENT;
pub use names::{copy_name, output_name, restore_names};
pub use visit::{prepare_expression, prepare_query};
pub use volatile::{check_model_plan, check_model_query};
pub use watermark::watermark_delay_us;
