//! Finds the files that an address names, on disk or in an object store, and opens them for reading.
//!
//! These are the user's files: Lotic only reads them. Files that Lotic owns go through `base::disk`.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use object_store::ObjectStore;
use object_store::ObjectStoreExt;
use object_store::path::Path as StorePath;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::options::{Compression, SourceOptions, compression_of};
use crate::base::{Error, Kind, Result, task};

/// Chunks of a remote file that wait for their reader.
const CHUNKS_AHEAD: usize = 8;

/// One file of a source.
#[derive(Clone, Debug)]
pub(crate) struct FileRef {
    /// The file as messages name it.
    pub(crate) name: String,
    pub(crate) place: FilePlace,
    pub(crate) compression: Compression,
}

#[derive(Clone, Debug)]
pub(crate) enum FilePlace {
    Local(PathBuf),
    Remote {
        store: Arc<dyn ObjectStore>,
        path: StorePath,
    },
}

/// The files that the address of `options` names, sorted by name; at least one.
pub(crate) async fn find(options: &SourceOptions) -> Result<Vec<FileRef>> {
    let files = if options.location.is_url() && !options.location.expose().starts_with("file://") {
        find_remote(options).await?
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
    let base = if Path::new(text).is_absolute() {
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

fn has_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn shown(path: &Path, base: &Path) -> String {
    path.strip_prefix(base)
        .unwrap_or(path)
        .display()
        .to_string()
}

fn compression(options: &SourceOptions, name: &str) -> Compression {
    options.compression.unwrap_or_else(|| compression_of(name))
}

#[cfg(not(feature = "object-stores"))]
async fn find_remote(options: &SourceOptions) -> Result<Vec<FileRef>> {
    std::future::ready(Err(Error::unsupported(format!(
        "this build cannot read {}: it was made without the feature object-stores",
        options.location
    ))))
    .await
}

#[cfg(feature = "object-stores")]
async fn find_remote(options: &SourceOptions) -> Result<Vec<FileRef>> {
    let shown = options.location.to_string();
    let away = |error: object_store::Error| store_error(&shown, &error);
    let url = url::Url::parse(options.location.expose())
        .map_err(|error| Error::invalid(format!("the address is not a URL: {error}")))?;
    let settings = options
        .store
        .0
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    let (store, path) = object_store::parse_url_opts(&url, settings).map_err(away)?;
    let store: Arc<dyn ObjectStore> = Arc::from(store);
    let remote = |path: StorePath, name: String| FileRef {
        compression: compression(options, path.as_ref()),
        name,
        place: FilePlace::Remote {
            store: Arc::clone(&store),
            path,
        },
    };
    let web = matches!(url.scheme(), "http" | "https");
    // A web server cannot list, and `?` starts a query there.
    if web || !has_glob(options.location.expose()) {
        return Ok(vec![remote(path, shown)]);
    }
    let pattern = percent_decoded(url.path().trim_start_matches('/'));
    let bad = |error: glob::PatternError| {
        Error::invalid(format!(
            "\"{shown}\" is not a pattern of file names: {error}"
        ))
    };
    let matcher = glob::Pattern::new(&pattern).map_err(bad)?;
    let fixed = pattern.split(['*', '?', '[']).next().unwrap_or_default();
    let folder = fixed
        .rsplit_once('/')
        .map(|(folder, _)| StorePath::from(folder));
    let listed: Vec<_> = store
        .list(folder.as_ref())
        .try_collect()
        .await
        .map_err(away)?;
    let rules = glob::MatchOptions {
        require_literal_separator: true,
        ..glob::MatchOptions::new()
    };
    let mut files: Vec<FileRef> = listed
        .into_iter()
        .filter(|meta| matcher.matches_with(meta.location.as_ref(), rules))
        .map(|meta| {
            let name = format!(
                "{}://{}/{}",
                url.scheme(),
                url.host_str().unwrap_or_default(),
                meta.location
            );
            remote(meta.location, name)
        })
        .collect();
    files.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(files)
}

/// The URL parser encodes `[` and spaces of a pattern; keys are matched decoded.
#[cfg(feature = "object-stores")]
fn percent_decoded(path: &str) -> String {
    StorePath::from_url_path(path).map_or_else(|_| path.to_owned(), |path| path.to_string())
}

/// An object store's error without its texts that may hold signed addresses.
pub(crate) fn store_error(name: &str, error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { .. } => {
            Error::new(Kind::Missing, "58P01", format!("{name} does not exist"))
        }
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            Error::denied(format!("the object store refuses to give {name}"))
                .with_hint("give aws_access_key_id and aws_secret_access_key, or AWS_... variables")
        }
        _ => Error::unavailable(format!("could not read {name} from its object store")).with_hint(
            "check the address, the options aws_region and aws_endpoint, and the network",
        ),
    }
}

impl FileRef {
    /// Opens the file and decompresses what is read. For blocking threads; `handle` drives remote reads.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn open(&self, handle: &Handle) -> Result<Box<dyn Read + Send>> {
        let raw: Box<dyn Read + Send> = match &self.place {
            FilePlace::Local(path) => Box::new(
                File::open(path)
                    .map_err(|error| Error::io(format!("open {}", self.name), &error))?,
            ),
            FilePlace::Remote { store, path } => Box::new(remote_reader(
                Arc::clone(store),
                path.clone(),
                self.name.clone(),
                handle,
            )),
        };
        decompress(raw, self.compression)
            .map_err(|error| Error::io(format!("open {}", self.name), &error))
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

/// Chunks of a remote file, pulled by a task, as a blocking reader.
struct ChannelReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

fn remote_reader(
    store: Arc<dyn ObjectStore>,
    path: StorePath,
    name: String,
    handle: &Handle,
) -> ChannelReader {
    let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
    let _entered = handle.enter();
    drop(task::spawn("remote-file", async move {
        let fail = |error: &object_store::Error| {
            Err(io::Error::other(
                store_error(&name, error).message().to_owned(),
            ))
        };
        let mut stream = match store.get(&path).await {
            Ok(found) => found.into_stream(),
            Err(error) => {
                // A reader that is gone needs no error.
                drop(sender.send(fail(&error)).await);
                return;
            }
        };
        while let Some(chunk) = stream.next().await {
            let chunk = chunk.or_else(|error| fail(&error));
            let failed = chunk.is_err();
            if sender.send(chunk).await.is_err() || failed {
                return;
            }
        }
        drop(sender.send(Ok(Bytes::new())).await);
    }));
    ChannelReader {
        chunks,
        chunk: Bytes::new(),
    }
}

impl Read for ChannelReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() {
            match self.chunks.blocking_recv() {
                // The empty chunk is the end; a channel that closes without it lost its task.
                Some(Ok(chunk)) => self.chunk = chunk,
                Some(Err(error)) => return Err(error),
                None => return Err(io::Error::other("the transfer ended early")),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        if self.chunk.is_empty() && count == 0 {
            self.chunks.close();
        }
        Ok(count)
    }
}
