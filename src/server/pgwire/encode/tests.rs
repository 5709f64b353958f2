//! Whole rows, written and looked at.
