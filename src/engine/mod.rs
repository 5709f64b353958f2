//! Incremental operators and the graph that steps them.
//!
//! An operator is a synchronous function from deltas to deltas with state of its own: no channels,
//! tasks or plans inside the graph. It knows nothing of topics, sessions or clocks, so that it can
//! be tested against its law alone:
//!
//! 1. the integral of the output is the batch query over the integral of the input;
//! 2. any split and order of the same deltas gives the same integral;
//! 3. deltas followed by their negation leave empty state.

pub mod accumulate;
mod budget;
pub mod dataflow;
mod evaluate;
mod frontier;
pub mod operator;
pub mod operators;
mod parallel;
mod progress;
mod shards;
mod sweep;

#[cfg(test)]
mod tests;

pub use budget::{AllModels, Budget, MODEL_MEMORY_HINT};
pub use dataflow::{Dataflow, DataflowBuilder, NodeId, NodeStats};
pub use evaluate::{EvaluatedRows, evaluate_rows};
pub use frontier::{Closing, Frontier, FrontierTerm};
pub use operator::{Deltas, Operator, RowError, StepContext, Watermarks};
pub use progress::{Progress, Reached};
pub use shards::{Parts, ShardKey, in_parts};
