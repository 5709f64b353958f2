//! Statements read, statements refused, and the bounds.
