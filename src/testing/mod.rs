//! What tests share: strategies, oracles, fault layers.
pub mod sql_laws;
