//! One process a data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::base::{Error, Kind, Result};

/// The exclusive advisory lock on a data folder, held until it is dropped or the process ends.
///
/// The lock belongs to the open file, so that a killed process leaves none behind, and a stopped
/// process (SIGSTOP) keeps its own.
#[derive(Debug)]
pub struct DataLock {
    path: PathBuf,
    /// Closing it gives the lock back.
    file: File,
}

impl DataLock {
    /// Takes the lock of `folder`, creating the folder (mode 0700) where it is missing.
    ///
    /// # Errors
    /// 55006 where another process has the folder open; 58030 where the file cannot be made.
    pub fn acquire(folder: &Path) -> Result<Self> {
        let name = folder.display();
        if !folder
            .try_exists()
            .map_err(|error| Error::io(format!("look for {name}"), &error))?
        {
            std::fs::create_dir_all(folder)
                .and_then(|()| {
                    use std::os::unix::fs::PermissionsExt;
                    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700))
                })
                .map_err(|error| Error::io(format!("create data folder {name}"), &error))?;
        }
        let path = folder.join("lock");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| Error::io(format!("open lock file {}", path.display()), &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::new(
                    Kind::Conflict,
                    "55006",
                    format!("data folder {name} is in use by another process"),
                )
                .with_hint("stop that process first, or give this one a data folder of its own"));
            }
            Err(TryLockError::Error(error)) => {
                return Err(Error::io(format!("lock {}", path.display()), &error));
            }
        }
        Ok(Self { path, file })
    }

    /// Writes the number of this process into the file. It only helps a human who looks, the lock does
    /// not depend on it; and it waits until the key is known to fit, since nothing is written before.
    pub fn note_process(&self) {
        let note = format!("{}\n", std::process::id());
        let written = self
            .file
            .set_len(0)
            .and_then(|()| (&self.file).write_all(note.as_bytes()));
        if written.is_err() {
            tracing::debug!(path = %self.path.display(), "could not note the process in the lock file");
        }
    }

    /// The lock's file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
