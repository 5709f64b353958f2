//! Finds the files that an address names, on disk or in an object store, and opens them for reading.
//!
//! These are the user's files: Lotic only reads them. Files that Lotic owns go through `base::disk`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::runtime::Handle;

use super::options::{Compression, SourceOptions, compression_of};
use super::stores::{self, RemoteFile};
use crate::base::meter::Meter;
use crate::base::{Error, Kind, Result};

/// One file of a source.
#[derive(Clone, Debug)]
pub(crate) struct FileRef {
    /// The file as messages name it.
    pub(crate) name: String,
    pub(crate) place: FilePlace,
    pub(crate) compression: Compression,
    /// Where it is known before the file is read.
    pub(crate) size_bytes: Option<u64>,
}

#[derive(Clone, Debug)]
pub(crate) enum FilePlace {
    Local(PathBuf),
    Remote(RemoteFile),
}

/// The files that the address of `options` names, sorted by name; at least one.
pub(crate) async fn find(options: &SourceOptions) -> Result<Vec<FileRef>> {
    let files = if options.is_remote() {
        stores::find_remote(options).await?
    } else {
        find_local(options)?
    };
    if files.is_empty() {
        let text = format!("no file matches \"{}\"", options.location);
        let error = Error::new(Kind::Missing, "58P01", text);
        let start = options.base_dir.display().to_string();
        return Err(match (start.as_str(), options.location.expose()) {
            (_, path) if options.location.is_url() || Path::new(path).is_absolute() => error,
            ("", _) => error.with_hint("relative paths start from the working directory"),
            (folder, _) => error.with_hint(format!("relative paths start from {folder}")),
        });
    }
    Ok(files)
}

/// The local files of a source now; none is not an error here.
pub(crate) fn find_local(options: &SourceOptions) -> Result<Vec<FileRef>> {
    let text = options.location.expose();
    let text = text.strip_prefix("file://").unwrap_or(text);
    let path = options.resolve(text);
    let local = |path: PathBuf| FileRef {
        name: shown(&path, &options.base_dir),
        compression: compression(options, &path.to_string_lossy()),
        size_bytes: std::fs::metadata(&path).ok().map(|meta| meta.len()),
        place: FilePlace::Local(path),
    };
    if !has_glob(text) {
        let found = path.try_exists();
        let found =
            found.map_err(|error| Error::io(format!("look for {}", path.display()), &error))?;
        if found && path.is_dir() {
            return Err(Error::invalid(format!("{} is a folder", path.display()))
                .with_hint("name its files by a pattern, as in 'folder/*.csv'"));
        }
        return Ok(if found { vec![local(path)] } else { Vec::new() });
    }
    // Only what the user wrote is a pattern: the base folder may hold such characters itself.
    let nowhere = options.base_dir.as_os_str().is_empty();
    let base = if nowhere || Path::new(text).is_absolute() {
        String::new()
    } else {
        glob::Pattern::escape(&format!("{}/", options.base_dir.display()))
    };
    let bad = |error: glob::PatternError| {
        Error::invalid(format!(
            "\"{text}\" is not a pattern of file names: {error}"
        ))
    };
    let mut files = Vec::new();
    for entry in glob::glob(&format!("{base}{text}")).map_err(bad)? {
        let path = entry.map_err(|error| {
            let place = error.path().display().to_string();
            Error::io(format!("look into {place}"), error.error())
        })?;
        if path.is_file() {
            files.push(local(path));
        }
    }
    files.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(files)
}

pub(super) fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base)
        .unwrap_or(path)
        .display()
        .to_string()
}

pub(super) fn compression(options: &SourceOptions, name: &str) -> Compression {
    options.compression.unwrap_or_else(|| compression_of(name))
}

impl FileRef {
    /// Opens the file and decompresses what is read. For blocking threads; `handle` drives remote reads.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(&self, handle: &Handle) -> Result<Box<dyn Read + Send>> {
        self.open_counted(handle, Arc::default())
    }

    /// As [`Self::open`], with the bytes counted as they lie in the file.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open_counted(
        &self,
        handle: &Handle,
        meter: Arc<Meter>,
    ) -> Result<Box<dyn Read + Send>> {
        let raw: Box<dyn Read + Send> = match &self.place {
            FilePlace::Local(path) => Box::new(
                File::open(path)
                    .map_err(|error| Error::io(format!("open {}", self.name), &error))?,
            ),
            FilePlace::Remote(file) => Box::new(file.reader(&self.name, handle)),
        };
        decompress(Box::new(Counted { raw, meter }), self.compression)
            .map_err(|error| Error::io(format!("open {}", self.name), &error))
    }
}

/// Counts what is read from a file.
struct Counted {
    raw: Box<dyn Read + Send>,
    meter: Arc<Meter>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.raw.read(buffer)?;
        self.meter.add_bytes(count);
        Ok(count)
    }
}

/// Decompresses `raw` while it is read.
pub(crate) fn decompress(
    raw: Box<dyn Read + Send>,
    compression: Compression,
) -> io::Result<Box<dyn Read + Send>> {
    Ok(match compression {
        Compression::None => raw,
        Compression::Gzip => {
            let buffered = io::BufReader::with_capacity(256 << 10, raw);
            Box::new(flate2::bufread::MultiGzDecoder::new(buffered))
        }
        Compression::Zstd => Box::new(zstd::stream::read::Decoder::new(raw)?),
    })
}
