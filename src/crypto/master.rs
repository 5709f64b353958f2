//! The master key: from the operator, or made on first start.

use std::fmt;
use std::path::Path;

use base64::Engine;
use zeroize::Zeroizing;

use super::aead::SecretKey;
use crate::base::disk::Disk;
use crate::base::rng::Rng;
use crate::base::{Error, Kind, Result};

/// The key that everything else hangs on.
#[derive(Clone)]
pub struct MasterKey(SecretKey);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

impl MasterKey {
    /// Reads a key file: 32 raw bytes, 64 hex digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// 28000 where the file is missing, readable by all users of the machine, or holds no key.
    pub fn from_file(disk: &dyn Disk, path: &Path) -> Result<Self> {
        let name = path.display();
        let refuse =
            |error: std::io::Error| refused(format!("could not read key file {name}: {error}"));
        let mode = disk.mode(path).map_err(refuse)?;
        if mode & 0o006 != 0 {
            return Err(refused(format!(
                "key file {name} is open to every user of the machine (mode {mode:04o})"
            ))
            .with_hint(format!(
                "take the right away: chmod 600 {name}; if others may have read it, make a new key"
            )));
        }
        let bytes = Zeroizing::new(disk.read(path).map_err(refuse)?);
        parse_file(&bytes).ok_or_else(|| {
            refused(format!(
                "key file {name} holds {} bytes that are no key",
                bytes.len()
            ))
            .with_hint("a key is 32 raw bytes, or 64 hex digits, or base64 of 32 bytes")
        })
    }

    /// Reads a key from the value of an environment variable: 64 hex digits, or base64 of 32 bytes.
    ///
    /// # Errors
    /// 28000 where it is no key; the value is not shown.
    pub fn from_env_value(value: &str) -> Result<Self> {
        parse_text(value).ok_or_else(|| {
            refused(format!(
                "the environment's master key of {} characters is no key",
                value.len()
            ))
            .with_hint("a key is 64 hex digits, or base64 of 32 bytes")
        })
    }

    /// A fresh key.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn generate(rng: &dyn Rng) -> Result<Self> {
        Ok(Self(SecretKey::generate(rng)?))
    }

    /// The text of a key file, 64 hex digits and a line end.
    pub(super) fn file_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::with_capacity(65));
        for byte in self.0.expose() {
            for nibble in [byte >> 4, byte & 0xf] {
                text.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
            }
        }
        text.push('\n');
        text
    }

    pub(super) fn key(&self) -> &SecretKey {
        &self.0
    }
}

/// An error about the key: nothing was read or written with it.
pub(super) fn refused(message: String) -> Error {
    Error::new(Kind::Denied, "28000", message)
}

fn parse_file(bytes: &[u8]) -> Option<MasterKey> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Some(MasterKey(SecretKey::new(raw)));
    }
    parse_text(std::str::from_utf8(bytes).ok()?)
}

fn parse_text(text: &str) -> Option<MasterKey> {
    let text = text.trim();
    if text.len() == 64 {
        let mut key = Zeroizing::new([0_u8; 32]);
        for (byte, digits) in key.iter_mut().zip(text.as_bytes().chunks(2)) {
            let [high, low] = digits else { return None };
            let high = char::from(*high).to_digit(16)?;
            let low = char::from(*low).to_digit(16)?;
            *byte = u8::try_from((high << 4) | low).ok()?;
        }
        return Some(MasterKey(SecretKey::new(*key)));
    }
    let standard = base64::engine::general_purpose::STANDARD.decode(text);
    let bytes = standard
        .or_else(|_| base64::engine::general_purpose::STANDARD_NO_PAD.decode(text))
        .or_else(|_| base64::engine::general_purpose::URL_SAFE.decode(text))
        .or_else(|_| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text));
    let bytes = Zeroizing::new(bytes.ok()?);
    Some(MasterKey(SecretKey::new(
        <[u8; 32]>::try_from(bytes.as_slice()).ok()?,
    )))
}
