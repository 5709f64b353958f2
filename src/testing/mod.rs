//! What tests share: strategies, oracles, fault layers.
