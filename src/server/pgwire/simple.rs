//! The simple protocol: one text, its statements one after the other, the first error ends it.

use pgwire::messages::response::EmptyQueryResponse;

use super::backend::BackendSession;
use super::connection::{Connection, Stop, supervise};
use crate::base::{Error, Kind};

impl<S: BackendSession> Connection<S> {
    /// Runs the statements of `sql`.
    pub(crate) async fn simple(&mut self, sql: &str) -> Result<(), Stop> {
        // As PostgreSQL has it, a simple query takes the place of what has no name.
        self.statements.remove("");
        self.portals.remove("");
        let parsed = self.session.parse(sql)?;
        if parsed.is_empty() {
            self.output.message(&EmptyQueryResponse::new());
        }
        for statement in parsed {
            let running = self.entered.slot.start();
            let prepare = self.session.prepare(statement, &[]);
            let prepared = supervise(prepare, &mut self.input, &running).await?;
            let (parameters, _) = self.session.describe(&prepared);
            if !parameters.is_empty() {
                return Err(Error::new(Kind::Invalid, "42P02", "there is no parameter $1").into());
            }
            let execute = self.session.execute(&prepared, &[]);
            let response = supervise(execute, &mut self.input, &running).await?;
            self.report();
            self.respond(response, &running).await?;
        }
        Ok(())
    }
}
