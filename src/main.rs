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

    use std::ffi::{c_int, c_long};

    /// `mi_option_purge_delay` of mimalloc 2 and 3: for how many milliseconds what was freed is kept at hand.
    const PURGE_DELAY: c_int = 15;
    /// Between two epochs, much is freed that the next one needs again: given back each time, it costs a fault a page. What
    /// is not needed again goes by [`collect`].
    const KEPT_MS: c_long = 60_000;

    unsafe extern "C" {
        fn mi_collect(force: bool);
        fn mi_option_set(option: c_int, value: c_long);
    }

    /// Keeps what was freed at hand for longer than the allocator would.
    pub(super) fn keep() {
        // SAFETY: it sets a number, before any other thread is there.
        unsafe { mi_option_set(PURGE_DELAY, KEPT_MS) }
    }

    /// Gives back to the machine what this thread keeps and nothing uses.
    pub(super) fn collect() {
        // SAFETY: it may be called at any time on any thread, and touches no memory that is in use.
        unsafe { mi_collect(true) }
    }
}

fn main() -> ExitCode {
    allocator::keep();
    lotic::base::memory::set_collector(allocator::collect);
    lotic::cli::main()
}
