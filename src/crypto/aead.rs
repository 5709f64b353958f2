//! AES-256-GCM with 96-bit nonces and 128-bit tags (NIST SP 800-38D), in place.

use std::fmt;

use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit};
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::base::rng::Rng;
use crate::base::{Error, Result};

/// Length of a nonce in bytes.
pub const NONCE_BYTES: usize = 12;
/// Length of a tag in bytes.
pub const TAG_BYTES: usize = 16;

/// A 256-bit key. Its bytes are zeroed when it goes and never shown.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SecretKey([u8; 32]);

impl SecretKey {
    /// Takes over the bytes of a key.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// A fresh key.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn generate(rng: &dyn Rng) -> Result<Self> {
        let mut key = Self([0; 32]);
        rng.fill(&mut key.0)?;
        Ok(key)
    }

    /// The key made ready to seal and open.
    pub fn cipher(&self) -> Cipher {
        Cipher(Aes256Gcm::new(&self.0.into()))
    }

    /// The bytes, to be wrapped or written to the master key file and nowhere else.
    pub(super) fn expose(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

/// A key with its round keys computed. Zeroed when it goes.
pub struct Cipher(Aes256Gcm);

impl fmt::Debug for Cipher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cipher(..)")
    }
}

impl Cipher {
    /// Encrypts `buffer` in place and returns the tag. The caller never gives one nonce twice.
    ///
    /// # Errors
    /// Only past 64 GiB, the limit of GCM.
    pub fn seal_in_place(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        buffer: &mut [u8],
    ) -> Result<[u8; TAG_BYTES]> {
        self.0
            .encrypt_inout_detached(&(*nonce).into(), aad, buffer.into())
            .map(Into::into)
            .map_err(|_| Error::limit("more than 64 GiB cannot be encrypted at once"))
    }

    /// Decrypts `sealed`, which ends in its tag, in place and returns the plaintext part; `None`
    /// where it is not what was sealed, and then `sealed` is unchanged.
    pub fn open_in_place<'a>(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &'a mut [u8],
    ) -> Option<&'a mut [u8]> {
        let (text, tag) = sealed.split_last_chunk_mut::<TAG_BYTES>()?;
        self.0
            .decrypt_inout_detached(&(*nonce).into(), aad, (&mut *text).into(), &(*tag).into())
            .ok()?;
        Some(text)
    }
}

/// Encrypts `plaintext`; the result ends in the tag. The caller never gives one nonce twice under a key.
///
/// # Errors
/// Only past 64 GiB, the limit of GCM.
pub fn seal(
    key: &SecretKey,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    plaintext: &[u8],
) -> Result<Vec<u8>> {
    let mut sealed = Vec::with_capacity(plaintext.len().saturating_add(TAG_BYTES));
    sealed.extend_from_slice(plaintext);
    let tag = key.cipher().seal_in_place(nonce, aad, &mut sealed)?;
    sealed.extend_from_slice(&tag);
    Ok(sealed)
}

/// Decrypts what `seal` gave.
///
/// # Errors
/// XX001 where key, nonce, `aad` or a byte differ.
pub fn open(
    key: &SecretKey,
    nonce: &[u8; NONCE_BYTES],
    aad: &[u8],
    sealed: &[u8],
) -> Result<Vec<u8>> {
    let mut bytes = sealed.to_vec();
    let Some(text) = key.cipher().open_in_place(nonce, aad, &mut bytes) else {
        return Err(Error::corrupt(
            "the sealed bytes are damaged or belong elsewhere",
        ));
    };
    let len = text.len();
    bytes.truncate(len);
    Ok(bytes)
}
