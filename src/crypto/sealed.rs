//! Small sealed files: catalog, users, tokens, the log's own notes. Written whole, atomically.
//!
//! Little endian:
//!
//! ```text
//!  0  magic       "LOTICBOX"
//!  8  version     u32 = 1
//! 12  crc32c      u32 of the bytes from 16 on
//! 16  file key    wrapped by the root key: nonce 12, ciphertext 32, tag 16
//! 76  ciphertext, then tag 16
//! ```
//!
//! Every writing has a fresh file key, so the nonce is always 0. The additional data binds purpose
//! and file name: a file moved to another name, or to another purpose, does not open.

use std::path::Path;

use super::aead::{NONCE_BYTES, TAG_BYTES};
use super::keyring::{Keyring, WRAPPED_BYTES};
use crate::base::disk::Disk;
use crate::base::rng::Rng;
use crate::base::{Error, Result};

/// How every sealed file begins.
pub const SEALED_MAGIC: &[u8; 8] = b"LOTICBOX";
const VERSION: u32 = 1;
const NONCE: [u8; NONCE_BYTES] = [0; NONCE_BYTES];

/// Reads and opens a sealed file.
///
/// # Errors
/// 58P01 where it is missing; XX001, naming file and byte, where it is damaged or not this one.
pub fn read_sealed(
    disk: &dyn Disk,
    path: &Path,
    keyring: &Keyring,
    purpose: &str,
) -> Result<Vec<u8>> {
    let bytes = disk
        .read(path)
        .map_err(|error| Error::io(format!("read {}", path.display()), &error))?;
    open_box(&bytes, keyring, &aad(path, purpose)).map_err(|error| error.at(path.display()))
}

/// Seals `plaintext` and puts it at `path`, whole or not at all, mode 0600.
///
/// # Errors
/// Those of the disk (53100 where it is full); the file is as before then.
pub fn write_sealed(
    disk: &dyn Disk,
    path: &Path,
    keyring: &Keyring,
    purpose: &str,
    plaintext: &[u8],
    rng: &dyn Rng,
) -> Result<()> {
    let aad = aad(path, purpose);
    let (key, wrapped) = keyring.create_file_key(&aad, rng)?;
    let mut body = wrapped.to_vec();
    body.extend_from_slice(&super::aead::seal(&key, &NONCE, &aad, plaintext)?);
    let mut bytes = Vec::with_capacity(body.len().saturating_add(16));
    bytes.extend_from_slice(SEALED_MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
    bytes.extend_from_slice(&body);
    disk.write_atomic(path, &bytes, 0o600)
        .map_err(|error| Error::io(format!("write {}", path.display()), &error))
}

fn aad(path: &Path, purpose: &str) -> Vec<u8> {
    let name = path.file_name().unwrap_or_default();
    [
        b"lotic box 1\0".as_slice(),
        purpose.as_bytes(),
        b"\0",
        name.as_encoded_bytes(),
    ]
    .concat()
}

fn open_box(bytes: &[u8], keyring: &Keyring, aad: &[u8]) -> Result<Vec<u8>> {
    let short = || Error::corrupt(format!("the file is cut short at byte {}", bytes.len()));
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(short)?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let (crc, body) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    if magic != SEALED_MAGIC {
        return Err(Error::corrupt(
            "not a sealed file of lotic: byte 0 is damaged",
        ));
    }
    let version = u32::from_le_bytes(*version);
    if version != VERSION {
        return Err(Error::corrupt(format!(
            "sealed file of format {version} at byte 8, this Lotic knows format {VERSION}"
        )));
    }
    if u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
        return Err(Error::corrupt(
            "the sealed bytes from byte 16 on do not match the checksum at byte 12",
        ));
    }
    let (wrapped, sealed) = body
        .split_first_chunk::<WRAPPED_BYTES>()
        .ok_or_else(short)?;
    if sealed.len() < TAG_BYTES {
        return Err(short());
    }
    let key = keyring.open_file_key(aad, wrapped).ok_or_else(|| {
        Error::corrupt(
            "the key at byte 16 does not open: the file belongs elsewhere or was changed",
        )
    })?;
    super::aead::open(&key, &NONCE, aad, sealed)
        .map_err(|_| Error::corrupt("the bytes from byte 76 on do not open: the file was changed"))
}
