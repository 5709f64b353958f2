//! MIN and MAX with retraction: every value of a group in order, with its weight.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::DataType;

use super::key::{Codec, KeyColumn, Keys};
use super::states::{GroupError, GroupStates, Groups, Rows};
use crate::base::{Error, Result};

/// The values of one group. Most groups of most queries hold one value, which then needs no tree.
#[derive(Clone, Debug, Default)]
enum Bag<K> {
    #[default]
    Empty,
    One(K, i64),
    Many(BTreeMap<K, i64>),
}

impl<K: Ord + Clone> Bag<K> {
    fn add(&mut self, key: K, weight: i64) {
        if weight == 0 {
            return;
        }
        match self {
            Self::Empty => *self = Self::One(key, weight),
            Self::One(held, total) if *held == key => {
                *total = total.wrapping_add(weight);
                if *total == 0 {
                    *self = Self::Empty;
                }
            }
            Self::One(held, total) => {
                let pairs = [(held.clone(), *total), (key, weight)];
                *self = Self::Many(BTreeMap::from(pairs));
            }
            Self::Many(tree) => {
                let total = tree.entry(key.clone()).or_insert(0);
                *total = total.wrapping_add(weight);
                if *total == 0 {
                    tree.remove(&key);
                }
                if tree.is_empty() {
                    *self = Self::Empty;
                }
            }
        }
    }

    /// The least, or greatest, value that is there. A value taken out before it came in has a
    /// negative weight and does not count.
    fn extremum(&self, greatest: bool) -> Option<&K> {
        match self {
            Self::Empty => None,
            Self::One(key, weight) => (*weight > 0).then_some(key),
            Self::Many(tree) => {
                let there = |pair: &(&K, &i64)| *pair.1 > 0;
                let found = if greatest {
                    tree.iter().rev().find(there)
                } else {
                    tree.iter().find(there)
                };
                found.map(|(key, _)| key)
            }
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::Empty | Self::One(..) => 0,
            Self::Many(tree) => tree.len(),
        }
    }
}

/// The values of every group, as keys of type `K`.
#[derive(Debug)]
pub struct OrderedStates<K> {
    bags: Vec<Bag<K>>,
    codec: Arc<dyn Codec<K>>,
    greatest: bool,
}

impl<K> OrderedStates<K> {
    /// No groups yet; `greatest` for MAX.
    pub fn new(codec: Arc<dyn Codec<K>>, greatest: bool) -> Self {
        Self {
            bags: Vec::new(),
            codec,
            greatest,
        }
    }
}

impl<K> GroupStates for OrderedStates<K>
where
    K: Ord + Clone + Debug + Send + Sync + 'static,
{
    fn grow(&mut self, groups: usize) {
        if groups > self.bags.len() {
            self.bags.resize_with(groups, || Bag::Empty);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = args
            .first()
            .ok_or_else(|| Error::internal("min and max need an argument"))?;
        let keys: KeyColumn<K> = self.codec.encode(array)?;
        let bags = &mut self.bags;
        rows.visit(array.logical_nulls().as_ref(), |row, group, weight| {
            bags[group].add(keys.key(row), weight);
        });
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        matches!(self.bags[group], Bag::Empty)
    }

    fn reset(&mut self, group: usize) {
        self.bags[group] = Bag::Empty;
    }

    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        let keys: Vec<Option<&K>> = groups
            .iter()
            .map(|group| self.bags[*group].extremum(self.greatest))
            .collect();
        self.codec.decode(&keys)
    }

    fn partial(&self, _groups: &[usize]) -> Result<Vec<ArrayRef>> {
        Err(Error::internal("ordered states are never shipped"))
    }

    fn partial_types(&self) -> Vec<DataType> {
        Vec::new()
    }

    fn merge(&mut self, _partials: &[ArrayRef], _groups: Groups<'_>) -> Result<()> {
        Err(Error::internal("ordered states are never shipped"))
    }

    fn drop_first(&mut self, groups: usize) {
        self.bags.drain(..groups);
    }

    fn bytes(&self) -> usize {
        // a tree's node takes about half as much again as its entries
        let entry = (size_of::<K>() + size_of::<i64>()) * 3 / 2;
        self.bags.capacity() * size_of::<Bag<K>>()
            + self.bags.iter().map(|bag| bag.len() * entry).sum::<usize>()
    }
}
