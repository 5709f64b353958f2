//! From SQL text to logical plans, and from plans to dataflows.
//!
//! `parse` reads statements, `prepass` makes a query fit for DataFusion, `context` plans it in a
//! session of Lotic's own with the functions of `functions` and the joins of `asof` and `lookup`, and `lower` makes a dataflow of the
//! plan of a model, which `explain` shows.

pub mod asof;
pub mod context;
pub mod explain;
pub mod functions;
pub mod lookup;
pub mod lower;
pub mod parse;
pub mod prepass;
pub mod stack;
