//! The only wiring place: driver, sessions, recovery.
