//! MIN, MAX, percentiles and MODE with retraction: every value of a group in order, with its weight.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, Field, Float64Type, Int64Type};

use super::key::{Codec, KeyColumn, Keys};
use super::pick::{Pick, Place, Ranks};
use super::states::{
    GroupError, GroupStates, Groups, Reading, Rows, any_argument, argument, keep_at, make_room,
};
use crate::base::{Error, Result};

/// The values of one group. Most groups of most queries hold one value, which then needs no tree.
#[derive(Clone, Debug, Default)]
enum Bag<K> {
    #[default]
    Empty,
    One(K, i64),
    /// Values that have only come so far, where nothing but the ends is asked for.
    Grown(Box<Grown<K>>),
    Many(BTreeMap<K, i64>),
}

impl<K: Ord + Clone> Bag<K> {
    /// `sorted`: more than the ends will be asked for, so the order is kept at all times.
    fn add(&mut self, key: K, weight: i64, sorted: bool) {
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
                *self = if sorted || *total < 0 || weight < 0 {
                    Self::Many(BTreeMap::from(pairs))
                } else {
                    Self::Grown(Box::new(Grown::of(pairs)))
                };
            }
            Self::Grown(grown) => {
                if weight < 0 || !grown.push(&key, weight) {
                    *self = Self::Many(std::mem::take(&mut grown.values).into_iter().fold(
                        BTreeMap::new(),
                        |mut tree, (key, weight)| {
                            add_to(&mut tree, key, weight);
                            tree
                        },
                    ));
                    self.add(key, weight, sorted);
                }
            }
            Self::Many(tree) => {
                add_to(tree, key, weight);
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
            Self::Grown(grown) if greatest => Some(&grown.greatest),
            Self::Grown(grown) => Some(&grown.least),
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

    /// Calls `each` with the values that are there and their weights, from the least or from the greatest, until
    /// it says that it has seen enough.
    fn visit<'a>(&'a self, descending: bool, mut each: impl FnMut(&'a K, u64) -> bool) {
        let mut there = |(key, weight): (&'a K, &i64)| match u64::try_from(*weight) {
            Ok(weight) if weight > 0 => each(key, weight),
            _ => true,
        };
        match self {
            Self::Empty => {}
            Self::One(key, weight) => {
                there((key, weight));
            }
            Self::Grown(grown) => {
                let mut tree: BTreeMap<&K, i64> = BTreeMap::new();
                for (key, weight) in &grown.values {
                    add_to(&mut tree, key, *weight);
                }
                if descending {
                    tree.iter().rev().all(|(key, weight)| there((*key, weight)));
                } else {
                    tree.iter().all(|(key, weight)| there((*key, weight)));
                }
            }
            Self::Many(tree) if descending => {
                tree.iter().rev().all(there);
            }
            Self::Many(tree) => {
                tree.iter().all(there);
            }
        }
    }

    /// The values at two ranks; `distinct` counts each value once.
    fn ranked(&self, place: Place, discrete: bool, distinct: bool) -> Option<(&K, &K, f64)> {
        let copies = |weight: u64| if distinct { 1 } else { weight };
        let mut total = 0_u64;
        self.visit(false, |_, weight| {
            total = total.saturating_add(copies(weight));
            true
        });
        let ranks = if discrete {
            Ranks::discrete(place, total)
        } else {
            Ranks::continuous(place, total)
        };
        let (mut seen, mut low, mut high) = (0_u64, None, None);
        self.visit(place.descending, |key, weight| {
            seen = seen.saturating_add(copies(weight));
            if low.is_none() && seen > ranks.low {
                low = Some(key);
            }
            if high.is_none() && seen > ranks.high {
                high = Some(key);
            }
            high.is_none()
        });
        Some((low?, high?, ranks.between))
    }

    /// The most frequent value, and of several the first.
    fn mode(&self, descending: bool, distinct: bool) -> Option<&K> {
        let mut best: Option<(&K, u64)> = None;
        self.visit(descending, |key, weight| {
            if best.is_none_or(|(_, most)| !distinct && weight > most) {
                best = Some((key, weight));
            }
            true
        });
        best.map(|(key, _)| key)
    }

    fn len(&self) -> usize {
        match self {
            Self::Empty | Self::One(..) => 0,
            Self::Grown(grown) => grown.values.capacity(),
            Self::Many(tree) => tree.len(),
        }
    }
}

fn add_to<K: Ord>(tree: &mut BTreeMap<K, i64>, key: K, weight: i64) {
    match tree.entry(key) {
        Entry::Vacant(place) => {
            place.insert(weight);
        }
        Entry::Occupied(mut held) => {
            let total = held.get().wrapping_add(weight);
            if total == 0 {
                held.remove();
            } else {
                *held.get_mut() = total;
            }
        }
    }
}

/// Values of positive weight as they came, and their ends. A value may stand several times.
#[derive(Clone, Debug)]
struct Grown<K> {
    least: K,
    greatest: K,
    values: Vec<(K, i64)>,
    /// How many values there may be before equal ones are looked for.
    room: usize,
}

/// How many values a [`Grown`] takes before it looks for equal ones for the first time.
const FIRST_ROOM: usize = 64;

impl<K: Ord + Clone> Grown<K> {
    fn of([one, other]: [(K, i64); 2]) -> Self {
        let (least, greatest) = if one.0 < other.0 {
            (one.0.clone(), other.0.clone())
        } else {
            (other.0.clone(), one.0.clone())
        };
        Self {
            least,
            greatest,
            values: vec![one, other],
            room: FIRST_ROOM,
        }
    }

    /// Takes a value in; false, and nothing done, where a tree is the better form: values repeat.
    fn push(&mut self, key: &K, weight: i64) -> bool {
        if self.values.len() >= self.room {
            self.values
                .sort_unstable_by(|left, right| left.0.cmp(&right.0));
            let before = self.values.len();
            self.values.dedup_by(|later, first| {
                let is_same = later.0 == first.0;
                if is_same {
                    first.1 = first.1.wrapping_add(later.1);
                }
                is_same
            });
            if self.values.len() * 2 < before {
                return false;
            }
            self.room = self.values.len() * 2;
        }
        if *key < self.least {
            self.least = key.clone();
        } else if *key > self.greatest {
            self.greatest = key.clone();
        }
        self.values.push((key.clone(), weight));
        true
    }
}

/// The values of every group, as keys of type `K`.
#[derive(Debug)]
pub struct OrderedStates<K> {
    bags: Vec<Bag<K>>,
    codec: Arc<dyn Codec<K>>,
    data_type: DataType,
    pick: Pick,
    distinct: bool,
    /// Whether more than the ends of a group is asked for.
    sorted: bool,
}

impl<K: Ord + Clone> OrderedStates<K> {
    /// No groups yet; values of `data_type`, of which `distinct` counts each once.
    pub fn new(codec: Arc<dyn Codec<K>>, data_type: &DataType, pick: Pick, distinct: bool) -> Self {
        Self {
            bags: Vec::new(),
            codec,
            data_type: data_type.clone(),
            pick,
            distinct,
            sorted: !pick.is_end(),
        }
    }

    /// The value of a group, where it is one of its values.
    fn picked(&self, pick: Pick, distinct: bool, group: usize) -> Option<&K> {
        let bag = &self.bags[group];
        match pick {
            Pick::Least => bag.extremum(false),
            Pick::Greatest => bag.extremum(true),
            Pick::Mode { descending } => bag.mode(descending, distinct),
            Pick::Discrete(place) | Pick::Continuous(place) => {
                Some(bag.ranked(place, true, distinct)?.0)
            }
        }
    }

    /// Values between two values of each group.
    fn interpolated(&self, place: Place, distinct: bool, groups: &[usize]) -> Result<ArrayRef> {
        let found: Vec<Option<(&K, &K, f64)>> = groups
            .iter()
            .map(|group| self.bags[*group].ranked(place, false, distinct))
            .collect();
        let low: Vec<Option<&K>> = found.iter().map(|found| Some(found.as_ref()?.0)).collect();
        let high: Vec<Option<&K>> = found.iter().map(|found| Some(found.as_ref()?.1)).collect();
        let (low, high) = (self.codec.decode(&low)?, self.codec.decode(&high)?);
        let floats = |array: &ArrayRef| {
            array
                .as_primitive_opt::<Float64Type>()
                .cloned()
                .ok_or_else(|| Error::internal("percentiles lie between floats only"))
        };
        let (low, high) = (floats(&low)?, floats(&high)?);
        let values = found.iter().enumerate().map(|(row, found)| {
            let (_, _, between) = found.as_ref()?;
            let (low, high) = (low.value(row), high.value(row));
            // between equal values no distance is needed, and of infinite ones there is none
            Some(if *between == 0.0 || low.to_bits() == high.to_bits() {
                low
            } else {
                low + between * (high - low) + 0.0
            })
        });
        Ok(Arc::new(values.collect::<Float64Array>()))
    }
}

impl<K> GroupStates for OrderedStates<K>
where
    K: Ord + Clone + Debug + Send + Sync + 'static,
{
    fn grow(&mut self, groups: usize) {
        if groups > self.bags.len() {
            make_room(&mut self.bags, groups);
            self.bags.resize_with(groups, || Bag::Empty);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = any_argument(args, 0)?;
        let keys: KeyColumn<K> = self.codec.encode(array)?;
        let (bags, sorted) = (&mut self.bags, self.sorted);
        rows.visit(array.logical_nulls().as_ref(), |row, group, weight| {
            bags[group].add(keys.key(row), weight, sorted);
        });
        Ok(())
    }

    fn keep_sorted(&mut self) {
        self.sorted = true;
    }

    fn is_zero(&self, group: usize) -> bool {
        matches!(self.bags[group], Bag::Empty)
    }

    fn reset(&mut self, group: usize) {
        self.bags[group] = Bag::Empty;
    }

    fn results(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        self.read(Reading::Own, groups, errors)
    }

    fn read(
        &self,
        reading: Reading<'_>,
        groups: &[usize],
        _errors: &mut Vec<GroupError>,
    ) -> Result<ArrayRef> {
        let (pick, distinct) = match reading {
            Reading::Own => (self.pick, self.distinct),
            Reading::Pick { pick, distinct } => (pick, distinct),
            Reading::Evaluated(_) => {
                return Err(Error::internal("no function runs over ordered values"));
            }
        };
        if let Pick::Continuous(place) = pick {
            return self.interpolated(place, distinct, groups);
        }
        let keys: Vec<Option<&K>> = groups
            .iter()
            .map(|group| self.picked(pick, distinct, *group))
            .collect();
        self.codec.decode(&keys)
    }

    /// The values that are there, and how often each.
    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let (mut keys, mut weights) = (Vec::new(), Vec::new());
        let mut lengths = Vec::with_capacity(groups.len());
        for group in groups {
            let before = keys.len();
            self.bags[*group].visit(false, |key, weight| {
                keys.push(Some(key));
                weights.push(i64::try_from(weight).unwrap_or(i64::MAX));
                true
            });
            lengths.push(keys.len() - before);
        }
        let values = self.codec.decode(&keys)?;
        let weights: ArrayRef = Arc::new(Int64Array::from(weights));
        let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
        let list = |values: ArrayRef| -> Result<ArrayRef> {
            let field = Arc::new(Field::new_list_field(values.data_type().clone(), true));
            Ok(Arc::new(ListArray::try_new(
                field,
                offsets.clone(),
                values,
                None,
            )?))
        };
        Ok(vec![list(values)?, list(weights)?])
    }

    fn partial_types(&self) -> Vec<DataType> {
        let list =
            |of: &DataType| DataType::List(Arc::new(Field::new_list_field(of.clone(), true)));
        vec![list(&self.data_type), list(&DataType::Int64)]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let values: &ListArray = argument(partials, 0)?;
        let weights: &ListArray = argument(partials, 1)?;
        let keys = self.codec.encode(values.values())?;
        let weights = weights
            .values()
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| Error::internal("the weights of a partial state are no integers"))?
            .clone();
        let (bags, sorted) = (&mut self.bags, self.sorted);
        let offsets = values.value_offsets();
        Rows::once(groups, values.len()).visit(values.nulls(), |row, group, _| {
            let place = |offset: i32| usize::try_from(offset).unwrap_or(0);
            for at in place(offsets[row])..place(offsets[row + 1]) {
                bags[group].add(keys.key(at), weights.value(at), sorted);
            }
        });
        Ok(())
    }

    fn drop_first(&mut self, groups: usize) {
        self.bags.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.bags, groups);
    }

    fn bytes(&self) -> usize {
        // a tree's node takes about half as much again as its entries
        let entry = (size_of::<K>() + size_of::<i64>()) * 3 / 2;
        self.bags.capacity() * size_of::<Bag<K>>()
            + self.bags.iter().map(|bag| bag.len() * entry).sum::<usize>()
    }
}
