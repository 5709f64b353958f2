//! The operators, a file each. What each one computes stands as its law at the top of its file.

mod aggregate;
mod asof;
mod distinct;
mod expand;
mod filter;
mod group_top_k;
mod join;
mod lookup;
mod on_close;
mod project;
mod recompute;
mod recursion;
mod session;
mod temporal_filter;
mod top_k;
mod union;
mod unnest;
mod values;
mod window;

pub use aggregate::{Aggregate, AggregateCall, AggregateConfig, CallForm};
pub use asof::{AsofConfig, AsofJoin, AsofMatch};
pub use distinct::Distinct;
pub use expand::Expand;
pub use filter::Filter;
pub use group_top_k::{GroupTopK, GroupTopKConfig, Numbering, RankColumn};
pub use join::{Bound, Join, JoinConfig, JoinKind, WaitingJoin};
pub use lookup::{Lookup, LookupConfig};
pub use on_close::OnClose;
pub use project::Project;
pub use recompute::{Evaluate, Recompute};
pub use recursion::{MAX_ROUNDS, ROUND, Recursion, RecursionConfig, endless};
pub use session::{Session, SessionBound, SessionConfig, SessionSpan, session_spans};
pub use temporal_filter::{Moving, TemporalFilter, TimeBound};
pub use top_k::TopK;
pub use union::Union;
pub use unnest::{EmptyList, ListColumn, Unnest, UnnestConfig};
pub use values::Values;
pub use window::{Extent, Reach, Window, WindowConfig, WindowFunction};

pub use crate::state::OrderKey;
