//! From SQL text to logical plans, and from plans to dataflows.

pub mod context;
pub mod parse;
pub mod prepass;
pub mod stack;
