//! The `lotic` binary: everything is in the library.

fn main() {}
