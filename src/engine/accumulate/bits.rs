//! bit_and, bit_or and bit_xor, which can be undone: how often each bit is set.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, Int64Array};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, Int64Type, UInt64Type};

use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use crate::base::{Error, Result};

/// How the bits of a group become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BitOperation {
    /// Set where it is set in every value.
    And,
    /// Set where it is set in some value.
    Or,
    /// Set where it is set in an odd number of values.
    Xor,
}

/// How many values a group has, and in how many of them each bit is set.
#[derive(Clone, Debug, Default)]
struct Counts {
    values: i64,
    /// A count a bit, from the least; as many as the type is wide once there was a value.
    set: Box<[i64]>,
}

/// The counts of every group.
#[derive(Debug)]
pub struct BitStates {
    groups: Vec<Counts>,
    data_type: DataType,
    /// Bits of the type.
    width: usize,
    operation: BitOperation,
}

impl BitStates {
    /// No groups yet; values and results of the integer type `data_type`.
    ///
    /// # Errors
    /// When the type is none of integers.
    pub fn new(data_type: &DataType, operation: BitOperation) -> Result<Self> {
        let width = data_type
            .primitive_width()
            .filter(|_| data_type.is_integer())
            .ok_or_else(|| Error::unsupported(format!("{data_type} has no bits to combine")))?;
        Ok(Self {
            groups: Vec::new(),
            data_type: data_type.clone(),
            width: width * 8,
            operation,
        })
    }

    fn result(&self, counts: &Counts) -> Option<u64> {
        if counts.values <= 0 {
            return None;
        }
        let is_set = |count: i64| match self.operation {
            BitOperation::And => count >= counts.values,
            BitOperation::Or => count > 0,
            BitOperation::Xor => count & 1 == 1,
        };
        let bits = counts.set.iter().enumerate();
        Some(bits.fold(0, |bits, (at, count)| {
            bits | u64::from(is_set(*count)) << at
        }))
    }
}

impl GroupStates for BitStates {
    fn grow(&mut self, groups: usize) {
        if groups > self.groups.len() {
            make_room(&mut self.groups, groups);
            self.groups.resize_with(groups, Counts::default);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = args
            .first()
            .ok_or_else(|| Error::internal("a bit aggregate needs an argument"))?;
        let values = bits_of(array)?;
        let (groups, width) = (&mut self.groups, self.width);
        rows.visit(array.logical_nulls().as_ref(), |row, group, weight| {
            let counts = &mut groups[group];
            if counts.set.is_empty() {
                counts.set = vec![0; width].into_boxed_slice();
            }
            counts.values = counts.values.wrapping_add(weight);
            for (at, count) in counts.set.iter_mut().enumerate() {
                if values[row] >> at & 1 == 1 {
                    *count = count.wrapping_add(weight);
                }
            }
        });
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        let counts = &self.groups[group];
        counts.values == 0 && counts.set.iter().all(|count| *count == 0)
    }

    fn reset(&mut self, group: usize) {
        self.groups[group] = Counts::default();
    }

    fn results(&self, groups: &[usize], _errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        let results = groups.iter().map(|group| self.result(&self.groups[*group]));
        if self.data_type == DataType::UInt64 {
            let results = results.collect::<arrow::array::UInt64Array>();
            return Ok(Arc::new(results));
        }
        // the sign of a narrow type is its top bit
        let shift = 64_usize.saturating_sub(self.width);
        let signed = self.data_type.is_signed_integer();
        let results = results.map(|bits| {
            bits.map(|bits| {
                if signed {
                    (bits << shift).cast_signed() >> shift
                } else {
                    bits.cast_signed()
                }
            })
        });
        let results: ArrayRef = Arc::new(results.collect::<Int64Array>());
        Ok(cast(&results, &self.data_type)?)
    }

    /// The number of values, and the counts of the bits as little-endian bytes, none while there was no value.
    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let counts = groups.iter().map(|group| &self.groups[*group]);
        let values: Int64Array = counts.clone().map(|counts| Some(counts.values)).collect();
        let bytes = |counts: &Counts| -> Vec<u8> {
            let set = counts.set.iter();
            set.flat_map(|count| count.to_le_bytes()).collect()
        };
        let set: BinaryArray = counts.map(|counts| Some(bytes(counts))).collect();
        Ok(vec![Arc::new(values), Arc::new(set)])
    }

    fn partial_types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::Binary]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let values = argument::<Int64Array>(partials, 0)?;
        let set = argument::<BinaryArray>(partials, 1)?;
        let (held, width) = (&mut self.groups, self.width);
        let mut damaged = false;
        Rows::once(groups, values.len()).visit(values.nulls(), |row, group, _| {
            let (counts, (more, rest)) = (&mut held[group], set.value(row).as_chunks());
            damaged |= !rest.is_empty() || ![0, width].contains(&more.len());
            if damaged || more.is_empty() {
                return;
            }
            if counts.set.is_empty() {
                counts.set = vec![0; width].into_boxed_slice();
            }
            counts.values = counts.values.wrapping_add(values.value(row));
            for (count, more) in counts.set.iter_mut().zip(more) {
                *count = count.wrapping_add(i64::from_le_bytes(*more));
            }
        });
        if damaged {
            return Err(Error::internal("partial counts of bits are damaged"));
        }
        Ok(())
    }

    fn drop_first(&mut self, groups: usize) {
        self.groups.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.groups, groups);
    }

    fn bytes(&self) -> usize {
        let set: usize = self.groups.iter().map(|counts| counts.set.len() * 8).sum();
        self.groups.capacity() * size_of::<Counts>() + set
    }
}

/// The values' bits, the sign extended.
fn bits_of(array: &ArrayRef) -> Result<Vec<u64>> {
    if *array.data_type() == DataType::UInt64 {
        return Ok(array.as_primitive::<UInt64Type>().values().to_vec());
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    let values = cast_with_options(array, &DataType::Int64, &strict)?;
    let values = values.as_primitive::<Int64Type>().values();
    Ok(values.iter().map(|value| value.cast_unsigned()).collect())
}
