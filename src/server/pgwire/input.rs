//! Cuts what the client sends into messages, within limits of size, memory and time.
//!
//! A message's type and length are judged from its first five bytes, before anything is buffered
//! for it; memory grows with what has really arrived, never with what was announced. Every method
//! may be dropped half way without losing bytes.

use std::io;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::Instant;

use super::budget::Claim;
use super::frontend::{unknown, violation};
use super::options::Limits;
use crate::base::{Error, Kind, Result};

/// The half of a socket that is read.
pub(crate) type ReadSide = Box<dyn AsyncRead + Send + Unpin>;

const HEADER: usize = 5;
const CHUNK: usize = 8 << 10;
/// Buffers up to this size are a connection's due and need no claim on the shared budget.
const FREE: usize = 64 << 10;
/// While a statement runs, so much is read ahead to notice that the client is gone.
const AHEAD: usize = 64 << 10;
/// The longest message that carries no text of the user.
const SMALL_MESSAGE: usize = 10_000;

/// A message as it came: its type and the bytes after the length.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) body: Bytes,
}

/// The incoming side of a connection.
pub(crate) struct Input {
    side: ReadSide,
    buffer: BytesMut,
    claim: Claim,
    message_bytes: usize,
    message_deadline: Duration,
    /// When the first byte of the message that is being received was seen.
    began: Option<Instant>,
    closed: bool,
}

impl Input {
    /// Reads from `side`, after the bytes that are in `buffer` already.
    pub(crate) fn new(side: ReadSide, buffer: BytesMut, claim: Claim, limits: &Limits) -> Self {
        Self {
            side,
            buffer,
            claim,
            message_bytes: SMALL_MESSAGE,
            message_deadline: limits.message_deadline,
            began: None,
            closed: false,
        }
    }

    /// Lets long messages in, from the end of login on.
    pub(crate) fn logged_in(&mut self, limits: &Limits) {
        self.message_bytes = limits.message_bytes;
    }

    /// The next message; none when the client has closed its side.
    ///
    /// # Errors
    /// When what comes is not a message, too long, too slow, or over the shared budget. The stream
    /// cannot be read on after that.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>> {
        loop {
            let missing = match self.announced()? {
                Some(length) if self.buffer.len() > length => return Ok(Some(self.cut(length))),
                Some(length) => length + 1 - self.buffer.len(),
                None => HEADER,
            };
            if self.buffer.is_empty() {
                // An idle connection holds no large buffer and no share of the budget.
                if self.buffer.capacity() > FREE {
                    self.buffer = BytesMut::new();
                }
                self.claim.resize(0);
            }
            if self.closed || !self.receive(missing).await? {
                return Ok(None);
            }
        }
    }

    /// Returns when the client is gone. Meanwhile reads ahead a little.
    pub(crate) async fn gone(&mut self) {
        while !self.closed {
            if self.buffer.len() >= AHEAD {
                // A client that keeps sending is there; its end is noticed when it is answered.
                return std::future::pending().await;
            }
            self.buffer.reserve(CHUNK);
            let read = self.side.read_buf(&mut self.buffer).await;
            self.closed = !matches!(read, Ok(1..));
        }
    }

    /// The length that the buffered message announces (type byte not counted), once known.
    fn announced(&self) -> Result<Option<usize>> {
        let Some(kind) = self.buffer.first() else {
            return Ok(None);
        };
        let limit = match kind {
            b'Q' | b'P' | b'B' | b'd' => self.message_bytes,
            b'D' | b'E' | b'C' | b'H' | b'S' | b'c' | b'f' | b'X' | b'p' => SMALL_MESSAGE,
            _ => return Err(unknown(*kind)),
        };
        let Some(length) = self
            .buffer
            .get(1..HEADER)
            .and_then(|bytes| bytes.try_into().ok())
        else {
            return Ok(None);
        };
        match usize::try_from(i32::from_be_bytes(length)) {
            Ok(length) if length < 4 => Err(violation("invalid message length")),
            Ok(length) if length > limit => Err(Error::new(
                Kind::Limit,
                "08P01",
                format!("a message of {length} bytes is over the limit of {limit}"),
            )),
            Ok(length) => Ok(Some(length)),
            Err(_) => Err(violation("invalid message length")),
        }
    }

    fn cut(&mut self, length: usize) -> Frame {
        self.began = None;
        let mut whole = self.buffer.split_to(length + 1).freeze();
        let body = whole.split_off(HEADER);
        Frame {
            kind: whole.first().copied().unwrap_or_default(),
            body,
        }
    }

    /// Reads some bytes of the `missing` ones. False at the end of the stream.
    async fn receive(&mut self, missing: usize) -> Result<bool> {
        let held = self.buffer.len();
        let room = missing.clamp(CHUNK, held.max(CHUNK));
        let wanted = held + room;
        if wanted > FREE && !self.claim.resize(wanted) {
            return Err(Error::new(
                Kind::Limit,
                "53200",
                "the server holds as many received bytes as it may",
            )
            .with_hint("try again, or send less in one message"));
        }
        self.buffer.reserve(room);
        let read = if self.buffer.is_empty() {
            self.side.read_buf(&mut self.buffer).await
        } else {
            let began = *self.began.get_or_insert_with(Instant::now);
            let mebibytes = u64::try_from((held + missing) >> 20).unwrap_or(u64::MAX);
            let allowed = self.message_deadline + Duration::from_secs(mebibytes);
            let read = self.side.read_buf(&mut self.buffer);
            match tokio::time::timeout_at(began + allowed, read).await {
                Ok(read) => read,
                Err(_) => return Err(violation("a message was not complete in time")),
            }
        };
        match read {
            Ok(0) => self.closed = true,
            Ok(_) => {
                self.began.get_or_insert_with(Instant::now);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => self.closed = true,
        }
        Ok(!self.closed)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::super::budget::Budget;
    use super::*;

    fn input(side: impl AsyncRead + Send + Unpin + 'static, budget: usize) -> Input {
        let limits = Limits::default();
        let claim = Budget::new(budget).claim();
        let mut input = Input::new(Box::new(side), BytesMut::new(), claim, &limits);
        input.logged_in(&limits);
        input
    }

    #[tokio::test]
    async fn messages_are_cut_wherever_the_packets_end() {
        let (mut client, server) = tokio::io::duplex(3);
        let mut input = input(server, 0);
        let sender = async {
            client
                .write_all(b"Q\0\0\0\x06a\0S\0\0\0\x04")
                .await
                .unwrap();
            drop(client);
        };
        let receiver = async {
            let query = input.next().await.unwrap().unwrap();
            assert_eq!((query.kind, query.body.as_ref()), (b'Q', &b"a\0"[..]));
            assert_eq!(input.next().await.unwrap().unwrap().kind, b'S');
            assert!(input.next().await.unwrap().is_none());
        };
        tokio::join!(sender, receiver);
    }

    #[tokio::test]
    async fn bad_types_and_lengths_are_refused_at_the_header() {
        for header in [
            &b"Q\xff\xff\xff\xff"[..],
            b"Q\0\0\0\0",
            b"Q\0\0\0\x03",
            b"Q\x7f\xff\xff\xff",
            b"E\0\x01\0\0",
            b"\0\0\0\0\x08",
        ] {
            let mut input = input(header, 0);
            assert_eq!(
                input.next().await.unwrap_err().code(),
                "08P01",
                "{header:?}"
            );
        }
    }

    #[tokio::test]
    async fn long_messages_need_a_share_of_the_budget() {
        let length = 1_000_004_u32.to_be_bytes();
        let message = [&b"d"[..], &length, &vec![7; 1_000_000]].concat();
        let mut poor = input(io::Cursor::new(message.clone()), 500_000);
        assert_eq!(poor.next().await.unwrap_err().code(), "53200");
        let mut rich = input(io::Cursor::new(message), 2_000_000);
        assert_eq!(rich.next().await.unwrap().unwrap().body.len(), 1_000_000);
    }

    #[tokio::test]
    async fn a_message_that_trickles_in_is_given_up() {
        let (mut client, server) = tokio::io::duplex(64);
        let mut input = input(server, 0);
        input.message_deadline = Duration::from_millis(50);
        let trickle = async {
            client.write_all(b"Q\0\0\x01\0").await.unwrap();
            while client.write_all(b"a").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let reading = async move { input.next().await };
        let (_, next) = tokio::join!(trickle, reading);
        assert!(next.unwrap_err().message().contains("in time"));
    }
}
