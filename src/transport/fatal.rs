//! The end of the process, for failures after which no byte of the log can be trusted.

/// Says why in one line and ends the process. The next start examines what is on disk.
pub(super) fn fatal(why: &str) -> ! {
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!("{why}; stopping at once, since acknowledging anything more could lose it");
    } else {
        #[expect(
            clippy::print_stderr,
            reason = "the last words must be seen where no log is set up"
        )]
        {
            eprintln!(
                "lotic: {why}; stopping at once, since acknowledging anything more could lose it"
            );
        }
    }
    std::process::abort()
}
