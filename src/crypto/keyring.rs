//! The keyring file, which proves the master key, and the wrapping of area, file and segment keys.
//!
//! `DATA/keyring`, little endian:
//!
//! ```text
//!  0  magic       "LOTICKEY"
//!  8  version     u32 = 1
//! 12  crc32c      u32 of the bytes from 16 on
//! 16  folder id   16 random bytes
//! 32  root key    wrapped by the master key: nonce 12, ciphertext 32, tag 16
//! 92  end
//! ```
//!
//! The checksum tells a damaged file from a wrong key.

use std::fmt;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::aead::{NONCE_BYTES, SecretKey};
use super::master::{MasterKey, refused};
use crate::base::disk::Disk;
use crate::base::rng::Rng;
use crate::base::{Error, Result};

/// Length of a wrapped key in bytes: nonce, ciphertext, tag.
pub const WRAPPED_BYTES: usize = 60;

/// A key encrypted by another.
pub type WrappedKey = [u8; WRAPPED_BYTES];

const MAGIC: &[u8; 8] = b"LOTICKEY";
const VERSION: u32 = 1;
const FILE_BYTES: usize = 92;

/// The root of a data folder's keys.
pub struct Keyring {
    folder_id: [u8; 16],
    root: SecretKey,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keyring(..)")
    }
}

/// The key of one topic, collection or checkpoint area.
pub struct AreaKey(SecretKey);

impl fmt::Debug for AreaKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AreaKey(..)")
    }
}

impl Keyring {
    /// Where the keyring of a data folder lies.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join("keyring")
    }

    /// Opens the keyring of `data_dir`, or makes one where the folder is new.
    ///
    /// # Errors
    /// 28000 for a wrong key or a lost keyring, XX001 for a damaged one; nothing is written then.
    pub fn open(
        disk: &dyn Disk,
        data_dir: &Path,
        master: &MasterKey,
        rng: &dyn Rng,
    ) -> Result<Self> {
        if let Some(found) = Self::open_existing(disk, data_dir, master)? {
            // A kill may have left the file's name where no disk has seen it yet, and all that is
            // written from here on hangs on it.
            disk.sync_dir(data_dir)
                .map_err(|error| Error::io(format!("sync {}", data_dir.display()), &error))?;
            return Ok(found);
        }
        super::load::refuse_lost_keyring(disk, data_dir)?;
        let mut folder_id = [0; 16];
        rng.fill(&mut folder_id)?;
        let keyring = Self {
            folder_id,
            root: SecretKey::generate(rng)?,
        };
        keyring.store(disk, data_dir, master, rng)?;
        Ok(keyring)
    }

    /// Opens the keyring of `data_dir`; `None` where there is none.
    pub(super) fn open_existing(
        disk: &dyn Disk,
        data_dir: &Path,
        master: &MasterKey,
    ) -> Result<Option<Self>> {
        let path = Self::path(data_dir);
        let name = path.display();
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io(format!("read {name}"), &error)),
        };
        let parsed = parse(&bytes).map_err(|error| error.at(&name))?;
        let aad = keyring_aad(&parsed.0);
        let root = unwrap_key(master.key(), &aad, &parsed.1).ok_or_else(|| {
            refused(format!(
                "the master key is not the one of data folder {}",
                data_dir.display()
            ))
            .with_hint("give the key that the folder was made with; nothing was changed")
        })?;
        Ok(Some(Self {
            folder_id: parsed.0,
            root,
        }))
    }

    /// Wraps the root key anew under `master`. No data is rewritten; once this returns, the old
    /// master key opens nothing.
    ///
    /// # Errors
    /// Those of writing the file; the old key stays good then.
    pub fn store(
        &self,
        disk: &dyn Disk,
        data_dir: &Path,
        master: &MasterKey,
        rng: &dyn Rng,
    ) -> Result<()> {
        let wrapped = wrap_key(master.key(), &keyring_aad(&self.folder_id), &self.root, rng)?;
        let mut body = Vec::with_capacity(FILE_BYTES);
        body.extend_from_slice(&self.folder_id);
        body.extend_from_slice(&wrapped);
        let mut bytes = Vec::with_capacity(FILE_BYTES);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&body).to_le_bytes());
        bytes.extend_from_slice(&body);
        let path = Self::path(data_dir);
        disk.write_atomic(&path, &bytes, 0o600)
            .map_err(|error| Error::io(format!("write {}", path.display()), &error))
    }

    /// A fresh key for the area called `name`, and its wrapped form to store.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn create_area(&self, name: &str, rng: &dyn Rng) -> Result<(AreaKey, WrappedKey)> {
        let key = SecretKey::generate(rng)?;
        let wrapped = wrap_key(&self.root, &self.area_aad(name), &key, rng)?;
        Ok((AreaKey(key), wrapped))
    }

    /// The key of the area called `name`.
    ///
    /// # Errors
    /// XX001 where `wrapped` is damaged or another area's.
    pub fn open_area(&self, name: &str, wrapped: &WrappedKey) -> Result<AreaKey> {
        unwrap_key(&self.root, &self.area_aad(name), wrapped)
            .map(AreaKey)
            .ok_or_else(|| {
                Error::corrupt(format!("the key of {name} is damaged or belongs elsewhere"))
            })
    }

    fn area_aad(&self, name: &str) -> Vec<u8> {
        [
            b"lotic area 1\0".as_slice(),
            &self.folder_id,
            name.as_bytes(),
        ]
        .concat()
    }
}

impl AreaKey {
    /// A fresh key for one file or segment, bound to `aad`, and its wrapped form for the header.
    ///
    /// # Errors
    /// When the system has no random bytes to give.
    pub fn create_child(&self, aad: &[u8], rng: &dyn Rng) -> Result<(SecretKey, WrappedKey)> {
        let key = SecretKey::generate(rng)?;
        let wrapped = wrap_key(&self.0, aad, &key, rng)?;
        Ok((key, wrapped))
    }

    /// The key in a header; `None` where the header is damaged or belongs elsewhere.
    pub fn open_child(&self, aad: &[u8], wrapped: &WrappedKey) -> Option<SecretKey> {
        unwrap_key(&self.0, aad, wrapped)
    }
}

fn keyring_aad(folder_id: &[u8; 16]) -> Vec<u8> {
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), folder_id].concat()
}

fn parse(bytes: &[u8]) -> Result<([u8; 16], WrappedKey)> {
    let damaged = |at: usize| Error::corrupt(format!("the keyring is damaged at byte {at}"));
    if bytes.len() != FILE_BYTES {
        return Err(damaged(bytes.len().min(FILE_BYTES)));
    }
    let (magic, rest) = bytes.split_first_chunk::<8>().ok_or_else(|| damaged(0))?;
    let (version, rest) = rest.split_first_chunk::<4>().ok_or_else(|| damaged(8))?;
    let (crc, body) = rest.split_first_chunk::<4>().ok_or_else(|| damaged(12))?;
    if magic != MAGIC {
        return Err(damaged(0));
    }
    if u32::from_le_bytes(*version) != VERSION {
        return Err(Error::corrupt(format!(
            "keyring of format {}, this is a Lotic that knows format {VERSION}",
            u32::from_le_bytes(*version)
        )));
    }
    if u32::from_le_bytes(*crc) != crc32c::crc32c(body) {
        return Err(damaged(12));
    }
    let (folder_id, rest) = body.split_first_chunk::<16>().ok_or_else(|| damaged(16))?;
    let wrapped = WrappedKey::try_from(rest).map_err(|_| damaged(32))?;
    Ok((*folder_id, wrapped))
}

pub(super) fn wrap_key(
    under: &SecretKey,
    aad: &[u8],
    key: &SecretKey,
    rng: &dyn Rng,
) -> Result<WrappedKey> {
    let mut nonce = [0; NONCE_BYTES];
    rng.fill(&mut nonce)?;
    let sealed = super::aead::seal(under, &nonce, aad, key.expose())?;
    let mut wrapped = [0; WRAPPED_BYTES];
    for (to, from) in wrapped.iter_mut().zip(nonce.iter().chain(sealed.iter())) {
        *to = *from;
    }
    Ok(wrapped)
}

pub(super) fn unwrap_key(under: &SecretKey, aad: &[u8], wrapped: &WrappedKey) -> Option<SecretKey> {
    let (nonce, sealed) = wrapped.split_first_chunk::<NONCE_BYTES>()?;
    let mut sealed = Zeroizing::new(sealed.to_vec());
    let text = under.cipher().open_in_place(nonce, aad, &mut sealed)?;
    let bytes = Zeroizing::new(<[u8; 32]>::try_from(&*text).ok()?);
    Some(SecretKey::new(*bytes))
}

impl Keyring {
    /// A fresh key for one sealed file, and its wrapped form.
    pub(super) fn create_file_key(
        &self,
        aad: &[u8],
        rng: &dyn Rng,
    ) -> Result<(SecretKey, WrappedKey)> {
        let key = SecretKey::generate(rng)?;
        let wrapped = wrap_key(&self.root, aad, &key, rng)?;
        Ok((key, wrapped))
    }

    /// The key in a sealed file's header.
    pub(super) fn open_file_key(&self, aad: &[u8], wrapped: &WrappedKey) -> Option<SecretKey> {
        unwrap_key(&self.root, aad, wrapped)
    }
}
