//! A small web server for the tests: files with HEAD, GET and Range, and enough of S3's API to list and read
//! a bucket. Files can be made to break off, and the server can go away and come back.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The key that the bucket asks for.
pub(crate) const KEY: &str = "AKIDTEST";

/// What one address gives.
#[derive(Clone, Default)]
pub(crate) struct Served {
    pub(crate) bytes: Vec<u8>,
    /// Answers to GET end after so many bytes, as often as `breaks` says.
    pub(crate) breaks_after: usize,
    pub(crate) breaks: usize,
    /// Without a tag nobody can tell that a second answer continues the first.
    pub(crate) tagged: bool,
    /// Range is not understood.
    pub(crate) whole_only: bool,
}

#[derive(Default)]
struct Shared {
    files: Mutex<BTreeMap<String, Served>>,
    /// Method, target and Authorization of every request.
    seen: Mutex<Vec<(String, String, String)>>,
}

/// The server. It ends with the value.
pub(crate) struct ObjectServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Drop for ObjectServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ObjectServer {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), BTreeMap::new()).await
    }

    pub(crate) async fn start_at(address: SocketAddr, files: BTreeMap<String, Served>) -> Self {
        let listener = loop {
            // the port of a server that has just ended may need a moment
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        *shared.files.lock().unwrap() = files;
        let serving = Arc::clone(&shared);
        #[expect(clippy::disallowed_methods, reason = "a test's own server")]
        let task = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // a client that goes away is not the server's trouble
                    drop(answer(stream, &shared).await);
                });
            }
        });
        Self {
            shared,
            address,
            task,
        }
    }

    /// Puts a file at `/path`; an object `key` of bucket `b` is at `b/key`.
    pub(crate) fn put(&self, path: &str, bytes: impl Into<Vec<u8>>) {
        let served = Served {
            bytes: bytes.into(),
            tagged: true,
            ..Served::default()
        };
        self.serve(path, served);
    }

    pub(crate) fn serve(&self, path: &str, served: Served) {
        let mut files = self.shared.files.lock().unwrap();
        files.insert(path.to_owned(), served);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// The targets that were asked for, with their methods.
    pub(crate) fn seen(&self) -> Vec<(String, String, String)> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Ends the server, and gives what it served.
    pub(crate) async fn stop(mut self) -> BTreeMap<String, Served> {
        self.task.abort();
        drop((&mut self.task).await);
        std::mem::take(&mut *self.shared.files.lock().unwrap())
    }
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split_whitespace();
    let method = words.next().unwrap_or_default().to_owned();
    let target = words.next().unwrap_or_default().to_owned();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let key = header("authorization").unwrap_or_default();
    let seen = (method.clone(), target.clone(), key.clone());
    shared.seen.lock().unwrap().push(seen);
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let path = decoded(path.trim_start_matches('/'));
    let is_bucket = path.starts_with("bucket");
    let signed = key.starts_with(&format!("AWS4-HMAC-SHA256 Credential={KEY}/"));
    if is_bucket && !signed {
        return send(&mut stream, "403 Forbidden", "", b"<Error/>").await;
    }
    if is_bucket && query.contains("list-type=2") {
        let listing = list(shared, query);
        let kind = "Content-Type: application/xml\r\n";
        return send(&mut stream, "200 OK", kind, listing.as_bytes()).await;
    }
    file(&mut stream, shared, &path, &method, header("range")).await
}

async fn file(
    stream: &mut TcpStream,
    shared: &Shared,
    path: &str,
    method: &str,
    range: Option<String>,
) -> std::io::Result<()> {
    let found = shared.files.lock().unwrap().get(path).cloned();
    let Some(found) = found else {
        return send(stream, "404 Not Found", "", b"no such file").await;
    };
    let size = found.bytes.len();
    let range = range.filter(|_| !found.whole_only);
    let (status, from, to) = match range.as_deref().and_then(|text| bounds(text, size)) {
        Some((from, to)) => ("206 Partial Content", from, to),
        None => ("200 OK", 0, size),
    };
    let mut head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLast-Modified: Tue, 01 Jan 2013 00:00:00 GMT\r\nConnection: close\r\n",
        to - from
    );
    if from > 0 || to < size || status.starts_with("206") {
        write!(head, "Content-Range: bytes {from}-{}/{size}\r\n", to - 1).unwrap();
    }
    if found.tagged {
        write!(head, "ETag: \"{size}\"\r\n").unwrap();
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).await?;
    if method == "HEAD" {
        return stream.flush().await;
    }
    let mut body = &found.bytes[from..to];
    if found.breaks > 0 && body.len() > found.breaks_after {
        body = &body[..found.breaks_after];
        let mut files = shared.files.lock().unwrap();
        if let Some(served) = files.get_mut(path) {
            served.breaks -= 1;
        }
    }
    stream.write_all(body).await?;
    stream.flush().await
}

/// `bytes=1-2`, `bytes=1-` or `bytes=-2` as a half-open range.
fn bounds(text: &str, size: usize) -> Option<(usize, usize)> {
    let (from, to) = text.strip_prefix("bytes=")?.split_once('-')?;
    match (from.parse::<usize>().ok(), to.parse::<usize>().ok()) {
        (Some(from), Some(to)) => Some((from, (to + 1).min(size))),
        (Some(from), None) => Some((from, size)),
        (None, Some(last)) => Some((size.saturating_sub(last), size)),
        (None, None) => None,
    }
}

/// Two keys a page, so that listings have several.
fn list(shared: &Shared, query: &str) -> String {
    let parameter = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(key, _)| *key == name)
            .map(|(_, value)| decoded(value))
    };
    let prefix = parameter("prefix").unwrap_or_default();
    let after = parameter("continuation-token").unwrap_or_default();
    let files = shared.files.lock().unwrap();
    let keys: Vec<(&str, usize)> = files
        .iter()
        .filter_map(|(path, served)| Some((path.strip_prefix("bucket/")?, served.bytes.len())))
        .filter(|(key, _)| key.starts_with(&prefix) && *key > after.as_str())
        .collect();
    let mut text = String::from("<ListBucketResult>");
    for (key, size) in keys.iter().take(2) {
        write!(
            text,
            "<Contents><Key>{key}</Key><Size>{size}</Size><ETag>\"{size}\"</ETag>\
             <LastModified>2013-01-01T00:00:00.000Z</LastModified></Contents>"
        )
        .unwrap();
    }
    let more = keys.len() > 2;
    write!(text, "<IsTruncated>{more}</IsTruncated>").unwrap();
    if more {
        write!(
            text,
            "<NextContinuationToken>{}</NextContinuationToken>",
            keys[1].0
        )
        .unwrap();
    }
    text + "</ListBucketResult>"
}

fn decoded(text: &str) -> String {
    let url = url::Url::parse(&format!("http://h/?x={}", text)).unwrap();
    url.query_pairs().next().unwrap().1.into_owned()
}

async fn send(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body).await?;
    stream.flush().await
}
