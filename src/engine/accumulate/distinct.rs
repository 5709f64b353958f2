//! DISTINCT arguments: each value counts once, however often it is there.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use arrow::row::{OwnedRow, RowConverter, SortField};
use hashbrown::HashMap;

use super::states::{GroupError, GroupStates, Groups, Rows, argument};
use crate::base::{Error, Result};
use crate::zset::canonical::canonical;

/// Weights of the distinct values of each group, in front of the states of the function itself.
#[derive(Debug)]
pub struct DistinctStates {
    seen: Vec<HashMap<OwnedRow, i64>>,
    converter: RowConverter,
    inputs: Vec<DataType>,
    inner: Box<dyn GroupStates>,
    /// Total of entries in `seen`, and of their bytes.
    entries: usize,
}

impl DistinctStates {
    /// Puts the filter in front of `inner`, which takes arguments of the types `inputs`.
    ///
    /// # Errors
    /// When a type has no row format, or there are no arguments.
    pub fn new(inputs: &[DataType], inner: Box<dyn GroupStates>) -> Result<Self> {
        if inputs.is_empty() {
            return Err(Error::internal("DISTINCT needs an argument"));
        }
        let fields = inputs
            .iter()
            .map(|input| SortField::new(input.clone()))
            .collect();
        let converter = RowConverter::new(fields)?;
        Ok(Self {
            seen: Vec::new(),
            converter,
            inputs: inputs.to_vec(),
            inner,
            entries: 0,
        })
    }
}

impl GroupStates for DistinctStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.seen.len() {
            self.seen.resize_with(groups, HashMap::new);
            self.inner.grow(groups);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let args: Vec<ArrayRef> = args.iter().map(canonical).collect::<Result<_>>()?;
        let encoded = self.converter.convert_columns(&args)?;
        let mut nulls = None;
        for array in &args {
            nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
        }
        let (mut changed, mut groups, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let (seen, entries) = (&mut self.seen, &mut self.entries);
        rows.visit(nulls.as_ref(), |row, group, weight| {
            let key = encoded.row(row).owned();
            let before = seen[group].get(&key).copied().unwrap_or(0);
            let after = before.wrapping_add(weight);
            if after == 0 {
                *entries -= usize::from(seen[group].remove(&key).is_some());
            } else {
                *entries += usize::from(seen[group].insert(key, after).is_none());
            }
            let step = i64::from(after > 0) - i64::from(before > 0);
            if step != 0 {
                changed.push(row as u64);
                groups.push(group);
                weights.push(step);
            }
        });
        if changed.is_empty() {
            return Ok(());
        }
        let indices = UInt64Array::from(changed);
        let args = args
            .iter()
            .map(|array| take(array, &indices, None))
            .collect::<Result<Vec<_>, _>>()?;
        let rows = Rows {
            length: groups.len(),
            groups: Groups::Each(&groups),
            weights: Some(&weights),
            filter: None,
        };
        self.inner.update(&args, &rows)
    }

    fn is_zero(&self, group: usize) -> bool {
        self.seen[group].is_empty()
    }

    fn reset(&mut self, group: usize) {
        self.entries -= self.seen[group].len();
        self.seen[group] = HashMap::new();
        self.inner.reset(group);
    }

    fn results(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        self.inner.results(groups, errors)
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let mut values = Vec::new();
        let mut lengths = Vec::with_capacity(groups.len());
        for group in groups {
            let before = values.len();
            for (key, weight) in &self.seen[*group] {
                if *weight > 0 {
                    values.push(key.row());
                }
            }
            lengths.push(values.len() - before);
        }
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let columns = self.converter.convert_rows(values)?.into_iter();
        let lists = columns.map(|values| -> Result<ArrayRef> {
            let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            let list = ListArray::try_new(field, offsets.clone(), values, None)?;
            Ok(Arc::new(list))
        });
        lists.collect()
    }

    fn partial_types(&self) -> Vec<DataType> {
        let list =
            |of: &DataType| DataType::List(Arc::new(Field::new_list_field(of.clone(), true)));
        self.inputs.iter().map(list).collect()
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let lists = (0..self.inputs.len())
            .map(|at| argument::<ListArray>(partials, at))
            .collect::<Result<Vec<_>>>()?;
        let length = lists.first().map_or(0, |list| list.len());
        for row in 0..length {
            let values: Vec<ArrayRef> = lists.iter().map(|list| list.value(row)).collect();
            let group = match groups {
                Groups::One => 0,
                Groups::Each(groups) => groups[row],
            };
            let groups = vec![group; values.first().map_or(0, |values| values.len())];
            let rows = Rows::once(Groups::Each(&groups), groups.len());
            self.update(&values, &rows)?;
        }
        Ok(())
    }

    fn drop_first(&mut self, groups: usize) {
        self.entries -= self.seen[..groups].iter().map(HashMap::len).sum::<usize>();
        self.seen.drain(..groups);
        self.inner.drop_first(groups);
    }

    fn bytes(&self) -> usize {
        // a key is a boxed row of some tens of bytes, a slot its pointer, length, configuration and weight
        self.inner.bytes()
            + self.seen.capacity() * size_of::<HashMap<OwnedRow, i64>>()
            + self.entries * 96
    }
}
