//! A logged-in connection: takes message after message until one side leaves.

use std::collections::HashMap;
use std::io;
use std::time::Duration;

use pgwire::messages::response::{ReadyForQuery, TransactionStatus as WireStatus};
use pgwire::messages::startup::ParameterStatus;
use tokio::sync::watch;

use super::backend::{BackendSession, TransactionStatus};
use super::cancel::{Entered, Running};
use super::encode::Zone;
use super::error;
use super::extended::{Portal, Statement};
use super::frontend::{Message, decode, unknown};
use super::input::{Frame, Input};
use super::options::Limits;
use super::output::{FLUSH_AT, Output};
use super::server::Seat;
use crate::base::{Error, Result};

/// How long a cancelled statement may take to end by itself.
const CANCEL_PATIENCE: Duration = Duration::from_secs(10);

/// A logged-in connection.
pub(crate) struct Connection<S: BackendSession> {
    pub(crate) session: S,
    pub(crate) input: Input,
    pub(crate) output: Output,
    pub(crate) entered: Entered,
    pub(crate) limits: Limits,
    pub(crate) statements: HashMap<String, Statement<S::Prepared>>,
    pub(crate) portals: HashMap<String, Portal<S::Prepared>>,
    /// The session's time zone, in which a timestamptz is written.
    pub(crate) zone: Zone,
    stopping: watch::Receiver<bool>,
    /// After an error in the extended protocol, everything up to the next Sync is ignored.
    skipping: bool,
    _seat: Seat,
}

/// Why a conversation stops.
pub(crate) enum Stop {
    /// The statement failed; the connection goes on.
    Statement(Error),
    /// The connection is over, with a last word if there is one to say.
    Connection(Option<Error>),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Statement(error)
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Connection(None)
    }
}

impl<S: BackendSession> Connection<S> {
    /// A connection that is ready for its first statement.
    pub(crate) fn new(
        session: S,
        (input, output): (Input, Output),
        (entered, seat): (Entered, Seat),
        limits: Limits,
        stopping: watch::Receiver<bool>,
        settings: &[(String, String)],
    ) -> Self {
        let mut connection = Self {
            session,
            input,
            output,
            entered,
            limits,
            statements: HashMap::new(),
            portals: HashMap::new(),
            zone: Zone::utc(),
            stopping,
            skipping: false,
            _seat: seat,
        };
        for (name, value) in settings {
            connection.note_setting(name, value);
        }
        connection
    }

    /// Serves until the end.
    pub(crate) async fn serve(&mut self) {
        let Err(stop) = self.converse().await;
        if let Stop::Connection(Some(reason)) | Stop::Statement(reason) = stop {
            self.output.fatal(&reason);
        }
    }

    /// Adds a last word.
    pub(crate) fn fatal(&mut self, reason: &Error) {
        self.output.fatal(reason);
    }

    /// Sends what is left and closes.
    pub(crate) async fn close(mut self, patience: Duration) {
        // What still runs must not hold the engine while the goodbye is on its way.
        self.portals.clear();
        self.output.close(patience).await;
    }

    async fn converse(&mut self) -> Result<std::convert::Infallible, Stop> {
        self.ready().await?;
        loop {
            let frame = self.idle().await?;
            if self.skipping && !matches!(frame.kind, b'S' | b'X') {
                continue;
            }
            let extended = !matches!(frame.kind, b'Q');
            match self.dispatch(frame).await {
                Ok(()) => {}
                Err(Stop::Statement(error)) => {
                    self.output.error(&error);
                    if extended {
                        self.skipping = true;
                    } else {
                        self.ready().await?;
                    }
                }
                Err(stop) => return Err(stop),
            }
            if self.output.len() >= FLUSH_AT {
                self.output.flush().await?;
            }
        }
    }

    /// Waits for the next message, or for the end of the server.
    async fn idle(&mut self) -> Result<Frame, Stop> {
        let frame = tokio::select! {
            biased;
            frame = self.input.next() => frame,
            _ = self.stopping.wait_for(|stop| *stop) => {
                return Err(Stop::Connection(Some(error::shutting_down())));
            }
        };
        match frame {
            // A password that nobody asked for: the two sides are out of step.
            Ok(Some(frame)) if frame.kind == b'p' => {
                Err(Stop::Connection(Some(unknown(frame.kind))))
            }
            Ok(Some(frame)) => Ok(frame),
            Ok(None) => Err(Stop::Connection(None)),
            Err(reason) => Err(Stop::Connection(Some(reason))),
        }
    }

    async fn dispatch(&mut self, frame: Frame) -> Result<(), Stop> {
        match decode(frame.kind, frame.body)? {
            Message::Query(sql) => {
                Box::pin(self.simple(&sql)).await?;
                self.ready().await
            }
            Message::Parse { name, sql, types } => self.parse(name, &sql, types).await,
            Message::Bind(bind) => self.bind(bind),
            Message::Describe(target) => self.describe(&target),
            Message::Execute { portal, max_rows } => {
                Box::pin(self.execute(&portal, max_rows)).await
            }
            Message::Close(target) => {
                self.close_target(&target);
                Ok(())
            }
            Message::Flush => Ok(self.output.flush().await?),
            Message::Sync => {
                self.skipping = false;
                self.ready().await
            }
            // Left over from a COPY that failed: the client could not know yet.
            Message::CopyData(_) | Message::CopyDone | Message::CopyFail(_) => Ok(()),
            Message::Terminate => Err(Stop::Connection(None)),
        }
    }

    /// Adds what the session has to report beside answers.
    pub(crate) fn report(&mut self) {
        for notice in self.session.take_notices() {
            self.output.notice(&notice);
        }
        for (name, value) in self.session.parameter_changes() {
            self.note_setting(&name, &value);
            self.output.message(&ParameterStatus::new(name, value));
        }
    }

    fn note_setting(&mut self, name: &str, value: &str) {
        if name.eq_ignore_ascii_case("timezone")
            && let Some(zone) = Zone::named(value)
        {
            self.zone = zone;
        }
    }

    /// Ends an exchange: reports, ReadyForQuery, everything sent. Outside a transaction block, the
    /// portals end here.
    async fn ready(&mut self) -> Result<(), Stop> {
        self.report();
        let status = match self.session.transaction_status() {
            TransactionStatus::Idle => {
                self.portals.clear();
                WireStatus::Idle
            }
            TransactionStatus::InTransaction => WireStatus::Transaction,
            TransactionStatus::Failed => WireStatus::Error,
        };
        self.output.message(&ReadyForQuery::new(status));
        Ok(self.output.flush().await?)
    }
}

/// Runs work of the session; ends it when it is cancelled or the client is gone.
pub(crate) async fn supervise<T>(
    work: impl Future<Output = Result<T>>,
    input: &mut Input,
    running: &Running,
) -> Result<T, Stop> {
    tokio::pin!(work);
    let gone = tokio::select! {
        biased;
        done = &mut work => return Ok(done?),
        () = running.cancelled() => false,
        () = input.gone() => true,
    };
    running.cancel();
    // The session ends its own work, so that nothing of it is left half done.
    match tokio::time::timeout(CANCEL_PATIENCE, work).await {
        Ok(_) if gone => Err(Stop::Connection(None)),
        Ok(done) => Ok(done?),
        Err(_) => Err(Stop::Connection(Some(Error::internal(
            "a cancelled statement did not end in time, so its session ends",
        )))),
    }
}

/// Sends what waits, unless it is cancelled or the client is gone first.
pub(crate) async fn send(
    input: &mut Input,
    output: &mut Output,
    running: &Running,
) -> Result<(), Stop> {
    tokio::select! {
        biased;
        sent = output.flush() => Ok(sent?),
        () = running.cancelled() => Err(error::cancelled().into()),
        () = input.gone() => Err(Stop::Connection(None)),
    }
}
