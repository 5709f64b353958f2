//! ASOF joins, which DataFusion does not have: a node of Lotic's own in its plans.
//!
//! The pre-pass writes `a ASOF JOIN b MATCH_CONDITION (m) ON k` as a join with a marked condition, so that DataFusion resolves
//! the names; `build` makes a [`AsofNode`] of it before anything else looks at the plan. `exec` runs the node in batch, with the
//! pairs that `nearest` finds; `physical` tells DataFusion's planner of it, and `push` lets conditions through. Lowering has the incremental form.

mod build;
mod exec;
mod nearest;
mod node;
mod physical;
mod push;

pub use build::rewrite;
pub use node::AsofNode;
pub use physical::LoticQueryPlanner;
pub use push::PushBelowAsof;
