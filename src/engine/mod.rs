//! Incremental operators and the graph that steps them.
