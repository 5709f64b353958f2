//! DISTINCT arguments: each value counts once, however often it is there.

use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ListArray, UInt64Array};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::compute::take;
use arrow::datatypes::{DataType, Field};
use arrow::row::{OwnedRow, RowConverter, SortField};
use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use super::key::{Codec, KeyColumn, Keys, ShortCodec};
use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use crate::base::{Error, Result};
use crate::zset::canonical::canonical;

/// The arguments of a call as keys of a map, and back.
pub trait DistinctKeys<K>: Debug + Send + Sync {
    /// The keys of the rows of `args`, which are canonical.
    ///
    /// # Errors
    /// When the arguments have other types than the keys were made for.
    fn encode(&self, args: &[ArrayRef]) -> Result<KeyColumn<K>>;

    /// The arguments behind keys.
    ///
    /// # Errors
    /// When Arrow cannot rebuild a column.
    fn decode(&self, keys: &[&K]) -> Result<Vec<ArrayRef>>;

    /// About what one key takes in a map.
    fn entry_bytes(&self) -> usize;
}

/// Arguments of any types, in Arrow's row format.
#[derive(Debug)]
pub struct RowKeys(RowConverter);

impl RowKeys {
    /// # Errors
    /// When a type has no row format.
    pub fn new(inputs: &[DataType]) -> Result<Self> {
        let fields = inputs.iter().map(|input| SortField::new(input.clone()));
        Ok(Self(RowConverter::new(fields.collect())?))
    }
}

impl DistinctKeys<OwnedRow> for RowKeys {
    fn encode(&self, args: &[ArrayRef]) -> Result<KeyColumn<OwnedRow>> {
        let rows = self.0.convert_columns(args)?;
        Ok(KeyColumn::Made(Box::new(move |row| rows.row(row).owned())))
    }

    fn decode(&self, keys: &[&OwnedRow]) -> Result<Vec<ArrayRef>> {
        Ok(self.0.convert_rows(keys.iter().map(|key| key.row()))?)
    }

    fn entry_bytes(&self) -> usize {
        // a boxed row of some tens of bytes; a slot is its pointer, length, configuration and weight
        96
    }
}

/// One argument that fits 64 bits: no key is allocated.
impl DistinctKeys<i64> for ShortCodec {
    fn encode(&self, args: &[ArrayRef]) -> Result<KeyColumn<i64>> {
        match args {
            [arg] => Codec::encode(self, arg),
            _ => Err(Error::internal("a short key is of one argument")),
        }
    }

    fn decode(&self, keys: &[&i64]) -> Result<Vec<ArrayRef>> {
        let keys: Vec<Option<&i64>> = keys.iter().map(|key| Some(*key)).collect();
        Ok(vec![Codec::decode(self, &keys)?])
    }

    fn entry_bytes(&self) -> usize {
        // a map is about half full, and has a control byte a slot
        2 * (size_of::<(i64, i64)>() + 1)
    }
}

/// Weights of the distinct values of each group, in front of the states of the function itself.
#[derive(Debug)]
pub struct DistinctStates<K> {
    seen: Vec<HashMap<K, i64>>,
    keys: Box<dyn DistinctKeys<K>>,
    inputs: Vec<DataType>,
    inner: Box<dyn GroupStates>,
    /// Total of entries in `seen`.
    entries: usize,
}

impl<K> DistinctStates<K> {
    /// Puts the filter in front of `inner`, which takes arguments of the types `inputs`.
    ///
    /// # Errors
    /// When there are no arguments.
    pub fn new(
        inputs: &[DataType],
        keys: Box<dyn DistinctKeys<K>>,
        inner: Box<dyn GroupStates>,
    ) -> Result<Self> {
        if inputs.is_empty() {
            return Err(Error::internal("DISTINCT needs an argument"));
        }
        Ok(Self {
            seen: Vec::new(),
            keys,
            inputs: inputs.to_vec(),
            inner,
            entries: 0,
        })
    }
}

/// A map with room for more than so many times its keys is made smaller.
const SPARSE: usize = 4;
/// Room for so many keys is never too much.
const SMALL: usize = 64;

/// Adds to the weight of a key; gives the weight before and now.
fn add<K: Hash + Eq>(seen: &mut HashMap<K, i64>, key: K, weight: i64) -> (i64, i64) {
    match seen.entry(key) {
        Entry::Occupied(mut held) => {
            let before = *held.get();
            let after = before.wrapping_add(weight);
            if after == 0 {
                held.remove();
                if seen.capacity() > SMALL && seen.len() * SPARSE < seen.capacity() {
                    seen.shrink_to(seen.len() * 2);
                }
            } else {
                *held.get_mut() = after;
            }
            (before, after)
        }
        Entry::Vacant(place) => {
            if weight != 0 {
                place.insert(weight);
            }
            (0, weight)
        }
    }
}

impl<K> GroupStates for DistinctStates<K>
where
    K: Hash + Eq + Clone + Debug + Send + Sync + 'static,
{
    fn grow(&mut self, groups: usize) {
        if groups > self.seen.len() {
            make_room(&mut self.seen, groups);
            self.seen.resize_with(groups, HashMap::new);
            self.inner.grow(groups);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let args: Vec<ArrayRef> = args.iter().map(canonical).collect::<Result<_>>()?;
        let encoded = self.keys.encode(&args)?;
        let mut nulls = None;
        for array in &args {
            nulls = NullBuffer::union(nulls.as_ref(), array.logical_nulls().as_ref());
        }
        let (mut changed, mut groups, mut weights) = (Vec::new(), Vec::new(), Vec::new());
        let (seen, entries) = (&mut self.seen, &mut self.entries);
        rows.visit(nulls.as_ref(), |row, group, weight| {
            let (before, after) = add(&mut seen[group], encoded.key(row), weight);
            *entries += usize::from(before == 0 && after != 0);
            *entries -= usize::from(before != 0 && after == 0);
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
                    values.push(key);
                }
            }
            lengths.push(values.len() - before);
        }
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let columns = self.keys.decode(&values)?.into_iter();
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

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.seen, groups);
        self.inner.keep(groups);
    }

    fn bytes(&self) -> usize {
        self.inner.bytes()
            + self.seen.capacity() * size_of::<HashMap<K, i64>>()
            + self.entries * self.keys.entry_bytes()
    }
}
