//! Counts: of rows, of rows without NULL arguments, and of true and false.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::DataType;

use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use crate::base::Result;

/// The number of rows a group whose arguments are all known.
#[derive(Debug, Default)]
pub struct CountStates {
    counts: Vec<i64>,
}

impl GroupStates for CountStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.counts.len() {
            make_room(&mut self.counts, groups);
            self.counts.resize(groups, 0);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let mut nulls = None;
        for array in args {
            nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
        }
        let counts = &mut self.counts;
        rows.visit(nulls.as_ref(), |_, group, weight| {
            counts[group] = counts[group].wrapping_add(weight);
        });
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.counts[group] == 0
    }

    fn reset(&mut self, group: usize) {
        self.counts[group] = 0;
    }

    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        Ok(Arc::new(
            groups
                .iter()
                .map(|group| Some(self.counts[*group]))
                .collect::<Int64Array>(),
        ))
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.results(groups, &mut Vec::new())?])
    }

    fn partial_types(&self) -> Vec<DataType> {
        vec![DataType::Int64]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let counts = argument::<Int64Array>(partials, 0)?;
        Rows::once(groups, counts.len()).visit(counts.nulls(), |row, group, _| {
            self.counts[group] = self.counts[group].wrapping_add(counts.value(row));
        });
        Ok(())
    }

    fn drop_first(&mut self, groups: usize) {
        self.counts.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.counts, groups);
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<i64>()
    }
}

/// Whether all, or any, of a group's known values are true.
#[derive(Debug)]
pub struct BooleanStates {
    /// How many are false, how many true.
    counts: Vec<[i64; 2]>,
    all: bool,
}

impl BooleanStates {
    /// No groups yet; `all` for `bool_and`, else `bool_or`.
    pub fn new(all: bool) -> Self {
        Self {
            counts: Vec::new(),
            all,
        }
    }
}

impl GroupStates for BooleanStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.counts.len() {
            make_room(&mut self.counts, groups);
            self.counts.resize(groups, [0; 2]);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let values = argument::<BooleanArray>(args, 0)?;
        let counts = &mut self.counts;
        rows.visit(values.nulls(), |row, group, weight| {
            let count = &mut counts[group][usize::from(values.value(row))];
            *count = count.wrapping_add(weight);
        });
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.counts[group] == [0; 2]
    }

    fn reset(&mut self, group: usize) {
        self.counts[group] = [0; 2];
    }

    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        let values = groups.iter().map(|group| {
            let [falses, trues] = self.counts[*group];
            match (falses > 0, trues > 0) {
                (false, false) => None,
                (some_false, some_true) => Some(if self.all { !some_false } else { some_true }),
            }
        });
        Ok(Arc::new(values.collect::<BooleanArray>()))
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let column = |side: usize| -> ArrayRef {
            Arc::new(
                groups
                    .iter()
                    .map(|group| Some(self.counts[*group][side]))
                    .collect::<Int64Array>(),
            )
        };
        Ok(vec![column(0), column(1)])
    }

    fn partial_types(&self) -> Vec<DataType> {
        vec![DataType::Int64; 2]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let sides = [
            argument::<Int64Array>(partials, 0)?,
            argument::<Int64Array>(partials, 1)?,
        ];
        Rows::once(groups, sides[0].len()).visit(None, |row, group, _| {
            for (count, side) in self.counts[group].iter_mut().zip(sides) {
                *count = count.wrapping_add(side.value(row));
            }
        });
        Ok(())
    }

    fn drop_first(&mut self, groups: usize) {
        self.counts.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.counts, groups);
    }

    fn bytes(&self) -> usize {
        self.counts.capacity() * size_of::<[i64; 2]>()
    }
}
