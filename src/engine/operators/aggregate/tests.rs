//! The aggregate against a naive reference.
