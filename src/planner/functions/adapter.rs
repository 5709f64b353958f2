//! The engine's aggregate states behind DataFusion's two accumulator traits.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::{Accumulator, EmitTo, GroupsAccumulator};

use crate::base::{Error, Result as OwnResult};
use crate::engine::accumulate::{GroupStates, Groups, Rows};

/// Makes empty states.
pub type MakeStates = Arc<dyn Fn() -> OwnResult<Box<dyn GroupStates>> + Send + Sync>;

/// One group, with retraction: for plain aggregation, DISTINCT, and window frames.
#[derive(Debug)]
pub struct SingleState {
    states: Box<dyn GroupStates>,
}

impl SingleState {
    /// One empty group.
    ///
    /// # Errors
    /// When the states cannot be made.
    pub fn new(make: &MakeStates) -> Result<Self> {
        let mut states = make()?;
        states.grow(1);
        Ok(Self { states })
    }
}

impl Accumulator for SingleState {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let length = values.first().map_or(0, |column| column.len());
        Ok(self
            .states
            .update(values, &Rows::once(Groups::One, length))?)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let length = values.first().map_or(0, |column| column.len());
        let weights = vec![-1; length];
        let rows = Rows {
            weights: Some(&weights),
            ..Rows::once(Groups::One, length)
        };
        Ok(self.states.update(values, &rows)?)
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let result = results(&*self.states, &[0])?;
        ScalarValue::try_from_array(&result, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let columns = self.states.partial(&[0])?;
        columns
            .iter()
            .map(|column| ScalarValue::try_from_array(column, 0))
            .collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        Ok(self.states.merge(states, Groups::One)?)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.states.bytes()
    }
}

/// Many groups, append-only: for GROUP BY.
pub struct ManyStates {
    make: MakeStates,
    states: Box<dyn GroupStates>,
    groups: usize,
}

impl fmt::Debug for ManyStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyStates")
            .field("states", &self.states)
            .finish_non_exhaustive()
    }
}

impl ManyStates {
    /// No groups yet.
    ///
    /// # Errors
    /// When the states cannot be made.
    pub fn new(make: MakeStates) -> Result<Self> {
        let states = make()?;
        Ok(Self {
            make,
            states,
            groups: 0,
        })
    }

    fn grow(&mut self, groups: usize) {
        self.states.grow(groups);
        self.groups = self.groups.max(groups);
    }

    fn emitted(&self, emit_to: EmitTo) -> Vec<usize> {
        let count = match emit_to {
            EmitTo::All => self.groups,
            EmitTo::First(count) => count,
        };
        (0..count).collect()
    }

    fn forget(&mut self, emit_to: EmitTo) -> Result<()> {
        match emit_to {
            EmitTo::All => {
                // new states, and not the emptied ones: their memory is to be given back
                self.states = (self.make)()?;
                self.groups = 0;
            }
            EmitTo::First(count) => {
                self.states.drop_first(count);
                self.groups -= count;
            }
        }
        Ok(())
    }
}

impl GroupsAccumulator for ManyStates {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        opt_filter: Option<&BooleanArray>,
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        let groups = if total_num_groups == 1 {
            Groups::One
        } else {
            Groups::Each(group_indices)
        };
        let rows = Rows {
            filter: opt_filter,
            ..Rows::once(groups, group_indices.len())
        };
        Ok(self.states.update(values, &rows)?)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        let result = results(&*self.states, &self.emitted(emit_to))?;
        self.forget(emit_to)?;
        Ok(result)
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        let columns = self.states.partial(&self.emitted(emit_to))?;
        self.forget(emit_to)?;
        Ok(columns)
    }

    fn merge_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        total_num_groups: usize,
    ) -> Result<()> {
        self.grow(total_num_groups);
        Ok(self.states.merge(values, Groups::Each(group_indices))?)
    }

    fn convert_to_state(
        &self,
        values: &[ArrayRef],
        opt_filter: Option<&BooleanArray>,
    ) -> Result<Vec<ArrayRef>> {
        let length = values.first().map_or(0, |column| column.len());
        let groups: Vec<usize> = (0..length).collect();
        let mut states = (self.make)()?;
        states.grow(length);
        let rows = Rows {
            filter: opt_filter,
            ..Rows::once(Groups::Each(&groups), length)
        };
        states.update(values, &rows)?;
        Ok(states.partial(&groups)?)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.states.bytes()
    }
}

/// The results of groups; the first failure is the statement's.
fn results(states: &dyn GroupStates, groups: &[usize]) -> Result<ArrayRef> {
    let mut errors: Vec<(usize, Error)> = Vec::new();
    let results = states.results(groups, &mut errors)?;
    match errors.into_iter().next() {
        Some((_, error)) => Err(error.into()),
        None => Ok(results),
    }
}
