//! What tests share: strategies, oracles, fault layers.

pub mod laws;
pub mod sql_laws;
