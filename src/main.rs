//! The `lotic` binary: everything is in the library.

use std::process::ExitCode;

/// It gives memory back once rows are gone, which the C library's does not for long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    lotic::cli::main()
}
