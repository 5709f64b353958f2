//! The `lotic` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    lotic::cli::main()
}
