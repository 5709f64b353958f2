//! Who may log in: roles with their SCRAM verifiers, the login exchange itself, and the brake on guessing.
//!
//! No password is kept anywhere. A role holds a [`verifier::Verifier`] (salt, iterations, StoredKey,
//! ServerKey); [`users::Users`] keeps the roles in one small blob that the embedder seals and stores;
//! [`scram::Exchange`] is the pure state machine of one login; [`backoff::Backoff`] slows an address
//! that guesses. Nothing here does I/O of its own.

pub mod backoff;
pub mod scram;
pub mod users;
pub mod verifier;

pub use users::{NewRole, UserStore, Users};
pub use verifier::Verifier;
