//! The integration tests, one binary.

mod connectors;
