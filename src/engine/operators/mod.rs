//! The operators, a file each. What each one computes stands as its law at the top of its file.

mod aggregate;
mod distinct;
mod expand;
mod filter;
mod join;
mod project;
mod recompute;
mod union;
mod values;

pub use aggregate::{Aggregate, AggregateCall, AggregateConfig, CallForm};
pub use distinct::Distinct;
pub use expand::Expand;
pub use filter::Filter;
pub use join::{Join, JoinConfig, JoinKind};
pub use project::Project;
pub use recompute::{Evaluate, Recompute};
pub use union::Union;
pub use values::Values;
