//! Lotic's own sessions behind the wire: the engine's words turned into the wire's, nothing more.

use std::sync::Arc;

use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use bytes::Bytes;
use datafusion::common::ScalarValue;

use super::backend::{
    Backend, BackendSession, Canceller, CopyTarget, Notice, Response, TransactionStatus,
};
use crate::base::Result;
use crate::runtime::{self, Lotic, Parsed, Prepared, Session};
use crate::security::Users;

/// An engine to serve.
#[derive(Debug)]
pub struct Engine(Arc<Lotic>);

impl Engine {
    /// Serves `lotic`.
    pub fn new(lotic: Arc<Lotic>) -> Arc<Self> {
        Arc::new(Self(lotic))
    }
}

impl Backend for Engine {
    type Session = Session;

    fn users(&self) -> &Users {
        self.0.users()
    }

    // There is one database, so its name is taken as a matter of taste.
    fn session(&self, user: &str, _database: &str) -> Result<Session> {
        Ok(self.0.client_session(user))
    }
}

#[async_trait]
impl BackendSession for Session {
    type Parsed = Parsed;
    type Prepared = Prepared;

    fn parse(&self, sql: &str) -> Result<Vec<Parsed>> {
        Self::parse(self, sql)
    }

    async fn prepare(&mut self, parsed: Parsed, hints: &[Option<DataType>]) -> Result<Prepared> {
        Self::prepare(self, parsed, hints).await
    }

    fn describe<'a>(&self, prepared: &'a Prepared) -> (&'a [DataType], Option<&'a SchemaRef>) {
        (&prepared.parameters, prepared.schema.as_ref())
    }

    async fn execute(
        &mut self,
        prepared: &Prepared,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        let response = Self::execute(self, prepared, parameters).await?;
        Ok(match response {
            runtime::Response::Rows {
                schema,
                stream,
                tag,
            } => Response::Rows {
                schema,
                stream,
                tag,
            },
            runtime::Response::Done { tag } => Response::Done { tag },
            runtime::Response::CopyIn(target) => Response::CopyIn(Box::new(target)),
            runtime::Response::CopyOut {
                stream,
                columns,
                binary,
            } => Response::CopyOut {
                stream,
                columns,
                binary,
                rows: None,
            },
            runtime::Response::Empty => Response::Empty,
        })
    }

    fn canceller(&self) -> Canceller {
        let canceller = Self::canceller(self);
        Arc::new(move || canceller.cancel())
    }

    fn take_notices(&mut self) -> Vec<Notice> {
        let notices = Self::take_notices(self).into_iter();
        let notice = |notice: runtime::Notice| Notice {
            severity: notice.severity,
            code: notice.code,
            message: notice.message,
        };
        notices.map(notice).collect()
    }

    fn transaction_status(&self) -> TransactionStatus {
        match Self::transaction_status(self) {
            runtime::TransactionStatus::Idle => TransactionStatus::Idle,
            runtime::TransactionStatus::InTransaction => TransactionStatus::InTransaction,
            runtime::TransactionStatus::Failed => TransactionStatus::Failed,
        }
    }

    fn parameter_changes(&mut self) -> Vec<(String, String)> {
        Self::parameter_changes(self)
    }

    fn start_parameter(&mut self, name: &str, value: &str) -> Result<()> {
        Self::start_parameter(self, name, value);
        Ok(())
    }
}

#[async_trait]
impl CopyTarget for runtime::CopyIn {
    fn columns(&self) -> usize {
        Self::columns(self)
    }

    async fn push(&mut self, bytes: Bytes) -> Result<()> {
        Self::push(self, bytes).await
    }

    async fn finish(self: Box<Self>) -> Result<String> {
        Self::finish(*self).await
    }
}
