//! A model as the driver keeps it: its graph, its rows and how it is doing.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::RecordBatch;

use super::world::{Content, FailedRow, FailedRows, Health, OperatorFigures};
use crate::base::clock::ClockRef;
use crate::base::{CancelFlag, Epoch, Error, ObjectId, Result};
use crate::catalog::ModelOptions;
use crate::engine::{AllModels, Budget, Dataflow, Progress, RowError, StepContext, Watermarks};
use crate::models::Collection;
use crate::zset::{Delta, Weights};

/// What a model needs of the engine that it is in.
#[derive(Clone)]
pub(crate) struct ModelSeams {
    /// For the times of its steps.
    pub(crate) clock: ClockRef,
    /// What its state and its rows may take, in bytes.
    pub(crate) memory_bytes: usize,
    /// What those of all models may.
    pub(crate) all_models: Arc<AllModels>,
    /// Raised when nobody wants the model any more before it follows its inputs.
    pub(crate) stop: CancelFlag,
    /// How far it is until then.
    pub(crate) progress: Arc<Progress>,
}

/// When a step is.
#[derive(Clone)]
pub(crate) struct Moment {
    /// The epoch.
    pub(crate) epoch: Epoch,
    /// What `now()` is in it, in microseconds since 1970.
    pub(crate) now_us: i64,
    /// How far the time of each source has come.
    pub(crate) watermarks: Arc<Watermarks>,
}

/// A model that follows its inputs.
pub(crate) struct Model {
    dataflow: Dataflow,
    inputs: Vec<ObjectId>,
    collection: Collection,
    options: ModelOptions,
    failed_rows: FailedRows,
    failure: Option<Error>,
    changed: Epoch,
    step_us: u64,
    /// The next moment at which its rows change by themselves.
    due_us: Option<i64>,
    /// Time of all steps, in microseconds.
    busy_us: u64,
    clock: ClockRef,
    budget: Arc<Budget>,
    /// Told how far the fill is; none once it has ended.
    progress: Option<Arc<Progress>>,
}

impl Model {
    /// A model that has seen nothing yet.
    pub(crate) fn new(
        dataflow: Dataflow,
        inputs: Vec<ObjectId>,
        collection: Collection,
        options: ModelOptions,
        seams: ModelSeams,
    ) -> Self {
        Self {
            dataflow,
            inputs,
            collection,
            options,
            failed_rows: FailedRows::default(),
            failure: None,
            changed: Epoch::default(),
            step_us: 0,
            due_us: None,
            busy_us: 0,
            clock: seams.clock,
            budget: Arc::new(
                Budget::with_stop(seams.memory_bytes, seams.stop).among(seams.all_models),
            ),
            progress: Some(seams.progress),
        }
    }

    /// Whether its rows change at `now_us` though none of its inputs does.
    pub(crate) fn is_due(&self, now_us: i64) -> bool {
        self.due_us().is_some_and(|due| due <= now_us)
    }

    /// The next moment at which its rows change by themselves.
    pub(crate) fn due_us(&self) -> Option<i64> {
        self.due_us.filter(|_| self.failure.is_none())
    }

    /// It is filled: from now on nobody can stop it but the driver.
    pub(crate) fn follow(&mut self) {
        self.budget = Arc::new(self.budget.unstoppable());
        self.progress = None;
    }

    /// The objects that it reads.
    pub(crate) fn inputs(&self) -> &[ObjectId] {
        &self.inputs
    }

    /// Time of its last step, in microseconds.
    pub(crate) fn step_us(&self) -> u64 {
        self.step_us
    }

    /// The sources whose time it acts on, whether it reads them itself or through others.
    pub(crate) fn clocks(&self) -> &[ObjectId] {
        self.dataflow.clocks()
    }

    /// Why it stopped, if it did.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failure.as_ref()
    }

    /// Stops it: its rows stay as they are, the state of its operators goes.
    pub(crate) fn fail(&mut self, error: Error) {
        self.failure = Some(error);
        self.dataflow.release();
        self.budget.set(self.collection.bytes());
    }

    /// Takes what its inputs have got, and gives what its rows change by.
    ///
    /// # Errors
    /// When a step fails. The model is then not to be stepped again.
    pub(crate) fn step(
        &mut self,
        inputs: &BTreeMap<ObjectId, Vec<Delta>>,
        at: &Moment,
        bulk: bool,
    ) -> Result<Vec<Delta>> {
        let start = self.clock.monotonic();
        let mut context = StepContext {
            bulk,
            now_us: at.now_us,
            watermarks: Arc::clone(&at.watermarks),
            clock: Some(Arc::clone(&self.clock)),
            budget: Some(Arc::clone(&self.budget)),
            progress: self.progress.clone(),
            ..StepContext::default()
        };
        let output = self.dataflow.step(inputs, &mut context)?;
        self.due_us = self.dataflow.due_us();
        self.keep_errors(context.errors)?;
        self.budget
            .charge(self.collection.bytes().saturating_add(added_bytes(&output)))?;
        self.collection.apply(&output)?;
        if !output.is_empty() {
            self.changed = at.epoch;
        }
        let spent = self.clock.monotonic().saturating_sub(start);
        self.step_us = u64::try_from(spent.as_micros()).unwrap_or(u64::MAX);
        self.busy_us = self.busy_us.saturating_add(self.step_us);
        Ok(output)
    }

    /// What readers see of it.
    pub(crate) fn content(&self) -> Content {
        Content {
            snapshot: Arc::new(self.collection.snapshot()),
            health: Arc::new(self.health()),
        }
    }

    /// How it is doing.
    pub(crate) fn health(&self) -> Health {
        let operators = self
            .dataflow
            .figures()
            .into_iter()
            .map(|node| OperatorFigures {
                name: node.name,
                rows_in: node.rows_in,
                rows_out: node.rows_out,
                busy_us: u64::try_from(node.time.as_micros()).unwrap_or(u64::MAX),
                state_bytes: node.state_bytes as u64,
                state_rows: node.state_rows as u64,
            })
            .collect();
        Health {
            failure: self.failure.clone(),
            failed_rows: self.failed_rows.clone(),
            operators,
            changed: self.changed,
            step_us: self.step_us,
            busy_us: self.busy_us,
        }
    }

    fn keep_errors(&mut self, errors: Vec<RowError>) -> Result<()> {
        for failed in errors {
            if self.options.fail_on_error {
                return Err(failed.error.with_hint(
                    "this model was made WITH (on_error = 'fail'); mend the row and create it again",
                ));
            }
            let row = FailedRow {
                operator: failed.operator,
                code: failed.error.code(),
                message: failed.error.message().to_owned(),
                row: row_as_json(&failed.row),
            };
            self.failed_rows.add(row, failed.weight);
        }
        Ok(())
    }
}

/// What `output` adds to a collection at least, in bytes: a row that comes a million times is stored a
/// million times.
fn added_bytes(output: &[Delta]) -> usize {
    let added = |delta: &Delta| {
        let copies = match delta.weights() {
            Weights::Ones => delta.rows(),
            Weights::Each(weights) => {
                let copies = weights.values().iter().filter(|weight| **weight > 0);
                copies.fold(0_usize, |sum, weight| {
                    sum.saturating_add(usize::try_from(*weight).unwrap_or(usize::MAX))
                })
            }
        };
        // what even a row of shared text takes
        copies.saturating_mul(delta.batch().num_columns().max(1) * size_of::<u64>())
    };
    output.iter().map(added).fold(0, usize::saturating_add)
}

/// One row as a JSON object, for people to read.
pub(crate) fn row_as_json(row: &RecordBatch) -> String {
    let mut writer = arrow::json::LineDelimitedWriter::new(Vec::new());
    let written = writer.write(row).and_then(|()| writer.finish());
    match written {
        Ok(()) => String::from_utf8_lossy(&writer.into_inner())
            .trim_end()
            .to_owned(),
        Err(error) => format!("(the row has no JSON form: {error})"),
    }
}
