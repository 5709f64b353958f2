//! A client that speaks bytes, for what no driver would send.

use bytes::{BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::super::server::Server;

/// A socket with the messages that came over it.
pub(super) struct Raw {
    pub(super) socket: TcpStream,
    buffer: BytesMut,
}

impl Raw {
    pub(super) async fn connect(server: &Server) -> Self {
        let socket = TcpStream::connect(server.address()).await.unwrap();
        Self {
            socket,
            buffer: BytesMut::new(),
        }
    }

    /// A client that is let in without a password (the server trusts this machine).
    pub(super) async fn trusted(server: &Server) -> Self {
        let mut raw = Self::connect(server).await;
        raw.send(&start_up(&[("user", "ada")])).await;
        assert!(raw.until(b'Z').await.last().unwrap().0 == b'Z');
        raw
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next message, or none at the end.
    pub(super) async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let Some((kind, length)) = self.header()
                && self.buffer.len() > length
            {
                let whole = self.buffer.split_to(length + 1);
                return Some((kind, whole[5..].to_vec()));
            }
            match self.socket.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    fn header(&self) -> Option<(u8, usize)> {
        let length = self.buffer.get(1..5)?.try_into().unwrap();
        Some((
            self.buffer[0],
            usize::try_from(u32::from_be_bytes(length)).unwrap(),
        ))
    }

    /// Messages up to the first of this kind, or to the end.
    pub(super) async fn until(&mut self, kind: u8) -> Vec<(u8, Vec<u8>)> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            let last = message.0 == kind;
            messages.push(message);
            if last {
                break;
            }
        }
        messages
    }

    /// The kinds of the messages up to ReadyForQuery.
    pub(super) async fn kinds(&mut self) -> String {
        self.until(b'Z')
            .await
            .into_iter()
            .map(|(kind, _)| char::from(kind))
            .collect()
    }

    /// The SQLSTATE of the error that comes before the end or the next ReadyForQuery.
    pub(super) async fn refusal(&mut self) -> Option<String> {
        let messages = self.until(b'E').await;
        messages
            .last()
            .filter(|(kind, _)| *kind == b'E')
            .map(|(_, body)| code(body))
    }
}

/// The SQLSTATE in the body of an ErrorResponse.
pub(super) fn code(body: &[u8]) -> String {
    let field = body
        .split(|byte| *byte == 0)
        .find(|field| field.first() == Some(&b'C'));
    String::from_utf8(field.unwrap()[1..].to_vec()).unwrap()
}

/// A start-up packet with these settings.
pub(super) fn start_up(settings: &[(&str, &str)]) -> Vec<u8> {
    let mut body = 196_608_u32.to_be_bytes().to_vec();
    for (name, value) in settings {
        body.extend_from_slice(format!("{name}\0{value}\0").as_bytes());
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &body].concat()
}

/// A message of a kind.
pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![kind];
    bytes.put_u32(u32::try_from(body.len() + 4).unwrap());
    bytes.extend_from_slice(body);
    bytes
}

/// Parse, Bind and Execute of a statement without parameters.
pub(super) fn run(sql: &str, max_rows: i32) -> Vec<u8> {
    [
        message(b'P', format!("\0{sql}\0\0\0").as_bytes()),
        message(b'B', b"\0\0\0\0\0\0\0\0"),
        message(b'E', &[&[0][..], &max_rows.to_be_bytes()].concat()),
    ]
    .concat()
}

/// Sync.
pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}
