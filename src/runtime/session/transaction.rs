//! Transaction blocks.
//!
//! Reads of a block see one epoch. Writes of a block are kept and run at COMMIT, in order; each
//! statement is atomic by itself, the block as a whole is not (there are no transactions over
//! several statements yet). A block that has written a table cannot read it before COMMIT: it is
//! told so, instead of being shown rows without its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::array::RecordBatch;
use datafusion::common::ScalarValue;

use super::{Response, Session, TransactionStatus, done};
use crate::base::{Error, Kind, ObjectId, Result};
use crate::planner::parse::Statement;
use crate::runtime::dml::{Written, count_rows};
use crate::runtime::writer::WriteOptions;

/// The state of a session's block.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) status: TransactionStatus,
    staged: Vec<Staged>,
    touched: BTreeSet<ObjectId>,
}

/// A write that waits for COMMIT.
#[derive(Debug)]
pub(super) enum Staged {
    /// A statement to run.
    Statement(Box<Statement>, Vec<ScalarValue>),
    /// Rows that a COPY brought.
    Rows {
        /// The table's name.
        table: String,
        /// In its columns.
        batches: Vec<RecordBatch>,
    },
}

impl Default for Transaction {
    fn default() -> Self {
        Self {
            status: TransactionStatus::Idle,
            staged: Vec::new(),
            touched: BTreeSet::new(),
        }
    }
}

impl Transaction {
    /// An error inside a block spoils it.
    pub(super) fn fail(&mut self) {
        if self.status == TransactionStatus::InTransaction {
            self.status = TransactionStatus::Failed;
            self.staged.clear();
        }
    }

    /// Keeps a write for COMMIT.
    pub(super) fn stage(&mut self, object: ObjectId, write: Staged) {
        self.touched.insert(object);
        self.staged.push(write);
    }

    /// Refuses to read what the block has written and not committed.
    pub(super) fn check_reads(&self, reads: &BTreeSet<ObjectId>) -> Result<()> {
        if reads.is_disjoint(&self.touched) {
            return Ok(());
        }
        Err(Error::unsupported(
            "this transaction reads what it has written, and its writes run at COMMIT",
        )
        .with_hint("commit before reading, or use autocommit: each statement is atomic by itself"))
    }
}

impl Session {
    pub(super) fn begin(&mut self) -> Result<Response> {
        if self.transaction_status() == TransactionStatus::Idle {
            self.transaction.lock().status = TransactionStatus::InTransaction;
            self.pinned = None;
        } else {
            self.warn(
                "25001",
                "there is already a transaction in progress".to_owned(),
            );
        }
        done("BEGIN")
    }

    pub(super) async fn commit(&mut self) -> Result<Response> {
        let block = self.end_block();
        if block.status == TransactionStatus::Idle {
            self.warn("25P01", "there is no transaction in progress".to_owned());
        }
        if block.status == TransactionStatus::Failed {
            return done("ROLLBACK");
        }
        for write in block.staged {
            let written = match write {
                Staged::Statement(statement, parameters) => {
                    Box::pin(self.write(&statement, &parameters)).await?.1
                }
                Staged::Rows { table, batches } => {
                    let rows = batches.iter().map(|batch| batch.num_rows() as u64).sum();
                    let (_, writer) = Arc::clone(&self.lotic).writable(&table, true).await?;
                    let receipt = writer.insert(batches, WriteOptions::default()).await?;
                    Written {
                        rows,
                        receipt: Some(receipt),
                    }
                }
            };
            self.note(written);
        }
        done("COMMIT")
    }

    pub(super) fn rollback(&mut self) -> Result<Response> {
        if self.end_block().status == TransactionStatus::Idle {
            self.warn("25P01", "there is no transaction in progress".to_owned());
        }
        done("ROLLBACK")
    }

    fn end_block(&mut self) -> Transaction {
        self.pinned = None;
        self.cursors.retain(|_, cursor| cursor.hold);
        std::mem::take(&mut *self.transaction.lock())
    }

    /// Counts what a write of a block will do, and keeps it for COMMIT.
    pub(super) async fn stage_change(
        &mut self,
        statement: &Statement,
        parameters: &[ScalarValue],
    ) -> Result<Response> {
        let lotic = Arc::clone(&self.lotic);
        let (verb, table, count) = match statement {
            Statement::Insert(insert) => {
                let count = match insert.source.body.as_ref() {
                    sqlparser::ast::SetExpr::Values(values) => values.rows.len() as u64,
                    _ => {
                        let source = insert.source.as_ref().clone();
                        count_rows(&lotic.collect(source, parameters).await?)
                    }
                };
                ("INSERT 0", &insert.table.name, count)
            }
            Statement::Update(update) => {
                let (alias, filter) = (update.alias.as_deref(), update.selection.as_ref());
                let count = lotic
                    .count_matching(&update.table.name, alias, filter, parameters)
                    .await?;
                ("UPDATE", &update.table.name, count)
            }
            Statement::Delete(delete) => {
                let (alias, filter) = (delete.alias.as_deref(), delete.selection.as_ref());
                let count = lotic
                    .count_matching(&delete.table.name, alias, filter, parameters)
                    .await?;
                ("DELETE", &delete.table.name, count)
            }
            _ => return Err(Error::internal("not a statement that changes rows")),
        };
        let (object, _) = lotic
            .writable(table, matches!(statement, Statement::Insert(_)))
            .await?;
        let write = Staged::Statement(Box::new(statement.clone()), parameters.to_vec());
        self.transaction.lock().stage(object.id, write);
        done(&format!("{verb} {count}"))
    }

    pub(super) fn warn(&mut self, code: &'static str, message: String) {
        self.notices.push(super::Notice {
            severity: "WARNING",
            code,
            message,
        });
    }

    /// Definitions change at once and cannot be taken back with a block.
    pub(super) fn refuse_in_block(&self, what: &str) -> Result<()> {
        if self.transaction.lock().staged.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            Kind::Invalid,
            "25001",
            format!("{what} cannot run in a transaction block that has written rows"),
        ))
    }
}
