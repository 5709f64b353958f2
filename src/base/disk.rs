//! The seam to files.
