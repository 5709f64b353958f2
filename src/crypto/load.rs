//! Where the master key comes from at start.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::keyring::Keyring;
use super::master::{MasterKey, refused};
use super::sealed::SEALED_MAGIC;
use crate::base::disk::Disk;
use crate::base::rng::Rng;
use crate::base::{Error, Result};

/// Where the master key was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyOrigin {
    /// In the file that the operator named.
    File(PathBuf),
    /// In the environment.
    Environment,
    /// In `master.key` of the data folder.
    Folder(PathBuf),
    /// Made just now and written to this file: print [`KeyOrigin::notice`].
    Generated(PathBuf),
}

impl KeyOrigin {
    /// What the operator must be told, if anything.
    pub fn notice(&self) -> Option<String> {
        match self {
            Self::Generated(path) => Some(format!(
                "a new master key was made in {}: keep a copy of it elsewhere, for without it the data cannot be read, \
                 and with it in the data folder the encryption protects only copies that leave it out",
                path.display()
            )),
            Self::File(_) | Self::Environment | Self::Folder(_) => None,
        }
    }
}

/// The master key of `data_dir`: from `key_file`, else from the environment's value `env`, else from
/// `DATA/master.key`, which is made (mode 0600) where the folder is new.
///
/// A key that does not fit an existing folder is refused before anything is written.
///
/// # Errors
/// 28000 for a missing, unreadable, world-readable, malformed or wrong key; XX001 for a damaged keyring.
pub fn load_or_create_key(
    disk: &dyn Disk,
    data_dir: &Path,
    key_file: Option<&Path>,
    env: Option<&str>,
    rng: &dyn Rng,
) -> Result<(MasterKey, KeyOrigin)> {
    let own = data_dir.join("master.key");
    let (key, origin) = if let Some(path) = key_file {
        (
            MasterKey::from_file(disk, path)?,
            KeyOrigin::File(path.to_owned()),
        )
    } else if let Some(value) = env {
        (MasterKey::from_env_value(value)?, KeyOrigin::Environment)
    } else if exists(disk, &own)? {
        (MasterKey::from_file(disk, &own)?, KeyOrigin::Folder(own))
    } else if exists(disk, &Keyring::path(data_dir))? {
        return Err(refused(format!(
            "data folder {} is encrypted and no master key was given",
            data_dir.display()
        ))
        .with_hint("give the key file or the environment value that the folder was made with"));
    } else {
        refuse_lost_keyring(disk, data_dir)?;
        let key = MasterKey::generate(rng)?;
        disk.create_dir_all(data_dir)
            .and_then(|()| disk.write_atomic(&own, key.file_text().as_bytes(), 0o600))
            .map_err(|error| Error::io(format!("write key file {}", own.display()), &error))?;
        return Ok((key, KeyOrigin::Generated(own)));
    };
    if Keyring::open_existing(disk, data_dir, &key)?.is_none() {
        refuse_lost_keyring(disk, data_dir)?;
    }
    Ok((key, origin))
}

/// Refuses a folder that holds sealed data and no keyring: a new keyring could never open it.
pub(super) fn refuse_lost_keyring(disk: &dyn Disk, data_dir: &Path) -> Result<()> {
    let name = data_dir.display();
    let paths = match disk.list(data_dir) {
        Ok(paths) => paths,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(format!("list {name}"), &error)),
    };
    for path in paths {
        let is_log = path.file_name().is_some_and(|file| file == "topics");
        if is_log || starts_sealed(disk, &path) {
            return Err(refused(format!(
                "data folder {name} has lost its keyring: {} is there, keyring is not",
                path.display()
            ))
            .with_hint("put the file keyring back from a copy of the folder"));
        }
    }
    Ok(())
}

fn starts_sealed(disk: &dyn Disk, path: &Path) -> bool {
    let mut start = [0; SEALED_MAGIC.len()];
    // A folder opens but does not read: it is not a sealed file.
    disk.open_read(path)
        .and_then(|file| file.read_at(0, &mut start))
        .is_ok()
        && start == *SEALED_MAGIC
}

fn exists(disk: &dyn Disk, path: &Path) -> Result<bool> {
    disk.try_exists(path)
        .map_err(|error| Error::io(format!("look for {}", path.display()), &error))
}
