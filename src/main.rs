//! The `lotic` binary: everything is in the library.

use std::process::ExitCode;

/// It gives memory back once rows are gone, which the C library's does not for long.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(
    unsafe_code,
    reason = "the crate of the allocator has no safe form of it"
)]
mod allocator {
    //! What the allocator can do beside allocating.

    unsafe extern "C" {
        fn mi_collect(force: bool);
    }

    /// Gives back to the machine what this thread keeps and nothing uses.
    pub(super) fn collect() {
        // SAFETY: it may be called at any time on any thread, and touches no memory that is in use.
        unsafe { mi_collect(true) }
    }
}

fn main() -> ExitCode {
    lotic::base::memory::set_collector(allocator::collect);
    lotic::cli::main()
}
