//! Tests of the log.

mod basic;
