//! The one shape of every aggregate: a state a group, kept in columns, that takes weighted rows.

use std::fmt::Debug;

use arrow::array::{Array, ArrayRef, BooleanArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::datatypes::DataType;

use super::evaluated::Evaluated;
use super::pick::Pick;
use crate::base::{Error, Result};

/// Which group each row of a batch belongs to.
#[derive(Clone, Copy, Debug)]
pub enum Groups<'a> {
    /// Every row to group 0.
    One,
    /// A group a row.
    Each(&'a [usize]),
}

/// What a batch's rows count for: their groups, weights and the filter.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// How many there are.
    pub length: usize,
    /// The group of each row.
    pub groups: Groups<'a>,
    /// The weight of each row; absent means +1 for every row.
    pub weights: Option<&'a [i64]>,
    /// Only rows for which this is true count.
    pub filter: Option<&'a BooleanArray>,
}

impl<'a> Rows<'a> {
    /// Rows of the given groups, each once.
    pub fn once(groups: Groups<'a>, length: usize) -> Self {
        Self {
            length,
            groups,
            weights: None,
            filter: None,
        }
    }

    /// The rows that count, of those that are not NULL; `None` when all do.
    pub fn selected(&self, nulls: Option<&NullBuffer>) -> Option<BooleanBuffer> {
        let nulls = nulls
            .filter(|nulls| nulls.null_count() > 0)
            .map(NullBuffer::inner);
        let Some(filter) = self.filter else {
            return nulls.cloned();
        };
        let passing = match filter.nulls() {
            Some(known) => filter.values() & known.inner(),
            None => filter.values().clone(),
        };
        Some(nulls.map_or_else(|| passing.clone(), |nulls| nulls & &passing))
    }

    /// Calls `each(row, group, weight)` for each row that counts.
    #[inline]
    pub fn visit(&self, nulls: Option<&NullBuffer>, mut each: impl FnMut(usize, usize, i64)) {
        let length = self.length;
        let selected = self.selected(nulls);
        match (self.groups, self.weights, &selected) {
            (Groups::Each(groups), None, None) => {
                for (row, group) in groups[..length].iter().enumerate() {
                    each(row, *group, 1);
                }
            }
            (Groups::Each(groups), Some(weights), None) => {
                for (row, (group, weight)) in groups[..length].iter().zip(weights).enumerate() {
                    each(row, *group, *weight);
                }
            }
            (Groups::One, None, None) => (0..length).for_each(|row| each(row, 0, 1)),
            (Groups::One, Some(weights), None) => {
                for (row, weight) in weights[..length].iter().enumerate() {
                    each(row, 0, *weight);
                }
            }
            (groups, weights, Some(selected)) => {
                for row in selected.set_indices() {
                    let group = match groups {
                        Groups::One => 0,
                        Groups::Each(groups) => groups[row],
                    };
                    each(row, group, weights.map_or(1, |weights| weights[row]));
                }
            }
        }
    }
}

/// What a call reads from states that several calls share, because they keep the same of the same rows.
#[derive(Clone, Copy, Debug)]
pub enum Reading<'a> {
    /// The result that the states were made for.
    Own,
    /// A value of an ordered group; `distinct` counts each value once.
    Pick {
        /// Which value.
        pick: Pick,
        /// Whether each value counts once.
        distinct: bool,
    },
    /// The result of a function over the group's rows.
    Evaluated(&'a Evaluated),
}

/// A failure of one group: its place among the groups asked for, and why.
pub type GroupError = (usize, Error);

/// Makes room for states of `groups` groups, and for a few groups more, so that the first that come after a load do not make
/// all states move.
pub(in crate::engine) fn make_room<T>(states: &mut Vec<T>, groups: usize) {
    if groups > states.capacity() {
        states.reserve(groups + groups / 8 - states.len());
    }
}

/// The states of one aggregate function for groups `0..n`.
///
/// Every state is a sum over the rows so far: it does not depend on their order, and a row with weight -1 undoes
/// the same row with weight +1 exactly. NULL arguments do not count.
pub trait GroupStates: Debug + Send + Sync {
    /// Makes groups up to `groups` exist, empty.
    fn grow(&mut self, groups: usize);

    /// Told before the first rows come, where another call will ask these states for more than the first
    /// or last value.
    fn keep_sorted(&mut self) {}

    /// Takes a batch in. Every group named exists.
    ///
    /// # Errors
    /// When the arguments have other types than those the states were made for.
    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()>;

    /// Whether everything that went into the group has been taken out again.
    fn is_zero(&self, group: usize) -> bool;

    /// Empties a group.
    fn reset(&mut self, group: usize);

    /// The results of `groups`, in that order. Where one cannot be given, NULL, and an entry in `errors`.
    ///
    /// # Errors
    /// When the results' type is not one that the function gives.
    fn results(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Result<ArrayRef>;

    /// The results of `groups` for another call than that which the states were made for; as [`Self::results`].
    ///
    /// # Errors
    /// As [`Self::results`]; or when the states have no such reading.
    fn read(
        &self,
        reading: Reading<'_>,
        groups: &[usize],
        errors: &mut Vec<GroupError>,
    ) -> Result<ArrayRef> {
        match reading {
            Reading::Own => self.results(groups, errors),
            other => Err(Error::internal(format!(
                "states cannot be read as {other:?}"
            ))),
        }
    }

    /// The exact states of `groups` as columns, for [`Self::merge`] elsewhere.
    ///
    /// # Errors
    /// When the function has no partial form.
    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>>;

    /// The types of the columns of [`Self::partial`].
    fn partial_types(&self) -> Vec<DataType>;

    /// Adds partial states to groups.
    ///
    /// # Errors
    /// When the columns are not such states.
    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()>;

    /// Drops the first `groups` groups; the others move down.
    fn drop_first(&mut self, groups: usize);

    /// Keeps `groups` alone, which rise, as the groups `0..`, in memory of their size. All others are empty.
    fn keep(&mut self, groups: &[usize]);

    /// Memory held, in bytes.
    fn bytes(&self) -> usize;
}

/// Keeps the entries at `places` alone, which rise, in memory of their size.
pub(in crate::engine) fn keep_at<T>(entries: &mut Vec<T>, places: &[usize]) {
    let mut kept = places.iter().peekable();
    let mut place = 0;
    entries.retain(|_| {
        let is_kept = kept.next_if(|kept| **kept == place).is_some();
        place += 1;
        is_kept
    });
    entries.shrink_to_fit();
}

/// Argument `at` of an aggregate, of any type.
///
/// # Errors
/// When it is missing.
pub(super) fn any_argument(args: &[ArrayRef], at: usize) -> Result<&ArrayRef> {
    args.get(at)
        .ok_or_else(|| Error::internal(format!("an aggregate lacks argument {at}")))
}

/// The argument at `at` as an array of type `A`.
pub(super) fn argument<A: Array + 'static>(args: &[ArrayRef], at: usize) -> Result<&A> {
    let array = any_argument(args, at)?;
    array.as_any().downcast_ref::<A>().ok_or_else(|| {
        Error::internal(format!(
            "an aggregate's argument has the unexpected type {}",
            array.data_type()
        ))
    })
}
