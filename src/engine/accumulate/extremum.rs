//! MIN and MAX of floats over rows that are never taken back: one value a group.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};

use super::key::{float_key, key_float};
use super::states::{GroupError, GroupStates, Groups, Rows};
use crate::base::{Error, Result};

/// The least or greatest float a group; NaN is above everything, -0.0 is 0.0.
#[derive(Debug)]
pub struct FloatExtremumStates {
    best: Vec<Option<i64>>,
    output: DataType,
    greatest: bool,
}

impl FloatExtremumStates {
    /// No groups yet; `greatest` for MAX, results of the float type `output`.
    pub fn new(output: &DataType, greatest: bool) -> Self {
        Self {
            best: Vec::new(),
            output: output.clone(),
            greatest,
        }
    }

    fn take(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = args
            .first()
            .ok_or_else(|| Error::internal("min and max need an argument"))?;
        let array = cast(array, &DataType::Float64)?;
        let values = array.as_primitive::<Float64Type>();
        let (best, greatest) = (&mut self.best, self.greatest);
        rows.visit(values.nulls(), |row, group, _| {
            let key = float_key(values.value(row));
            let slot = &mut best[group];
            match slot {
                Some(held) if (*held >= key) == greatest || *held == key => {}
                _ => *slot = Some(key),
            }
        });
        Ok(())
    }
}

impl GroupStates for FloatExtremumStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.best.len() {
            self.best.resize(groups, None);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        if rows
            .weights
            .is_some_and(|weights| weights.iter().any(|weight| *weight <= 0))
        {
            return Err(Error::internal(
                "a row was taken back from an append-only min or max",
            ));
        }
        self.take(args, rows)
    }

    fn is_zero(&self, group: usize) -> bool {
        self.best[group].is_none()
    }

    fn reset(&mut self, group: usize) {
        self.best[group] = None;
    }

    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| self.best[*group].map(key_float));
        let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
        Ok(cast(&values, &self.output)?)
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.results(groups, &mut Vec::new())?])
    }

    fn partial_types(&self) -> Vec<DataType> {
        vec![self.output.clone()]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let length = partials.first().map_or(0, |column| column.len());
        self.take(partials, &Rows::once(groups, length))
    }

    fn drop_first(&mut self, groups: usize) {
        self.best.drain(..groups);
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<i64>>()
    }
}
