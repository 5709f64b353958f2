//! Files behind `s3://` and `http(s)://` addresses: which there are, and their bytes as a blocking reader.
//!
//! Retries end after seconds, so that a server that is away is an error and not a statement that hangs.
//! Keys come from the source's options; an address without them uses the `AWS_...` variables.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use object_store::path::Path as StorePath;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

#[cfg(not(feature = "object-stores"))]
use super::{files::FileRef, options::SourceOptions};
use crate::base::{Error, Result, store_error, task};

/// Chunks of a remote file that wait for their reader.
const CHUNKS_AHEAD: usize = 8;
/// How long a server may take to send more of a file.
const SILENCE: Duration = Duration::from_secs(30);

/// One file of an object store.
#[derive(Clone, Debug)]
pub(crate) struct RemoteFile {
    /// For requests of a bounded size.
    pub(crate) store: Arc<dyn ObjectStore>,
    /// For whole files, whose transfer may take any time as long as something comes.
    whole: Arc<dyn ObjectStore>,
    pub(crate) path: StorePath,
}

#[cfg(not(feature = "object-stores"))]
pub(super) async fn find_remote(options: &SourceOptions) -> Result<Vec<FileRef>> {
    std::future::ready(Err(Error::unsupported(format!(
        "this build cannot read {}: it was made without the feature object-stores",
        options.location
    ))))
    .await
}

#[cfg(feature = "object-stores")]
pub(super) use addresses::find_remote;

#[cfg(feature = "object-stores")]
mod addresses {
    //! From an address and options to a store and the files in it.

    use std::sync::Arc;
    use std::time::Duration;

    use futures::TryStreamExt;
    use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
    use object_store::http::HttpBuilder;
    use object_store::path::Path as StorePath;
    use object_store::{BackoffConfig, ClientOptions, ObjectStore, ObjectStoreScheme, RetryConfig};

    use super::super::files::{FilePlace, FileRef, compression, has_glob};
    use super::super::options::SourceOptions;
    use super::{RemoteFile, SILENCE};
    use crate::base::{Error, Result, store_error};

    const CONNECT: Duration = Duration::from_secs(5);

    /// The files that an address names; a pattern is matched with the names that the store lists.
    pub(in super::super) async fn find_remote(options: &SourceOptions) -> Result<Vec<FileRef>> {
        let shown = options.location.to_string();
        let url = options
            .location
            .url()
            .map_err(|error| Error::invalid(format!("the address is not a URL: {error}")))?;
        let (scheme, path) = ObjectStoreScheme::parse(&url).map_err(|_| not_known(&url))?;
        let open = |limit| match scheme {
            ObjectStoreScheme::AmazonS3 => s3(options, &url, limit),
            ObjectStoreScheme::Http => web(options, &url, limit),
            _ => Err(not_known(&url)),
        };
        let (store, whole) = (open(Some(SILENCE))?, open(None)?);
        let remote = |path: StorePath, name: String, size_bytes| FileRef {
            compression: compression(options, path.as_ref()),
            name,
            size_bytes,
            place: FilePlace::Remote(RemoteFile {
                store: Arc::clone(&store),
                whole: Arc::clone(&whole),
                path,
            }),
        };
        // A web server cannot list, and `?` starts a query there.
        if scheme == ObjectStoreScheme::Http || !has_glob(options.location.expose()) {
            return Ok(vec![remote(path, shown, None)]);
        }
        let bad = |error: glob::PatternError| {
            Error::invalid(format!(
                "\"{shown}\" is not a pattern of file names: {error}"
            ))
        };
        // The URL parser encodes spaces and brackets; the path is decoded, as keys are.
        let matcher = glob::Pattern::new(path.as_ref()).map_err(bad)?;
        let fixed = path.as_ref().split(['*', '?', '[']).next();
        let folder = fixed
            .unwrap_or_default()
            .rsplit_once('/')
            .map(|(folder, _)| StorePath::from(folder));
        let listed: Vec<_> = store
            .list(folder.as_ref())
            .try_collect()
            .await
            .map_err(|error| store_error(&shown, &error))?;
        let rules = glob::MatchOptions {
            require_literal_separator: true,
            ..glob::MatchOptions::new()
        };
        let bucket = format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default());
        let mut files: Vec<FileRef> = listed
            .into_iter()
            .filter(|meta| matcher.matches_with(meta.location.as_ref(), rules))
            .map(|meta| {
                let name = format!("{bucket}/{}", meta.location);
                remote(meta.location, name, Some(meta.size))
            })
            .collect();
        files.sort_by(|left, right| left.name.cmp(&right.name));
        Ok(files)
    }

    fn not_known(url: &url::Url) -> Error {
        Error::unsupported(format!("files cannot be read from {}://", url.scheme()))
            .with_hint("paths, s3://, http:// and https:// are known")
    }

    /// How requests are made; `limit` is for one request with its answer.
    fn client(limit: Option<Duration>) -> (ClientOptions, RetryConfig) {
        let options = ClientOptions::new().with_connect_timeout(CONNECT);
        let options = match limit {
            Some(limit) => options.with_timeout(limit),
            None => options.with_timeout_disabled(),
        };
        let retries = RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(1),
                base: 2.0,
            },
            max_retries: 3,
            retry_timeout: Duration::from_secs(15),
        };
        (options, retries)
    }

    fn web(
        options: &SourceOptions,
        url: &url::Url,
        limit: Option<Duration>,
    ) -> Result<Arc<dyn ObjectStore>> {
        // The query stays: the signature of a signed address is there.
        let mut base = url.clone();
        base.set_path("");
        base.set_fragment(None);
        let (client, retries) = client(limit);
        let built = HttpBuilder::new()
            .with_url(base)
            .with_client_options(client.with_allow_http(url.scheme() == "http"))
            .with_retry(retries)
            .build();
        built.map(|store| Arc::new(store) as _).map_err(|_| {
            Error::invalid(format!("{} is not an address of a file", options.location))
        })
    }

    fn s3(
        options: &SourceOptions,
        url: &url::Url,
        limit: Option<Duration>,
    ) -> Result<Arc<dyn ObjectStore>> {
        let mut bare = url.clone();
        bare.set_query(None);
        let (client, retries) = client(limit);
        let mut builder = AmazonS3Builder::new()
            .with_url(bare)
            .with_client_options(client)
            .with_retry(retries);
        let given = |name: &str| options.store.0.iter().any(|(key, _)| key == name);
        // A session token of the environment does not go with a key of the options.
        if !given("aws_access_key_id") {
            for (name, value) in std::env::vars_os() {
                let name = name.to_string_lossy().to_ascii_lowercase();
                if let (true, Ok(key), Ok(value)) = (
                    name.starts_with("aws_"),
                    name.parse::<AmazonS3ConfigKey>(),
                    value.into_string(),
                ) {
                    builder = builder.with_config(key, value);
                }
            }
        }
        for (name, value) in &options.store.0 {
            let key: AmazonS3ConfigKey = name
                .parse()
                .map_err(|_| Error::invalid(format!("object stores have no option \"{name}\"")))?;
            builder = builder.with_config(key, value);
        }
        let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
        if endpoint
            .as_ref()
            .is_some_and(|text| url::Url::parse(text).is_err())
        {
            return Err(Error::invalid("aws_endpoint is not a URL")
                .with_hint("it is like https://s3.example.com"));
        }
        let allowed = AmazonS3ConfigKey::Client(object_store::ClientConfigKey::AllowHttp);
        let allowed = builder.get_config_value(&allowed);
        if endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"))
            && !allowed.is_some_and(|text| matches!(text.as_str(), "true" | "1" | "yes" | "on"))
        {
            return Err(
                Error::invalid("aws_endpoint is not encrypted: it starts with http://")
                    .with_hint("add allow_http = 'true' where nobody else is on that network"),
            );
        }
        // The builder's error could repeat an option's value.
        builder.build().map(|store| Arc::new(store) as _).map_err(|_| {
            Error::invalid("the options of the object store do not go together").with_hint(
                "check aws_endpoint (a URL), aws_region, aws_access_key_id with aws_secret_access_key, allow_http",
            )
        })
    }
}

/// Chunks of a remote file, pulled by a task, as a blocking reader.
#[derive(Debug)]
pub(super) struct RemoteReader {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
    ended: bool,
}

impl RemoteFile {
    /// Starts to read the whole file, called `name`; `handle` drives the transfer.
    pub(super) fn reader(&self, name: &str, handle: &Handle) -> RemoteReader {
        let (sender, chunks) = mpsc::channel(CHUNKS_AHEAD);
        let _entered = handle.enter();
        let (store, path, name) = (Arc::clone(&self.whole), self.path.clone(), name.to_owned());
        drop(task::spawn("remote-file", async move {
            if let Err(error) = transfer(store, path, &name, &sender).await {
                // A reader that is gone needs no error.
                drop(sender.send(Err(io::Error::other(error))).await);
            }
        }));
        RemoteReader {
            chunks,
            chunk: Bytes::new(),
            ended: false,
        }
    }
}

async fn transfer(
    store: Arc<dyn ObjectStore>,
    path: StorePath,
    name: &str,
    sender: &mpsc::Sender<io::Result<Bytes>>,
) -> Result<()> {
    let fail = |error: object_store::Error| store_error(name, &error);
    let silent =
        |_| Error::unavailable(format!("could not read {name}: the server takes too long"));
    let found = tokio::time::timeout(SILENCE, store.get(&path)).await;
    let mut stream = found.map_err(silent)?.map_err(fail)?.into_stream();
    loop {
        let next = tokio::time::timeout(SILENCE, stream.next()).await;
        match next.map_err(silent)? {
            // An empty chunk is the mark of the end, so none may come from the store.
            Some(chunk) => {
                let chunk = chunk.map_err(fail)?;
                if !chunk.is_empty() && sender.send(Ok(chunk)).await.is_err() {
                    return Ok(());
                }
            }
            None => {
                drop(sender.send(Ok(Bytes::new())).await);
                return Ok(());
            }
        }
    }
}

impl Read for RemoteReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.chunk.is_empty() && !self.ended {
            match self.chunks.blocking_recv() {
                Some(Ok(chunk)) => {
                    self.ended = chunk.is_empty();
                    self.chunk = chunk;
                }
                Some(Err(error)) => return Err(error),
                // A channel that closes without the mark of the end lost its task.
                None => return Err(io::Error::other("the transfer ended early")),
            }
        }
        let count = buffer.len().min(self.chunk.len());
        buffer[..count].copy_from_slice(&self.chunk.split_to(count));
        Ok(count)
    }
}
