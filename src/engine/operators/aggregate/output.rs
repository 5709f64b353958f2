//! The rows of touched groups before and after a step, and what changed between them.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, Int64Array, RecordBatch, UInt64Array, new_empty_array, new_null_array,
};
use arrow::compute::take;

use super::keys::GroupTable;
use super::{AggregateCall, AggregateConfig, CallForm};
use crate::base::{Error, Result};
use crate::engine::accumulate::GroupStates;
use crate::engine::operator::{Deltas, RowError, StepContext};
use crate::zset::equal::RowEqual;
use crate::zset::{Delta, batch_of};

/// The output rows of some slots, a row a slot.
pub(super) struct Snapshot {
    results: Vec<ArrayRef>,
    /// Whether the group is there at all.
    present: Vec<bool>,
    /// Why a group that is there has no row.
    errors: Vec<Option<Error>>,
}

impl Snapshot {
    /// The rows of `slots` now; `present` says which are there. The rows of others are arbitrary.
    ///
    /// # Errors
    /// When states cannot give results of the declared types.
    pub(super) fn take(
        config: &AggregateConfig,
        states: &[Option<&dyn GroupStates>],
        slots: &[usize],
        present: impl Fn(usize) -> bool,
    ) -> Result<Self> {
        let present: Vec<bool> = slots.iter().map(|slot| present(*slot)).collect();
        let mut errors = vec![None; slots.len()];
        if !present.contains(&true) {
            return Ok(Self {
                results: Vec::new(),
                present,
                errors,
            });
        }
        // slots of this step's new groups lie beyond the states' end until they are absorbed
        let there: Vec<usize> = (0..slots.len()).filter(|at| present[*at]).collect();
        let known: Vec<usize> = there.iter().map(|at| slots[*at]).collect();
        let mut results = Vec::with_capacity(states.len());
        for (call, states) in config.calls.iter().zip(states) {
            let mut failed = Vec::new();
            let found = match states {
                Some(states) => states.read(call.reading(), &known, &mut failed)?,
                None => nothing(call, known.len(), &mut failed)?,
            };
            for (at, error) in failed {
                errors[there[at]].get_or_insert(error);
            }
            results.push(spread(found, &present)?);
        }
        Ok(Self {
            results,
            present,
            errors,
        })
    }

    fn has_row(&self, at: usize) -> bool {
        self.present[at] && self.errors[at].is_none()
    }

    /// The full rows at `places`, whose keys are `keys`.
    fn rows(
        &self,
        config: &AggregateConfig,
        keys: &[ArrayRef],
        places: &[usize],
    ) -> Result<RecordBatch> {
        let mut columns = keys.to_vec();
        if places.len() == self.present.len() {
            columns.extend_from_slice(&self.results);
        } else {
            let indices = UInt64Array::from_iter_values(places.iter().map(|at| *at as u64));
            for results in &self.results {
                columns.push(take(results, &indices, None)?);
            }
        }
        batch_of(&config.schema, columns, places.len())
    }
}

/// The groups whose rows are compared.
pub(super) struct Touched<'a> {
    /// What they are groups of.
    pub(super) config: &'a AggregateConfig,
    /// Their keys.
    pub(super) table: &'a GroupTable,
    /// Their slots.
    pub(super) slots: &'a [usize],
}

impl Touched<'_> {
    /// The keys of the groups at `places`.
    fn keys(&self, places: &[usize]) -> Result<Vec<ArrayRef>> {
        if places.len() == self.slots.len() {
            return self.table.gather(self.slots);
        }
        let slots: Vec<usize> = places.iter().map(|at| self.slots[*at]).collect();
        self.table.gather(&slots)
    }

    /// The key of the group at `place`, for a message.
    fn key(&self, place: usize) -> Result<RecordBatch> {
        let fields: Vec<usize> = (0..self.config.group.len()).collect();
        let schema = self.config.schema.project(&fields)?;
        batch_of(&schema.into(), self.keys(&[place])?, 1)
    }
}

/// What takes the output from `old` to `new`; errors that came or went are told to `cx`.
///
/// # Errors
/// When the results do not fit the declared schema.
pub(super) fn changes(
    touched: &Touched<'_>,
    old: &Snapshot,
    new: &Snapshot,
    cx: &mut StepContext,
) -> Result<Deltas> {
    let comparable = !old.results.is_empty() && !new.results.is_empty();
    let equal = if comparable {
        Some(RowEqual::new(&old.results, &new.results)?)
    } else {
        None
    };
    let (mut gone, mut come) = (Vec::new(), Vec::new());
    for at in 0..old.present.len() {
        tell_errors(touched, old, new, at, cx)?;
        let (before, after) = (old.has_row(at), new.has_row(at));
        // without functions, a group that stays stays as it is
        let same = before && after && equal.as_ref().is_none_or(|equal| equal.equal(at, at));
        if before && !same {
            gone.push(at);
        }
        if after && !same {
            come.push(at);
        }
    }
    let mut output = Deltas::new();
    let mut keys = None;
    if !gone.is_empty() {
        let gone_keys = touched.keys(&gone)?;
        let rows = old.rows(touched.config, &gone_keys, &gone)?;
        output.push(Delta::deletes(rows));
        keys = Some(gone_keys).filter(|_| gone == come);
    }
    if !come.is_empty() {
        let keys = keys.map_or_else(|| touched.keys(&come), Ok)?;
        output.push(Delta::inserts(new.rows(touched.config, &keys, &come)?));
    }
    Ok(output)
}

fn tell_errors(
    touched: &Touched<'_>,
    old: &Snapshot,
    new: &Snapshot,
    at: usize,
    cx: &mut StepContext,
) -> Result<()> {
    let (before, after) = (&old.errors[at], &new.errors[at]);
    if before.is_none() && after.is_none() {
        return Ok(());
    }
    let text = |error: &Option<Error>| error.as_ref().map(|error| error.message().to_owned());
    if text(before) == text(after) {
        return Ok(());
    }
    for (error, weight) in [(before, -1), (after, 1)] {
        if let Some(error) = error {
            cx.errors.push(RowError {
                error: error.clone(),
                row: touched.key(at)?,
                weight,
                operator: "aggregate".to_owned(),
            });
        }
    }
    Ok(())
}

/// The results over no rows.
fn nothing(
    call: &AggregateCall,
    rows: usize,
    errors: &mut Vec<(usize, Error)>,
) -> Result<ArrayRef> {
    match &call.form {
        CallForm::Exact(function) if function.counts() => {
            Ok(Arc::new(Int64Array::from_value(0, rows)))
        }
        CallForm::Exact(_) => Ok(new_null_array(call.field.data_type(), rows)),
        CallForm::Evaluated(evaluated) => {
            let schema = evaluated.function.columns();
            let columns: Vec<ArrayRef> = schema.iter().map(new_empty_array).collect();
            evaluated
                .function
                .evaluate(&columns, &vec![0; rows], errors)
        }
    }
}

/// `results` of the groups that are there, NULL for the others.
fn spread(results: ArrayRef, present: &[bool]) -> Result<ArrayRef> {
    if results.len() == present.len() {
        return Ok(results);
    }
    let mut next = 0;
    let places = present.iter().map(|there| {
        let place = there.then_some(next);
        next += u64::from(*there);
        place
    });
    Ok(take(&results, &places.collect::<UInt64Array>(), None)?)
}
