//! Collects answers and sends them. Only whole messages leave it, also after an error half way.

use std::io;
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use pgwire::error::PgWireResult;
use pgwire::messages::Message;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::backend::Notice;
use super::error;
use crate::base::{Error, Result};

/// The half of a socket that is written.
pub(crate) type WriteSide = Box<dyn AsyncWrite + Send + Unpin>;

/// With so much collected, a stream of rows sends it.
pub(crate) const FLUSH_AT: usize = 32 << 10;

/// The outgoing side of a connection.
pub(crate) struct Output {
    side: WriteSide,
    buffer: BytesMut,
    /// The end of the last whole message in `buffer`.
    whole: usize,
    stall_deadline: Duration,
}

impl Output {
    /// Writes to `side`; gives up when the client takes nothing for `stall_deadline`.
    pub(crate) fn new(side: WriteSide, stall_deadline: Duration) -> Self {
        Self {
            side,
            buffer: BytesMut::new(),
            whole: 0,
            stall_deadline,
        }
    }

    /// Adds a message.
    pub(crate) fn message(&mut self, message: &impl Message) -> &mut Self {
        let encoded: PgWireResult<()> = message.encode(&mut self.buffer);
        match encoded {
            Ok(()) => self.whole = self.buffer.len(),
            // The crate's encoders of answers have no way to fail; were it so, nothing half is sent.
            Err(_) => self.buffer.truncate(self.whole),
        }
        self
    }

    /// Adds an ErrorResponse of severity ERROR.
    pub(crate) fn error(&mut self, error: &Error) {
        self.message(&error::response("ERROR", error));
    }

    /// Adds an ErrorResponse of severity FATAL: the connection ends after it.
    pub(crate) fn fatal(&mut self, error: &Error) {
        self.buffer.truncate(self.whole);
        self.message(&error::response("FATAL", error));
    }

    /// Adds a NoticeResponse.
    pub(crate) fn notice(&mut self, notice: &Notice) {
        self.message(&error::notice(notice));
    }

    /// Adds a message of type `kind` whose body `write` appends. If it fails, nothing is added.
    pub(crate) fn raw(
        &mut self,
        kind: u8,
        write: impl FnOnce(&mut BytesMut) -> Result<()>,
    ) -> Result<()> {
        self.buffer.put_u8(kind);
        let start = self.buffer.len();
        self.buffer.put_i32(0);
        let written = write(&mut self.buffer).and_then(|()| {
            let length = i32::try_from(self.buffer.len() - start).map_err(|_| {
                Error::limit("one row or piece of a copy would be longer than 2 GiB")
            })?;
            if let Some(place) = self.buffer.get_mut(start..start + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
            Ok(())
        });
        match written {
            Ok(()) => self.whole = self.buffer.len(),
            Err(_) => self.buffer.truncate(self.whole),
        }
        written
    }

    /// Bytes that wait to be sent.
    pub(crate) fn len(&self) -> usize {
        self.whole
    }

    /// Sends everything. May be dropped half way: the rest stays for the next call.
    ///
    /// # Errors
    /// When the client is gone or takes nothing for too long.
    pub(crate) async fn flush(&mut self) -> io::Result<()> {
        self.buffer.truncate(self.whole);
        while !self.buffer.is_empty() {
            let write = self.side.write(&self.buffer);
            let sent = tokio::time::timeout(self.stall_deadline, write).await??;
            if sent == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes::Buf::advance(&mut self.buffer, sent);
            self.whole = self.buffer.len();
        }
        if self.buffer.capacity() > 8 * FLUSH_AT {
            // One huge row must not stay as the size of an idle connection.
            self.buffer = BytesMut::new();
        }
        tokio::time::timeout(self.stall_deadline, self.side.flush()).await?
    }

    /// Sends what is left, within `patience`, and closes.
    pub(crate) async fn close(&mut self, patience: Duration) {
        let goodbye = async {
            if self.flush().await.is_ok() {
                // The client may be gone already: there is nobody left to tell.
                let _gone = self.side.shutdown().await;
            }
        };
        let _late = tokio::time::timeout(patience, goodbye).await;
    }
}
