//! Values as keys that sort as SQL sorts: native integers where the type allows, else row-format bytes.
//!
//! -0.0 is 0.0 and every NaN is one NaN, above everything else, as in PostgreSQL.

use std::fmt::Debug;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, Decimal128Array, Float32Array, Float64Array, Int64Array, UInt64Array,
};
use arrow::compute::{SortOptions, can_cast_types, cast};
use arrow::datatypes::{DataType, Decimal128Type, Float32Type, Float64Type, Int64Type, UInt64Type};
use arrow::row::{OwnedRow, RowConverter, Rows as EncodedRows, SortField};

use crate::base::Result;
use crate::zset::canonical::canonical;

/// The keys of a batch's rows. A NULL row's key is arbitrary.
pub enum KeyColumn<K> {
    /// A key a row.
    Each(Vec<K>),
    /// Keys made when asked for.
    Made(Box<dyn Fn(usize) -> K>),
}

/// Gives the key of a row.
pub trait Keys<K> {
    /// The key of row `row`.
    fn key(&self, row: usize) -> K;
}

impl<K: Clone> Keys<K> for KeyColumn<K> {
    fn key(&self, row: usize) -> K {
        match self {
            Self::Each(keys) => keys[row].clone(),
            Self::Made(make) => make(row),
        }
    }
}

/// Turns values into keys and back.
pub trait Codec<K>: Debug + Send + Sync {
    /// The keys of an array's rows.
    ///
    /// # Errors
    /// When the array has another type than the codec was made for.
    fn encode(&self, array: &ArrayRef) -> Result<KeyColumn<K>>;

    /// The values of keys, NULL where there is none.
    ///
    /// # Errors
    /// When the bytes of a key are not of this type.
    fn decode(&self, keys: &[Option<&K>]) -> Result<ArrayRef>;
}

/// -0.0 as 0.0, every NaN as one.
pub fn canonical_f64(value: f64) -> f64 {
    // -0.0 + 0.0 is 0.0
    if value.is_nan() {
        f64::NAN
    } else {
        value + 0.0
    }
}

/// The key of a float: its order is that of SQL.
pub fn float_key(value: f64) -> i64 {
    let bits = canonical_f64(value).to_bits().cast_signed();
    // negative numbers sort by falling magnitude
    if bits < 0 { bits ^ i64::MAX } else { bits }
}

/// The float of a key.
pub fn key_float(key: i64) -> f64 {
    f64::from_bits(if key < 0 { key ^ i64::MAX } else { key }.cast_unsigned())
}

/// Whether `data_type` has keys of 64 bits.
pub fn is_short(data_type: &DataType) -> bool {
    match data_type {
        DataType::UInt64 | DataType::Float64 | DataType::Float32 => true,
        DataType::Dictionary(..) | DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            false
        }
        DataType::Boolean | DataType::Null | DataType::Float16 => false,
        DataType::Decimal32(..)
        | DataType::Decimal64(..)
        | DataType::Decimal128(..)
        | DataType::Decimal256(..) => false,
        DataType::Interval(_) => false,
        other => {
            other.is_primitive()
                && can_cast_types(other, &DataType::Int64)
                && can_cast_types(&DataType::Int64, other)
        }
    }
}

/// Integers, floats, dates, times and durations.
#[derive(Debug)]
pub struct ShortCodec(pub DataType);

impl Codec<i64> for ShortCodec {
    fn encode(&self, array: &ArrayRef) -> Result<KeyColumn<i64>> {
        let keys = match array.data_type() {
            DataType::UInt64 => {
                let values = array.as_primitive::<UInt64Type>().values();
                values
                    .iter()
                    .map(|value| value.cast_signed() ^ i64::MIN)
                    .collect()
            }
            DataType::Float64 => {
                let values = array.as_primitive::<Float64Type>().values();
                values.iter().map(|value| float_key(*value)).collect()
            }
            DataType::Float32 => {
                let values = array.as_primitive::<Float32Type>().values();
                values
                    .iter()
                    .map(|value| float_key(f64::from(*value)))
                    .collect()
            }
            _ => cast(array, &DataType::Int64)?
                .as_primitive::<Int64Type>()
                .values()
                .to_vec(),
        };
        Ok(KeyColumn::Each(keys))
    }

    fn decode(&self, keys: &[Option<&i64>]) -> Result<ArrayRef> {
        let keys = keys.iter().map(|key| key.copied());
        Ok(match &self.0 {
            DataType::UInt64 => Arc::new(
                keys.map(|key| key.map(|key| (key ^ i64::MIN).cast_unsigned()))
                    .collect::<UInt64Array>(),
            ),
            DataType::Float64 => {
                Arc::new(keys.map(|key| key.map(key_float)).collect::<Float64Array>())
            }
            DataType::Float32 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the key was made from an f32"
                )]
                let values = keys.map(|key| key.map(|key| key_float(key) as f32));
                Arc::new(values.collect::<Float32Array>())
            }
            other => cast(&(Arc::new(keys.collect::<Int64Array>()) as ArrayRef), other)?,
        })
    }
}

/// Decimals of 128 bits.
#[derive(Debug)]
pub struct DecimalCodec(pub DataType);

impl Codec<i128> for DecimalCodec {
    fn encode(&self, array: &ArrayRef) -> Result<KeyColumn<i128>> {
        Ok(KeyColumn::Each(
            array.as_primitive::<Decimal128Type>().values().to_vec(),
        ))
    }

    fn decode(&self, keys: &[Option<&i128>]) -> Result<ArrayRef> {
        let values: Decimal128Array = keys.iter().map(|key| key.copied()).collect();
        Ok(Arc::new(values.with_data_type(self.0.clone())))
    }
}

/// Any type that Arrow's row format holds.
#[derive(Debug)]
pub struct RowCodec {
    converter: RowConverter,
    data_type: DataType,
}

impl RowCodec {
    /// A codec for values of `data_type`.
    ///
    /// # Errors
    /// When the row format has no form for it.
    pub fn new(data_type: &DataType) -> Result<Self> {
        // Values within values too: a list with NULL in it is above the same with a value there.
        let options = SortOptions {
            descending: false,
            nulls_first: false,
        };
        let field = SortField::new_with_options(data_type.clone(), options);
        let converter = RowConverter::new(vec![field])?;
        Ok(Self {
            converter,
            data_type: data_type.clone(),
        })
    }
}

impl Codec<OwnedRow> for RowCodec {
    fn encode(&self, array: &ArrayRef) -> Result<KeyColumn<OwnedRow>> {
        let rows: EncodedRows = self.converter.convert_columns(&[canonical(array)?])?;
        Ok(KeyColumn::Made(Box::new(move |row| rows.row(row).owned())))
    }

    fn decode(&self, keys: &[Option<&OwnedRow>]) -> Result<ArrayRef> {
        // a NULL is a row as well: append one and point to it
        let null = arrow::array::new_null_array(&self.data_type, 1);
        let null = self.converter.convert_columns(&[null])?;
        let rows = keys
            .iter()
            .map(|key| key.map_or_else(|| null.row(0), |key| key.row()));
        let mut columns = self.converter.convert_rows(rows)?;
        Ok(columns.swap_remove(0))
    }
}
