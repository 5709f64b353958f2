//! Sums and averages of integers, decimals and durations: exact while kept, checked when given.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, FixedSizeBinaryArray, FixedSizeBinaryBuilder,
    Int64Array, PrimitiveArray, new_null_array,
};
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType,
    Float64Type, Int64Type, UInt64Type, i256,
};

use super::states::{GroupError, GroupStates, Groups, Rows, argument, keep_at, make_room};
use super::wide::Wide;
use crate::base::{Error, Kind, Result};

/// What becomes of a sum when it is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The sum itself.
    Sum,
    /// The sum divided by the number of values; decimals and durations are rounded to the nearest, halves away from zero.
    Average,
}

/// The limbs in which results are computed: 64 + 63 bits over the widest decimal.
const RESULT_LIMBS: usize = 7;

/// Sums over `N` limbs: 2 for 64-bit values, 3 for 128-bit ones, 6 for 256-bit ones, so that any value times
/// any weight, as often as rows can be counted, stays within.
#[derive(Debug)]
pub struct IntegerStates<const N: usize> {
    sums: Vec<Wide<N>>,
    counts: Vec<i64>,
    input: DataType,
    output: DataType,
    outcome: Outcome,
}

impl<const N: usize> IntegerStates<N> {
    /// No groups yet, for arguments of type `input` and results of type `output`.
    pub fn new(input: &DataType, output: &DataType, outcome: Outcome) -> Self {
        Self {
            sums: Vec::new(),
            counts: Vec::new(),
            input: input.clone(),
            output: output.clone(),
            outcome,
        }
    }

    fn add_wide<T>(
        &mut self,
        values: &[T],
        array: &dyn Array,
        rows: &Rows<'_>,
        wide: impl Fn(&T) -> Wide<N>,
    ) {
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        rows.visit(array.nulls(), |row, group, weight| {
            sums[group].add(&wide(&values[row]).times(weight));
            counts[group] = counts[group].wrapping_add(weight);
        });
    }

    fn add_i64(&mut self, array: &dyn Array, values: &[i64], rows: &Rows<'_>) {
        if let (Groups::One, None, None, 0) =
            (rows.groups, rows.weights, rows.filter, array.null_count())
        {
            let total: i128 = values.iter().map(|value| i128::from(*value)).sum();
            self.sums[0].add(&Wide::from_i128(total));
            self.counts[0] = self.counts[0].wrapping_add_unsigned(values.len() as u64);
            return;
        }
        let (sums, counts) = (&mut self.sums, &mut self.counts);
        rows.visit(array.nulls(), |row, group, weight| {
            // 63 bits times 63 bits
            sums[group].add(&Wide::from_i128(
                i128::from(values[row]) * i128::from(weight),
            ));
            counts[group] = counts[group].wrapping_add(weight);
        });
    }

    /// The result of a group, in units of the output's least digit; `None` when it does not fit 448 bits.
    fn result(&self, group: usize) -> Wide<RESULT_LIMBS> {
        let sum = self.sums[group].widened::<RESULT_LIMBS>();
        match self.outcome {
            Outcome::Sum => sum,
            Outcome::Average => {
                let digits = scale(&self.output).saturating_sub(scale(&self.input));
                let scaled = (0..digits).fold(sum, |sum, _| sum.times_unsigned(10));
                scaled.divided(self.counts[group].unsigned_abs())
            }
        }
    }

    fn gather<T: ArrowPrimitiveType>(
        &self,
        groups: &[usize],
        errors: &mut Vec<GroupError>,
        convert: impl Fn(&Wide<RESULT_LIMBS>) -> Option<T::Native>,
    ) -> ArrayRef {
        let values = groups.iter().enumerate().map(|(at, group)| {
            if self.counts[*group] <= 0 {
                return None;
            }
            let value = convert(&self.result(*group));
            if value.is_none() {
                errors.push((at, out_of_range(&self.output)));
            }
            value
        });
        let array: PrimitiveArray<T> = values.collect();
        Arc::new(array.with_data_type(self.output.clone()))
    }

    fn gather_decimal<T: DecimalType>(
        &self,
        groups: &[usize],
        errors: &mut Vec<GroupError>,
        convert: impl Fn(&Wide<RESULT_LIMBS>) -> Option<T::Native>,
    ) -> ArrayRef {
        let (precision, scale) = decimal_parts(&self.output);
        self.gather::<T>(groups, errors, |wide| {
            convert(wide)
                .filter(|value| T::validate_decimal_precision(*value, precision, scale).is_ok())
        })
    }

    /// The average of integers as a float: the exact sum, rounded, by the count.
    #[expect(
        clippy::cast_precision_loss,
        reason = "rounded to the nearest, as an average is"
    )]
    fn gather_floats(&self, groups: &[usize]) -> ArrayRef {
        let values = groups.iter().map(|group| {
            let count = self.counts[*group];
            let sum = self.sums[*group].as_i128().unwrap_or(0);
            (count > 0).then(|| sum as f64 / count as f64)
        });
        Arc::new(values.collect::<PrimitiveArray<Float64Type>>())
    }
}

impl<const N: usize> GroupStates for IntegerStates<N> {
    fn grow(&mut self, groups: usize) {
        if groups > self.sums.len() {
            make_room(&mut self.sums, groups);
            self.sums.resize(groups, Wide::default());
            make_room(&mut self.counts, groups);
            self.counts.resize(groups, 0);
        }
    }

    fn update(&mut self, args: &[ArrayRef], rows: &Rows<'_>) -> Result<()> {
        let array = args
            .first()
            .ok_or_else(|| Error::internal("a sum needs an argument"))?;
        match array.data_type() {
            DataType::Int64 => {
                self.add_i64(array, array.as_primitive::<Int64Type>().values(), rows);
            }
            DataType::Duration(_) | DataType::Decimal64(..) => {
                let data = array.to_data();
                self.add_i64(array, &data.buffer::<i64>(0)[..array.len()], rows);
            }
            DataType::UInt64 => {
                let values = array.as_primitive::<UInt64Type>().values();
                self.add_wide(values, array, rows, |value| {
                    Wide::from_i128(i128::from(*value))
                });
            }
            DataType::Decimal32(..) => {
                let values = array.as_primitive::<Decimal32Type>().values();
                self.add_wide(values, array, rows, |value| {
                    Wide::from_i128(i128::from(*value))
                });
            }
            DataType::Decimal128(..) => {
                let values = array.as_primitive::<Decimal128Type>().values();
                self.add_wide(values, array, rows, |value| Wide::from_i128(*value));
            }
            DataType::Decimal256(..) => {
                let values = array.as_primitive::<Decimal256Type>().values();
                self.add_wide(values, array, rows, |value| Wide::from_i256(*value));
            }
            other => {
                return Err(Error::internal(format!(
                    "a sum over the unexpected type {other}"
                )));
            }
        }
        Ok(())
    }

    fn is_zero(&self, group: usize) -> bool {
        self.counts[group] == 0 && self.sums[group].is_zero()
    }

    fn reset(&mut self, group: usize) {
        self.counts[group] = 0;
        self.sums[group] = Wide::default();
    }

    fn results(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Result<ArrayRef> {
        Ok(match &self.output {
            DataType::Int64 => self.gather::<Int64Type>(groups, errors, to_i64),
            DataType::Duration(_) => {
                let raw = self.gather_raw_i64(groups, errors);
                arrow::compute::cast(&raw, &self.output)?
            }
            DataType::UInt64 => self.gather::<UInt64Type>(groups, errors, |wide| {
                wide.as_i128().and_then(|value| u64::try_from(value).ok())
            }),
            DataType::Float64 => self.gather_floats(groups),
            DataType::Decimal32(..) => {
                self.gather_decimal::<Decimal32Type>(groups, errors, |wide| {
                    wide.as_i128().and_then(|value| i32::try_from(value).ok())
                })
            }
            DataType::Decimal64(..) => self.gather_decimal::<Decimal64Type>(groups, errors, to_i64),
            DataType::Decimal128(..) => {
                self.gather_decimal::<Decimal128Type>(groups, errors, Wide::as_i128)
            }
            DataType::Decimal256(..) => {
                let convert = |wide: &Wide<RESULT_LIMBS>| -> Option<i256> { wide.as_i256() };
                self.gather_decimal::<Decimal256Type>(groups, errors, convert)
            }
            DataType::Null => new_null_array(&self.output, groups.len()),
            other => {
                return Err(Error::internal(format!(
                    "a sum of the unexpected type {other}"
                )));
            }
        })
    }

    fn partial(&self, groups: &[usize]) -> Result<Vec<ArrayRef>> {
        let counts: Int64Array = groups
            .iter()
            .map(|group| Some(self.counts[*group]))
            .collect();
        let mut sums = FixedSizeBinaryBuilder::with_capacity(groups.len(), width::<N>());
        let mut bytes = Vec::with_capacity(N * 8);
        for group in groups {
            bytes.clear();
            bytes.extend(self.sums[*group].to_bytes());
            sums.append_value(&bytes)?;
        }
        Ok(vec![Arc::new(counts), Arc::new(sums.finish())])
    }

    fn partial_types(&self) -> Vec<DataType> {
        vec![DataType::Int64, DataType::FixedSizeBinary(width::<N>())]
    }

    fn merge(&mut self, partials: &[ArrayRef], groups: Groups<'_>) -> Result<()> {
        let counts = argument::<Int64Array>(partials, 0)?;
        let sums = argument::<FixedSizeBinaryArray>(partials, 1)?;
        let mut damaged = false;
        Rows::once(groups, counts.len()).visit(counts.nulls(), |row, group, _| {
            match Wide::from_bytes(sums.value(row)) {
                Some(sum) => self.sums[group].add(&sum),
                None => damaged = true,
            }
            self.counts[group] = self.counts[group].wrapping_add(counts.value(row));
        });
        if damaged {
            Err(Error::internal("a partial sum has another width"))
        } else {
            Ok(())
        }
    }

    fn drop_first(&mut self, groups: usize) {
        self.sums.drain(..groups);
        self.counts.drain(..groups);
    }

    fn keep(&mut self, groups: &[usize]) {
        keep_at(&mut self.sums, groups);
        keep_at(&mut self.counts, groups);
    }

    fn bytes(&self) -> usize {
        self.sums.capacity() * size_of::<Wide<N>>() + self.counts.capacity() * size_of::<i64>()
    }
}

impl<const N: usize> IntegerStates<N> {
    fn gather_raw_i64(&self, groups: &[usize], errors: &mut Vec<GroupError>) -> Int64Array {
        let values = groups.iter().enumerate().map(|(at, group)| {
            if self.counts[*group] <= 0 {
                return None;
            }
            let value = to_i64(&self.result(*group));
            if value.is_none() {
                errors.push((at, out_of_range(&self.output)));
            }
            value
        });
        values.collect()
    }
}

fn to_i64(wide: &Wide<RESULT_LIMBS>) -> Option<i64> {
    wide.as_i128().and_then(|value| i64::try_from(value).ok())
}

fn width<const N: usize>() -> i32 {
    i32::try_from(N * 8).unwrap_or(i32::MAX)
}

fn scale(data_type: &DataType) -> i8 {
    decimal_parts(data_type).1
}

/// Precision and scale; those of an integer for other types.
fn decimal_parts(data_type: &DataType) -> (u8, i8) {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => (*precision, *scale),
        _ => (u8::MAX, 0),
    }
}

fn out_of_range(data_type: &DataType) -> Error {
    let message = match data_type {
        DataType::Int64 => "bigint out of range".to_owned(),
        DataType::UInt64 => "unsigned bigint out of range".to_owned(),
        DataType::Duration(_) => "interval out of range".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            format!("numeric field overflow: the result does not fit numeric({precision},{scale})")
        }
        other => format!("value out of range for type {other}"),
    };
    Error::new(Kind::Invalid, "22003", message)
}
