//! From SQL text to logical plans, and from plans to dataflows.

pub mod functions;
