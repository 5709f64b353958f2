//! Sessions for planning and running queries: the only place where a `SessionState` is made.
//!
//! `options` says what a session may use, `session` builds it (Lotic's functions, own catalog, no files, no plain spill),
//! `plan` turns a prepared query into a plan on a large stack. `total_order` makes every choice among ties total, so that batch and
//! stream choose the same rows; `multiset` gives INTERSECT ALL and EXCEPT ALL their multiplicities; `correlated` makes joins of
//! subqueries that look at the row outside, and `missing_rows` says that one without a row is NULL; `floats` lets a float win over a
//! decimal; `one_zero` lets -0.0 meet 0.0; `ordered_once` drops what an aggregate is ordered by twice; `duplicates` names the columns of
//! derived tables and `gap_fill` those of a GAP_FILL; `json` makes calls of the operators and casts of JSON, `array_operators` of those of arrays; `models` is the list of
//! optimizer rules for models, `join_order` the one that is our own, `model_memory` the budget of their batch runs; `cancel` lets a
//! running plan end; `forgotten` forgets what grouping sets and outer joins do not keep of their input, `enforced` puts in what a
//! plan lacks at the end, `push_down` leaves conditions without columns above aggregates, `push_filters` those
//! that read one of two columns of one name, `prune_floats` keeps those on floats from skipping parts of files, `first_groups` groups out of a heap of the first ones where it has others, `limits_stay` a LIMIT where a sort goes,
//! `set_keys`, `constant_keys`, `common_exprs`, `left_out` and `far_moments` keep from other rules what they would refuse a valid query for,
//! `dates` lets functions of time take a date, `range_frames` gives the bounds of frames room, `whole_frames` finds them over whole partitions, `peers` settles what `total_order` must leave open, `casts` makes casts PostgreSQL's, `chosen_in_lists` compares with the values of an IN that a CASE chooses, `dependencies` lets columns depend on keys only as far as they do, and `dependent_keys` drops the keys of groups that nobody reads, `unions` brings the inputs of unions to one type while they are planned, `unique_below` keeps what is unique where it is, `veil` is the node that hides its
//! input from such rules, `each_node` what those have in common that look at one node at a time, `around` those that set a rule of DataFusion's right, `recursive_reads` refuses a recursion that is read
//! twice, `round_limit` ends those that have no end.

mod around;
mod array_operators;
mod cancel;
mod casts;
mod chosen_in_lists;
mod common_exprs;
mod constant_keys;
mod correlated;
mod dates;
mod dependencies;
mod dependent_keys;
mod duplicates;
mod each_node;
mod enforced;
mod far_moments;
mod first_groups;
mod floats;
mod forgotten;
mod gap_fill;
mod join_keys;
mod join_order;
mod join_sides;
mod json;
mod left_out;
mod length_order;
mod lengths;
mod limits_stay;
mod missing_rows;
mod model_memory;
mod models;
mod multiset;
mod one_zero;
mod options;
mod ordered_once;
mod peers;
mod plan;
mod prune_floats;
mod push_down;
mod push_filters;
mod range_frames;
mod recursive_reads;
mod round_limit;
mod session;
mod set_keys;
#[cfg(test)]
mod tests;
mod texts;
mod total_order;
mod types;
mod unions;
mod unique_below;
mod veil;
mod whole_frames;

#[cfg(test)]
pub(crate) use around::{Rule, put_around};
pub use cancel::make_cancellable;
#[cfg(test)]
pub(crate) use chosen_in_lists::compare_chosen;
#[cfg(test)]
pub(crate) use dependencies::depend_rightly;
pub use model_memory::ModelMemory;
pub use models::model_optimizer;
#[cfg(test)]
pub(crate) use one_zero::OneZero;
pub use options::{ContextOptions, PlanFor};
pub(crate) use peers::{aggregate_of, is_open_to_peers, peer_order};
pub use plan::{check_size, optimize, physical_plan, plan_query};
#[cfg(test)]
pub(crate) use push_down::push_down_rightly;
pub(crate) use range_frames::distance;
pub use session::session_state;
pub use total_order::TotalOrder;
