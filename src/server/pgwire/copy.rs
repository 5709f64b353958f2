//! COPY both ways. What a client sends is kept only when it says that it is done.

use bytes::{BufMut, Bytes};
use futures::stream::BoxStream;
use pgwire::messages::copy::{CopyDone, CopyInResponse, CopyOutResponse};
use pgwire::messages::response::CommandComplete;

use super::backend::{BackendSession, CopyTarget};
use super::cancel::Running;
use super::connection::{Connection, Stop, send, supervise};
use super::error;
use super::frontend::{Message, decode, violation};
use super::output::FLUSH_AT;
use super::stream::{check_width, next};
use crate::base::{Error, Kind, Result};

impl<S: BackendSession> Connection<S> {
    /// COPY FROM STDIN: hands the client's bytes on, then adds CommandComplete. On any other end
    /// the target is dropped unfinished.
    pub(crate) async fn copy_in(
        &mut self,
        mut target: Box<dyn CopyTarget>,
        running: &Running,
    ) -> Result<(), Stop> {
        let (columns, formats) = formats(target.columns(), 0)?;
        self.output
            .message(&CopyInResponse::new(0, columns, formats));
        send(&mut self.input, &mut self.output, running).await?;
        loop {
            let frame = tokio::select! {
                biased;
                () = running.cancelled() => return Err(error::cancelled().into()),
                frame = self.input.next() => frame,
            };
            let Some(frame) = frame.map_err(|reason| Stop::Connection(Some(reason)))? else {
                return Err(Stop::Connection(None));
            };
            let kind = frame.kind;
            match decode(kind, frame.body)? {
                Message::CopyData(bytes) => {
                    supervise(target.push(bytes), &mut self.input, running).await?;
                }
                Message::CopyDone => break,
                Message::CopyFail(reason) => {
                    let message = format!("COPY from stdin failed: {reason}");
                    return Err(Error::cancelled(message).into());
                }
                // libpq sends these before it knows that a COPY began.
                Message::Flush | Message::Sync => {}
                Message::Terminate => return Err(Stop::Connection(None)),
                _ => {
                    let message = format!("unexpected message type {kind} during COPY from stdin");
                    return Err(violation(message).into());
                }
            }
        }
        let tag = supervise(target.finish(), &mut self.input, running).await?;
        self.report();
        self.output.message(&CommandComplete::new(tag));
        Ok(())
    }

    /// COPY TO STDOUT: sends the pieces as they come, up to CopyDone. Gives the count of lines.
    pub(crate) async fn copy_out(
        &mut self,
        mut stream: BoxStream<'static, Result<Bytes>>,
        columns: usize,
        binary: bool,
        running: &Running,
    ) -> Result<u64, Stop> {
        let format = i8::from(binary);
        let (columns, formats) = formats(columns, i16::from(format))?;
        self.output
            .message(&CopyOutResponse::new(format, columns, formats));
        let mut lines = 0;
        let (input, output) = (&mut self.input, &mut self.output);
        while let Some(piece) = next(&mut stream, input, output, running).await? {
            let piece = piece?;
            lines += piece
                .iter()
                .map(|byte| u64::from(*byte == b'\n'))
                .sum::<u64>();
            output.raw(b'd', |buffer| {
                buffer.put_slice(&piece);
                Ok(())
            })?;
            if output.len() >= FLUSH_AT {
                send(input, output, running).await?;
            }
        }
        self.report();
        self.output.message(&CopyDone::new());
        Ok(lines)
    }
}

/// One format for each column.
fn formats(columns: usize, format: i16) -> Result<(i16, Vec<i16>)> {
    check_width(columns)?;
    let count = i16::try_from(columns)
        .map_err(|_| Error::new(Kind::Limit, "54011", "too many columns to copy"))?;
    Ok((count, vec![format; columns]))
}
