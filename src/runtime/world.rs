//! What readers see at one epoch: the catalog and the rows of everything in it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::Moment;
use crate::base::{Epoch, Error, ObjectId};
use crate::catalog::Catalog;
use crate::engine::Watermarks;
use crate::models::Snapshot;

/// One consistent moment. A query pins one and sees nothing else.
#[derive(Clone, Debug, Default)]
pub(crate) struct World {
    /// The epoch that published it.
    pub(crate) epoch: Epoch,
    /// Time that all epochs before it took, from the rows at hand to their being visible, in microseconds.
    pub(crate) epochs_us: u64,
    /// What `now()` is for its models, in microseconds since 1970.
    pub(crate) now_us: i64,
    /// How far the time of each source had come for its models.
    pub(crate) watermarks: Arc<Watermarks>,
    /// The definitions.
    pub(crate) catalog: Arc<Catalog>,
    /// The rows of tables, streams, loaded sources and models.
    pub(crate) contents: BTreeMap<ObjectId, Content>,
}

/// The rows of one object, and how it is doing.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The rows.
    pub(crate) snapshot: Arc<Snapshot>,
    /// How the model is doing; tables are always live.
    pub(crate) health: Arc<Health>,
}

/// How an object is doing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Health {
    /// Why it stopped, if it did. Its rows are then those of the last good epoch.
    pub(crate) failure: Option<Error>,
    /// Rows that failed in an expression and are left out.
    pub(crate) failed_rows: FailedRows,
    /// Figures of the operators, in graph order.
    pub(crate) operators: Vec<OperatorFigures>,
    /// The epoch that changed it last.
    pub(crate) changed: Epoch,
    /// Time that its last step took, in microseconds.
    pub(crate) step_us: u64,
    /// Time of all its steps, in microseconds.
    pub(crate) busy_us: u64,
}

/// Figures of one operator of a model.
#[derive(Clone, Debug)]
pub(crate) struct OperatorFigures {
    /// The operator's name.
    pub(crate) name: &'static str,
    /// Rows received since the start.
    pub(crate) rows_in: u64,
    /// Rows sent since the start.
    pub(crate) rows_out: u64,
    /// Time spent, in microseconds.
    pub(crate) busy_us: u64,
    /// Memory of its state, in bytes.
    pub(crate) state_bytes: u64,
    /// Rows in its state.
    pub(crate) state_rows: u64,
}

/// Rows that failed, counted by operator, error and row, so that a retraction takes its error back.
#[derive(Clone, Debug, Default)]
pub(crate) struct FailedRows {
    rows: BTreeMap<FailedRow, i64>,
    count: i64,
}

/// One row that failed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct FailedRow {
    /// The operator whose expression failed.
    pub(crate) operator: String,
    /// SQLSTATE of the error.
    pub(crate) code: &'static str,
    /// Its message.
    pub(crate) message: String,
    /// The operator's input row, as JSON.
    pub(crate) row: String,
}

impl FailedRows {
    /// Adds `weight` copies of a row, or takes them away.
    pub(crate) fn add(&mut self, row: FailedRow, weight: i64) {
        self.count += weight;
        match self.rows.entry(row) {
            std::collections::btree_map::Entry::Vacant(empty) => {
                if weight != 0 {
                    empty.insert(weight);
                }
            }
            std::collections::btree_map::Entry::Occupied(mut held) => {
                *held.get_mut() += weight;
                if *held.get() == 0 {
                    held.remove();
                }
            }
        }
    }

    /// How many rows failed, copies counted.
    pub(crate) fn count(&self) -> i64 {
        self.count
    }

    /// Each row with the number of its copies.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&FailedRow, i64)> {
        self.rows.iter().map(|(row, count)| (row, *count))
    }
}

impl World {
    /// When it was published, for a step that is as it is.
    pub(crate) fn moment(&self) -> Moment {
        Moment {
            epoch: self.epoch,
            now_us: self.now_us,
            watermarks: Arc::clone(&self.watermarks),
        }
    }

    /// The rows of `id`, if they are in memory.
    pub(crate) fn snapshot(&self, id: ObjectId) -> Option<&Arc<Snapshot>> {
        self.contents.get(&id).map(|content| &content.snapshot)
    }
}
