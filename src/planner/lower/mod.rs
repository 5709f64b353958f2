//! From an optimised logical plan to a dataflow of incremental operators.
//!
//! `rewrite` first gives the plan the shape that both modes share: a Sort that nothing reads is
//! dropped, and expressions that can fail on a row move into projections, where the rule "a failing
//! row is left out, the rest passes" can be kept. `lowering` then walks the plan and makes one operator a
//! node; a node without an incremental form becomes the root of a `region`, which `evaluator` hands
//! to DataFusion as a whole whenever its inputs change; `scalars` keeps the commonest subqueries out of it. `batch` runs the same rewritten plan once over
//! everything: it is the other mode, and the oracle of the tests. `tolerant` is its second try, after
//! an expression failed. `limit_on_sort` keeps the order that a LIMIT of a batch plan reads.

mod aggregate;
mod asof;
mod batch;
mod bounds;
mod evaluated;
mod evaluator;
mod expressions;
mod grouping;
mod hoist;
mod join;
mod keyed;
mod limit_on_sort;
mod lookup;
mod lowering;
mod merge;
mod not_in;
mod on_close;
mod ranks;
mod recursion;
mod region;
mod rewrite;
mod round_parts;
mod rounds;
mod scalars;
mod scan;
mod session;
mod shared;
mod spread;
mod temporal;
mod tolerant;
mod tolerant_aggregate;
mod tolerant_condition;
mod tolerant_exec;
mod tolerant_window;
mod top_k;
mod unnest;
mod window;
mod window_function;

#[cfg(test)]
mod tests;

pub use batch::{BatchRun, physical_batch, plan_batch, run_batch};
pub use bounds::{Bound, Bounds};
pub use evaluator::{DataFusionEvaluators, EvaluatorFactory};
pub use expressions::refuse_unstable;
pub(crate) use expressions::{may_fail, reads_elsewhere};
pub(crate) use hoist::hoist_set_keys;
pub use lowering::{Lowered, Resolved, lower, lower_on_close};
pub use on_close::closed_at;
pub use temporal::at_moment;
pub use tolerant::{RowErrors, is_row_error, tolerant_state};
pub use tolerant_window::TolerantWindowPlanner;
