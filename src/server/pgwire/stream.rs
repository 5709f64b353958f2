//! Sends rows as they come: never a whole result in memory, never a row that waits for the next.

use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow::datatypes::SchemaRef;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::StreamExt;
use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse};

use super::backend::{BackendSession, Response};
use super::cancel::Running;
use super::connection::{Connection, Stop, send};
use super::encode::{RowWriter, Zone};
use super::error;
use super::frontend::Format;
use super::input::Input;
use super::output::{FLUSH_AT, Output};
use super::types::PgType;
use crate::base::{Error, Result};

/// How long collected rows wait for more before they are sent.
const IDLE: Duration = Duration::from_millis(5);

/// A result that is being sent, perhaps in several runs.
pub(crate) struct Rows {
    stream: SendableRecordBatchStream,
    schema: SchemaRef,
    formats: Vec<Format>,
    zone: Zone,
    tag: &'static str,
    /// The batch that is being sent, and its next row.
    current: Option<(RowWriter, usize)>,
    /// Whether the stream came to its end. It must not be polled after that.
    ended: bool,
}

/// How a run of sending ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The stream is at its end.
    Finished,
    /// The limit was reached; there may be more.
    Suspended,
}

impl Rows {
    /// Rows of `schema`, written in `formats`.
    pub(crate) fn new(
        stream: SendableRecordBatchStream,
        schema: SchemaRef,
        tag: &'static str,
        formats: Vec<Format>,
        zone: Zone,
    ) -> Self {
        Self {
            stream,
            schema,
            formats,
            zone,
            tag,
            current: None,
            ended: false,
        }
    }

    /// Adds the RowDescription.
    pub(crate) fn describe(&self, output: &mut Output) {
        describe(&self.schema, &self.formats, output);
    }

    /// Sends up to `limit` rows; adds nothing after the last.
    pub(crate) async fn run(
        &mut self,
        limit: u64,
        input: &mut Input,
        output: &mut Output,
        running: &Running,
    ) -> Result<(Progress, u64), Stop> {
        let mut sent = 0;
        loop {
            while let Some((writer, next)) = &mut self.current {
                while *next < writer.rows() && sent < limit && output.len() < FLUSH_AT {
                    output.raw(b'D', |buffer| writer.write(*next, buffer))?;
                    *next += 1;
                    sent += 1;
                }
                if *next >= writer.rows() {
                    self.current = None;
                }
                if output.len() >= FLUSH_AT {
                    send(input, output, running).await?;
                } else if sent >= limit {
                    return Ok((Progress::Suspended, sent));
                }
            }
            if self.ended {
                return Ok((Progress::Finished, sent));
            }
            if sent >= limit {
                return Ok((Progress::Suspended, sent));
            }
            match next(&mut self.stream, input, output, running).await? {
                Some(batch) => {
                    let batch = batch.map_err(Error::from)?;
                    let writer = RowWriter::new(&batch, &self.schema, &self.formats, &self.zone)?;
                    self.current = Some((writer, 0));
                }
                None => self.ended = true,
            }
        }
    }

    /// The tag after a run that sent `rows`.
    pub(crate) fn complete(&self, rows: u64) -> CommandComplete {
        CommandComplete::new(match self.tag {
            "INSERT" => format!("INSERT 0 {rows}"),
            "SELECT" | "UPDATE" | "DELETE" | "MERGE" | "FETCH" | "MOVE" | "COPY" => {
                format!("{} {rows}", self.tag)
            }
            other => other.to_owned(),
        })
    }
}

/// Adds the RowDescription of `schema`.
pub(crate) fn describe(schema: &SchemaRef, formats: &[Format], output: &mut Output) {
    let fields = schema.fields().iter().enumerate().map(|(index, field)| {
        let r#type = PgType::of(field);
        FieldDescription::new(
            field.name().clone(),
            0,
            0,
            r#type.oid,
            r#type.size,
            r#type.modifier,
            Format::of(formats, index).code(),
        )
    });
    output.message(&RowDescription::new(fields.collect()));
}

/// The next item of a stream. While it lets wait, what is collected is sent.
pub(crate) async fn next<St>(
    stream: &mut St,
    input: &mut Input,
    output: &mut Output,
    running: &Running,
) -> Result<Option<St::Item>, Stop>
where
    St: futures::Stream + Unpin,
{
    loop {
        let collected = output.len() > 0;
        tokio::select! {
            biased;
            () = running.cancelled() => return Err(error::cancelled().into()),
            item = stream.next() => return Ok(item),
            () = input.gone() => return Err(Stop::Connection(None)),
            () = tokio::time::sleep(IDLE), if collected => {}
        }
        send(input, output, running).await?;
    }
}

impl<S: BackendSession> Connection<S> {
    /// Sends the answer to a statement of the simple protocol.
    pub(crate) async fn respond(
        &mut self,
        response: Response,
        running: &Running,
    ) -> Result<(), Stop> {
        match response {
            Response::Rows {
                schema,
                stream,
                tag,
            } => {
                check_width(schema.fields().len())?;
                let mut rows = Rows::new(stream, schema, tag, Vec::new(), self.zone.clone());
                rows.describe(&mut self.output);
                let (input, output) = (&mut self.input, &mut self.output);
                let (_, sent) = rows.run(u64::MAX, input, output, running).await?;
                self.report();
                self.output.message(&rows.complete(sent));
            }
            Response::Done { tag } => {
                self.output.message(&CommandComplete::new(tag));
            }
            Response::CopyIn(target) => self.copy_in(target, running).await?,
            Response::CopyOut {
                stream,
                columns,
                binary,
                rows,
            } => {
                let lines = self.copy_out(stream, columns, binary, running).await?;
                let rows = rows.map_or(lines, |rows| rows.load(Ordering::Relaxed));
                self.output
                    .message(&CommandComplete::new(format!("COPY {rows}")));
            }
            Response::Empty => {
                self.output.message(&EmptyQueryResponse::new());
            }
        }
        Ok(())
    }
}

/// A row on the wire counts its columns in 16 bits; PostgreSQL stops at 1,664.
pub(crate) fn check_width(columns: usize) -> Result<()> {
    const WIDEST: usize = 1_664;
    if columns > WIDEST {
        return Err(Error::new(
            crate::base::Kind::Limit,
            "54011",
            format!("a result can have at most {WIDEST} columns, not {columns}"),
        ));
    }
    Ok(())
}
