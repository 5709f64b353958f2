//! Keys and sealing: bytes in, bytes out.
//!
//! The chain of keys, from the outside in:
//!
//! ```text
//! master key   given by the operator (file or environment), or made on first start
//!   root key   in DATA/keyring, wrapped by the master key: rotation rewrites this one file
//!     area key one a topic, collection or checkpoint area, stored wrapped with the area;
//!              destroying it makes the area unreadable
//!       file or segment key: fresh for every file, stored wrapped in its header
//! ```
//!
//! Everything is AES-256-GCM. A file or segment key encrypts under counter nonces that start at 0
//! with the fresh key, so no (key, nonce) pair comes twice, not even when a folder is copied and
//! both copies go on. Wrapping uses random 96-bit nonces, one a wrap: far below 2^32 under a key.
//!
//! Not covered: the memory of the running process, and an operator who holds the master key.
#![warn(
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::expect_used
)]

mod aead;
mod keyring;
mod load;
mod master;
mod sealed;

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]
mod tests;

pub use aead::{Cipher, NONCE_BYTES, SecretKey, TAG_BYTES, open, seal};
pub use keyring::{AreaKey, Keyring, WRAPPED_BYTES, WrappedKey};
pub use load::{KeyOrigin, load_or_create_key};
pub use master::MasterKey;
pub use sealed::{SEALED_MAGIC, read_sealed, write_sealed};
