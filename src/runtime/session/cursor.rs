//! DECLARE, FETCH and CLOSE: a query whose rows the client takes in portions, forward.

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;

use super::{Response, Session, TransactionStatus, done, rows};
use crate::base::{Error, Kind, Result};
use crate::planner::parse::{Declare, Fetch, FetchCount};

/// The most rows that one FETCH gives.
const FETCH_ROWS: usize = 1 << 20;

/// An open cursor.
pub(super) struct Cursor {
    pub(super) schema: SchemaRef,
    /// It outlives its transaction block.
    pub(super) hold: bool,
    stream: SendableRecordBatchStream,
    rest: Option<RecordBatch>,
}

impl Session {
    pub(super) async fn declare(&mut self, declare: &Declare) -> Result<Response> {
        if self.transaction_status() == TransactionStatus::Idle && !declare.hold {
            return Err(Error::new(
                Kind::Invalid,
                "25P01",
                "DECLARE CURSOR can only be used in transaction blocks",
            )
            .with_hint("begin a transaction, or declare the cursor WITH HOLD"));
        }
        if self.cursors.contains_key(&declare.name) {
            let message = format!("cursor \"{}\" already exists", declare.name);
            return Err(Error::new(Kind::Conflict, "42P03", message));
        }
        let (schema, stream) = self.open(declare.query.as_ref().clone(), &[]).await?;
        let cursor = Cursor {
            schema,
            hold: declare.hold,
            stream,
            rest: None,
        };
        self.cursors.insert(declare.name.clone(), cursor);
        done("DECLARE CURSOR")
    }

    pub(super) async fn fetch(&mut self, fetch: &Fetch) -> Result<Response> {
        let cursor = self
            .cursors
            .get_mut(&fetch.name)
            .ok_or_else(|| no_cursor(&fetch.name))?;
        let wanted = match fetch.count {
            FetchCount::Rows(count) => usize::try_from(count).unwrap_or(FETCH_ROWS),
            FetchCount::All => FETCH_ROWS,
        };
        let batch = cursor.take(wanted.min(FETCH_ROWS)).await?;
        if fetch.move_only {
            return done(&format!("MOVE {}", batch.num_rows()));
        }
        Ok(rows(batch, "FETCH"))
    }

    pub(super) fn close(&mut self, name: Option<&str>) -> Result<Response> {
        match name {
            Some(name) => {
                self.cursors.remove(name).ok_or_else(|| no_cursor(name))?;
            }
            None => self.cursors.clear(),
        }
        done("CLOSE CURSOR")
    }
}

impl Cursor {
    async fn take(&mut self, wanted: usize) -> Result<RecordBatch> {
        let mut taken = Vec::new();
        let mut missing = wanted;
        while missing > 0 {
            let batch = match self.rest.take() {
                Some(batch) => batch,
                None => match self.stream.next().await {
                    Some(batch) => batch?,
                    None => break,
                },
            };
            if batch.num_rows() > missing {
                self.rest = Some(batch.slice(missing, batch.num_rows() - missing));
                taken.push(batch.slice(0, missing));
                missing = 0;
            } else {
                missing -= batch.num_rows();
                taken.push(batch);
            }
        }
        Ok(concat_batches(&self.schema, &taken)?)
    }
}

fn no_cursor(name: &str) -> Error {
    Error::new(
        Kind::Missing,
        "34000",
        format!("cursor \"{name}\" does not exist"),
    )
}
