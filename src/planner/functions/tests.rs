//! The functions inside DataFusion.
