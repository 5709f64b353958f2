//! From SQL text to logical plans, and from plans to dataflows.

pub mod explain;
pub mod lower;
pub mod parse;
pub mod stack;
pub mod functions;
pub mod context;
pub mod explain;
pub mod functions;
pub mod lower;
pub mod parse;
pub mod prepass;
pub mod stack;
