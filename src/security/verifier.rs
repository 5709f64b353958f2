//! What the server keeps instead of a password: salt, iterations, StoredKey and ServerKey (RFC 5802, 3).

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::base::rng::Rng;
use crate::base::{Error, Result};

/// Bytes of a SHA-256 digest.
pub(crate) const DIGEST: usize = 32;

/// PBKDF2 iterations of new verifiers. RFC 7677 asks for 4,096 at least.
pub const ITERATIONS: u32 = 15_000;

/// The fewest iterations that are read back from a store, as RFC 7677 asks.
pub const MIN_ITERATIONS: u32 = 4_096;

/// The most iterations that are read back: beyond it, a client would be stalled by its own login.
const MAX_ITERATIONS: u32 = 10_000_000;

const SALT_BYTES: usize = 16;
const SCHEME: &str = "SCRAM-SHA-256";

/// Proves a password to the server without holding it, and the server to the client.
///
/// It cannot be turned back into the password, but it lets a thief play the *server*, and guess
/// offline: it is stored sealed and never printed.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct Verifier {
    pub(crate) iterations: u32,
    pub(crate) salt: Vec<u8>,
    pub(crate) stored_key: [u8; DIGEST],
    pub(crate) server_key: [u8; DIGEST],
}

impl Verifier {
    /// A verifier of `password` with a fresh salt.
    ///
    /// # Errors
    /// When the password is empty, or the system has no random bytes.
    pub fn new(password: &str, rng: &dyn Rng) -> Result<Self> {
        let mut salt = [0; SALT_BYTES];
        rng.fill(&mut salt)?;
        Self::derive(password, &salt, ITERATIONS)
    }

    /// A verifier of `password` under a given salt and count of iterations.
    ///
    /// # Errors
    /// When the password is empty or `iterations` is under [`MIN_ITERATIONS`].
    pub fn derive(password: &str, salt: &[u8], iterations: u32) -> Result<Self> {
        if password.is_empty() {
            return Err(Error::invalid("a password must not be empty"));
        }
        if iterations < MIN_ITERATIONS {
            return Err(Error::invalid(format!(
                "at least {MIN_ITERATIONS} iterations are needed, not {iterations}"
            )));
        }
        // RFC 5802 has the password prepared; what cannot be prepared is used as it is, which is
        // what libpq and every server of the protocol do as well.
        let prepared = stringprep::saslprep(password);
        let bytes = prepared.as_deref().unwrap_or(password).as_bytes();
        let mut salted = salted_password(bytes, salt, iterations);
        let mut client_key = mac(&salted, &[b"Client Key"]);
        let stored_key = Sha256::digest(client_key).into();
        let server_key = mac(&salted, &[b"Server Key"]);
        salted.zeroize();
        client_key.zeroize();
        Ok(Self {
            iterations,
            salt: salt.to_vec(),
            stored_key,
            server_key,
        })
    }

    /// A verifier that no password fits, the same on each call for a user and a secret.
    pub(crate) fn mock(user: &str, secret: &[u8; DIGEST]) -> Self {
        let salt = mac(secret, &[b"salt\0", user.as_bytes()]);
        Self {
            iterations: ITERATIONS,
            salt: salt.iter().copied().take(SALT_BYTES).collect(),
            stored_key: mac(secret, &[b"stored\0", user.as_bytes()]),
            server_key: mac(secret, &[b"server\0", user.as_bytes()]),
        }
    }

    /// The text form `SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>`, base64 parts,
    /// which PostgreSQL writes too. It is a secret.
    pub fn to_text(&self) -> String {
        format!(
            "{SCHEME}${}:{}${}:{}",
            self.iterations,
            STANDARD.encode(&self.salt),
            STANDARD.encode(self.stored_key),
            STANDARD.encode(self.server_key),
        )
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// When it is not of that form, or asks for too few or too many iterations.
    pub fn from_text(text: &str) -> Result<Self> {
        Self::read(text).ok_or_else(|| Error::corrupt("a stored password verifier is malformed"))
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('$');
        let (scheme, cost, keys) = (parts.next()?, parts.next()?, parts.next()?);
        let (iterations, salt) = cost.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        let iterations = iterations.parse().ok()?;
        let in_range = (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&iterations);
        if scheme != SCHEME || parts.next().is_some() || !in_range {
            return None;
        }
        Some(Self {
            iterations,
            salt: STANDARD.decode(salt).ok()?,
            stored_key: STANDARD.decode(stored).ok()?.try_into().ok()?,
            server_key: STANDARD.decode(server).ok()?.try_into().ok()?,
        })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("iterations", &self.iterations)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA-256 over the parts one after the other.
pub(crate) fn mac(key: &[u8], parts: &[&[u8]]) -> [u8; DIGEST] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// `Hi` of RFC 5802, 2.2: PBKDF2 with HMAC-SHA-256 and one block of output.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> [u8; DIGEST] {
    // Keying once and cloning the keyed state halves the work of a derivation.
    let keyed = Hmac::<Sha256>::new_from_slice(password).expect("HMAC takes a key of any length");
    let mut first = keyed.clone();
    first.update(salt);
    first.update(&1_u32.to_be_bytes());
    let mut block: [u8; DIGEST] = first.finalize().into_bytes().into();
    let mut result = block;
    for _ in 1..iterations {
        let mut next = keyed.clone();
        next.update(&block);
        block = next.finalize().into_bytes().into();
        for (sum, byte) in result.iter_mut().zip(block) {
            *sum ^= byte;
        }
    }
    block.zeroize();
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_reads_back_and_hostile_text_does_not() {
        let verifier = Verifier::derive("pencil", b"0123456789abcdef", 4_096).unwrap();
        assert_eq!(Verifier::from_text(&verifier.to_text()).unwrap(), verifier);
        for bad in [
            "",
            "SCRAM-SHA-256",
            "SCRAM-SHA-256$1:AA==$AA==:AA==",
            "md5abc",
            "a$b$c$d",
        ] {
            assert!(Verifier::from_text(bad).is_err(), "{bad}");
        }
        let weak = verifier.to_text().replace("4096", "4095");
        assert!(Verifier::from_text(&weak).is_err());
    }

    #[test]
    fn debug_shows_no_key() {
        let verifier = Verifier::derive("pencil", b"salt", 4_096).unwrap();
        assert_eq!(format!("{verifier:?}"), "Verifier { iterations: 4096, .. }");
    }

    #[test]
    fn passwords_are_prepared_before_hashing() {
        // RFC 4013, 3: a soft hyphen maps to nothing, and the Roman numeral nine to two letters.
        let plain = Verifier::derive("IX", b"salt", 4_096).unwrap();
        assert_eq!(Verifier::derive("I\u{AD}X", b"salt", 4_096).unwrap(), plain);
        assert_eq!(Verifier::derive("\u{2168}", b"salt", 4_096).unwrap(), plain);
    }

    #[test]
    fn empty_passwords_are_refused() {
        assert!(Verifier::derive("", b"salt", 4_096).is_err());
    }
}
