//! Aggregates without an exact state: the rows of each group in order, from which a touched group's result is made anew.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use arrow::row::{OwnedRow, Row, RowConverter, SortField};

use super::states::{GroupError, GroupStates, Groups, Reading, Rows, keep_at, make_room};
use crate::base::{Error, Result};
use crate::zset::canonical::canonical;

/// An aggregate function that is run over all rows of a group.
pub trait GroupFunction: Debug + Send + Sync {
    /// The types of the columns that it is given.
    fn columns(&self) -> &[DataType];

    /// The results of groups, in that order. The rows of a group lie together in `columns`, as many as `lengths`
    /// says. Where a result cannot be given, NULL, and an entry in `errors`.
    ///
    /// # Errors
    /// When the failure is not that of a group: memory, cancellation.
    fn evaluate(
        &self,
        columns: &[ArrayRef],
        lengths: &[usize],
        errors: &mut Vec<GroupError>,
    ) -> Result<ArrayRef>;
}

/// Which rows of a group the function looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reads {
    /// All of them.
    All,
    /// This many from the start.
    First(usize),
    /// The last one.
    Last,
}

/// A function and the order of the rows that it is given.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// What is run.
    pub function: Arc<dyn GroupFunction>,
    /// How the columns are ordered, the first one first. It covers every column, so that the order is total.
    pub order: Vec<SortOptions>,
    /// What of the rows is read.
    pub reads: Reads,
}

/// The rows of every group, in the function's order, with their weights.
#[derive(Debug)]
pub struct EvaluatedStates {
    bags: Vec<BTreeMap<OwnedRow, i64>>,
    converter: RowConverter,
    evaluated: Evaluated,
    /// Total of the bags' entries, and of the bytes in them.
    entries: usize,
    bytes: usize,
}

impl EvaluatedStates {
    /// No groups yet; columns of the types `inputs`.
    ///
    /// # Errors
    /// When a type has no row format.
    pub fn new(inputs: &[DataType], evaluated: Evaluated) -> Result<Self> {
        let fields = inputs.iter().zip(&evaluated.order);
        let fields = fields
            .map(|(input, order)| SortField::new_with_options(input.clone(), *order))
            .collect();
        Ok(Self {
            bags: Vec::new(),
            converter: RowConverter::new(fields)?,
            evaluated,
            entries: 0,
            bytes: 0,
        })
    }

    /// Appends the rows that the function reads of a group, each as often as it is there; their number.
    fn append<'a>(
        reads: Reads,
        bag: &'a BTreeMap<OwnedRow, i64>,
        rows: &mut Vec<Row<'a>>,
    ) -> usize {
        let before = rows.len();
        let there = |pair: &(&'a OwnedRow, &'a i64)| *pair.1 > 0;
        match reads {
            Reads::Last => {
                let last = bag.iter().rev().find(there);
                rows.extend(last.map(|(row, _)| row.row()));
            }
            reads => {
                let mut left = match reads {
                    Reads::First(most) => most,
                    _ => usize::MAX,
                };
                for (row, weight) in bag.iter().filter(there) {
                    let copies = usize::try_from(*weight).unwrap_or(usize::MAX).min(left);
                    rows.extend(std::iter::repeat_n(row.row(), copies));
                    left -= copies;
                    if left == 0 {
                        break;
                    }
                }
            }
        }
        rows.len() - before
    }
}

impl GroupStates for EvaluatedStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.bags.len() {
            make_room(&mut self.bags, groups);
            self.bags.resize_with(groups, BTreeMap::new);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let args: Vec<ArrayRef> = args.iter().map(canonical).collect::<Result<_>>()?;
        let encoded = self.converter.convert_columns(&args)?;
        let (bags, entries, bytes) = (&mut self.bags, &mut self.entries, &mut self.bytes);
        // NULLs count: array_agg keeps them
        rows.visit(None, |row, group, weight| {
            let key = encoded.row(row).owned();
            let length = key.as_ref().len();
            let bag = &mut bags[group];
            let before = bag.get(&key).copied().unwrap_or(0);
            let after = before.wrapping_add(weight);
            if after == 0 {
                if bag.remove(&key).is_some() {
                    *entries -= 1;
                    *bytes -= length;
                }
            } else if bag.insert(key, after).is_none() {
                *entries += 1;
                *bytes += length;
            }
        });
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.bags[group].is_empty()
    }

    fn reset(&mut self, group: usize) {
        let bag = std::mem::take(&mut self.bags[group]);
        self.entries -= bag.len();
        self.bytes -= bag.keys().map(|key| key.as_ref().len()).sum::<usize>();
    }

    fn results(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        self.read(Reading::Own, groups, errors)
    }

    fn read(
        &self,
        reading: Reading<'_>,
        groups: &[usize],
        errors: &mut Vec<GroupError>,
    ) -> Result<ArrayRef> {
        let evaluated = match reading {
            Reading::Own => &self.evaluated,
            Reading::Evaluated(evaluated) => evaluated,
            Reading::Pick { .. } => {
                return Err(Error::internal("no value is picked from whole rows"));
            }
        };
        let mut rows = Vec::new();
        let lengths: Vec<usize> = groups
            .iter()
            .map(|group| Self::append(evaluated.reads, &self.bags[*group], &mut rows))
            .collect();
        let columns = self.converter.convert_rows(rows)?;
        evaluated.function.evaluate(&columns, &lengths, errors)
    }

    fn partial(&self, _groups: &[usize]) -> Result<Vec<ArrayRef>> {
        Err(Error::internal("rows to be evaluated are never shipped"))
    }

    fn partial_types(&self) -> Vec<DataType> {
        Vec::new()
    }

    fn merge(&mut self, _partials: &[ArrayRef], _groups: Groups<'_>) -> Result<()> {
        Err(Error::internal("rows to be evaluated are never shipped"))
    }

    fn drop_first(&mut self, groups: usize) {
        (0..groups).for_each(|group| self.reset(group));
        self.bags.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.bags, groups);
    }

    fn bytes(&self) -> usize {
        // a tree's node takes about half as much again as its entries
        let entry = (size_of::<OwnedRow>() + size_of::<i64>()) * 3 / 2;
        self.bags.capacity() * size_of::<BTreeMap<OwnedRow, i64>>()
            + self.entries * entry
            + self.bytes
    }
}
