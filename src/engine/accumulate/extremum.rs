//! MIN and MAX over rows that are never taken back: one value a group.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;

use super::key::{Codec, KeyColumn, Keys};
use super::states::{
    GroupError, GroupStates, Groups, Reading, Rows, any_argument, keep_at, make_room,
};
use crate::base::{Error, Result};

/// The least or greatest value a group, as a key of type `K`.
#[derive(Debug)]
pub struct ExtremumStates<K> {
    best: Vec<Option<K>>,
    codec: Arc<dyn Codec<K>>,
    data_type: DataType,
    greatest: bool,
}

impl<K: Ord + Clone> ExtremumStates<K> {
    /// No groups yet; values of `data_type`, `greatest` for MAX.
    pub fn new(codec: Arc<dyn Codec<K>>, data_type: &DataType, greatest: bool) -> Self {
        Self {
            best: Vec::new(),
            codec,
            data_type: data_type.clone(),
            greatest,
        }
    }

    fn take(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = any_argument(args, 0)?;
        let keys: KeyColumn<K> = self.codec.encode(array)?;
        let (best, greatest) = (&mut self.best, self.greatest);
        rows.visit(array.logical_nulls().as_ref(), |row, group, _| {
            let key = keys.key(row);
            let slot = &mut best[group];
            match slot {
                Some(held) if (*held >= key) == greatest || *held == key => {}
                _ => *slot = Some(key),
            }
        });
        Ok(())
    }
}

impl<K> GroupStates for ExtremumStates<K>
where
    K: Ord + Clone + Debug + Send + Sync + 'static,
{
    fn grow(&mut self, groups: usize) {
        if groups > self.best.len() {
            make_room(&mut self.best, groups);
            self.best.resize(groups, None);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        if rows
            .weights
            .is_some_and(|weights| weights.iter().any(|weight| *weight < 0))
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
        let keys: Vec<Option<&K>> = groups
            .iter()
            .map(|group| self.best[*group].as_ref())
            .collect();
        self.codec.decode(&keys)
    }

    fn read(
        &self,
        reading: Reading<'_>,
        groups: &[usize],
        errors: &mut Vec<GroupError>,
    ) -> Result<ArrayRef> {
        match reading {
            // the one that they keep: calls do not share these states
            Reading::Own | Reading::Pick { .. } => self.results(groups, errors),
            Reading::Evaluated(_) => Err(Error::internal("no function runs over one value")),
        }
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        Ok(vec![self.results(groups, &mut Vec::new())?])
    }

    fn partial_types(&self) -> Vec<DataType> {
        vec![self.data_type.clone()]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let length = partials.first().map_or(0, |column| column.len());
        self.take(partials, &Rows::once(groups, length))
    }

    fn drop_first(&mut self, groups: usize) {
        self.best.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.best, groups);
    }

    fn bytes(&self) -> usize {
        self.best.capacity() * size_of::<Option<K>>()
    }
}
