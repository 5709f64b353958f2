//! Which PostgreSQL type an Arrow column shows itself as, and which Arrow type a parameter's OID means.

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};

/// `bool`
pub const BOOL: u32 = 16;
/// `bytea`
pub const BYTEA: u32 = 17;
/// `char`, the one-byte one
pub const CHAR: u32 = 18;
/// `name`
pub const NAME: u32 = 19;
/// `int8`
pub const INT8: u32 = 20;
/// `int2`
pub const INT2: u32 = 21;
/// `int4`
pub const INT4: u32 = 23;
/// `text`
pub const TEXT: u32 = 25;
/// `oid`
pub const OID: u32 = 26;
/// `json`
pub const JSON: u32 = 114;
/// `float4`
pub const FLOAT4: u32 = 700;
/// `float8`
pub const FLOAT8: u32 = 701;
/// `unknown`: a literal whose type is still open
pub const UNKNOWN: u32 = 705;
/// `bpchar`
pub const BPCHAR: u32 = 1042;
/// `varchar`
pub const VARCHAR: u32 = 1043;
/// `date`
pub const DATE: u32 = 1082;
/// `time`
pub const TIME: u32 = 1083;
/// `timestamp`
pub const TIMESTAMP: u32 = 1114;
/// `timestamptz`
pub const TIMESTAMPTZ: u32 = 1184;
/// `interval`
pub const INTERVAL: u32 = 1186;
/// `numeric`
pub const NUMERIC: u32 = 1700;
/// `uuid`
pub const UUID: u32 = 2950;
/// `jsonb`
pub const JSONB: u32 = 3802;

/// Element types with their array types.
const ARRAYS: [(u32, u32); 21] = [
    (BOOL, 1000),
    (BYTEA, 1001),
    (CHAR, 1002),
    (NAME, 1003),
    (INT8, 1016),
    (INT2, 1005),
    (INT4, 1007),
    (TEXT, 1009),
    (OID, 1028),
    (JSON, 199),
    (FLOAT4, 1021),
    (FLOAT8, 1022),
    (BPCHAR, 1014),
    (VARCHAR, 1015),
    (DATE, 1182),
    (TIME, 1183),
    (TIMESTAMP, 1115),
    (TIMESTAMPTZ, 1185),
    (INTERVAL, 1187),
    (NUMERIC, 1231),
    (JSONB, 3807),
];

/// A type as RowDescription tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PgType {
    /// Its OID.
    pub oid: u32,
    /// Bytes of a value, -1 when they vary.
    pub size: i16,
    /// The modifier (a numeric's precision and scale), -1 for none.
    pub modifier: i32,
}

impl PgType {
    /// The type that a column shows itself as.
    pub fn of(field: &Field) -> Self {
        match extension(field) {
            Some("arrow.json") => Self::varying(JSON),
            Some("arrow.uuid") => Self {
                oid: UUID,
                size: 16,
                modifier: -1,
            },
            _ => Self::of_data(field.data_type()),
        }
    }

    /// The type that values of an Arrow type show themselves as.
    pub fn of_data(data: &DataType) -> Self {
        let (oid, size) = match data {
            DataType::Boolean => (BOOL, 1),
            DataType::Int8 | DataType::Int16 | DataType::UInt8 => (INT2, 2),
            DataType::Int32 | DataType::UInt16 => (INT4, 4),
            DataType::Int64 | DataType::UInt32 => (INT8, 8),
            DataType::UInt64 => (NUMERIC, -1),
            DataType::Float16 | DataType::Float32 => (FLOAT4, 4),
            DataType::Float64 => (FLOAT8, 8),
            DataType::Decimal32(precision, scale)
            | DataType::Decimal64(precision, scale)
            | DataType::Decimal128(precision, scale)
            | DataType::Decimal256(precision, scale) => {
                return Self {
                    oid: NUMERIC,
                    size: -1,
                    modifier: modifier(*precision, *scale),
                };
            }
            DataType::Binary
            | DataType::LargeBinary
            | DataType::BinaryView
            | DataType::FixedSizeBinary(_) => (BYTEA, -1),
            DataType::Date32 | DataType::Date64 => (DATE, 4),
            DataType::Time32(_) | DataType::Time64(_) => (TIME, 8),
            DataType::Timestamp(_, None) => (TIMESTAMP, 8),
            DataType::Timestamp(_, Some(_)) => (TIMESTAMPTZ, 8),
            DataType::Interval(_) | DataType::Duration(_) => (INTERVAL, 16),
            DataType::Dictionary(_, values) => return Self::of_data(values),
            DataType::RunEndEncoded(_, values) => return Self::of_data(values.data_type()),
            DataType::List(item)
            | DataType::LargeList(item)
            | DataType::FixedSizeList(item, _)
            | DataType::ListView(item)
            | DataType::LargeListView(item) => (array_of(Self::of(item).oid), -1),
            DataType::Struct(_) | DataType::Map(_, _) | DataType::Union(_, _) => (JSON, -1),
            DataType::LargeUtf8 => (JSONB, -1),
            _ => (TEXT, -1),
        };
        Self {
            oid,
            size,
            modifier: -1,
        }
    }

    fn varying(oid: u32) -> Self {
        Self {
            oid,
            size: -1,
            modifier: -1,
        }
    }
}

/// The name of a field's extension type, as Arrow keeps it in the metadata.
pub(crate) fn extension(field: &Field) -> Option<&str> {
    field
        .metadata()
        .get("ARROW:extension:name")
        .map(String::as_str)
}

/// The array type of an element type. What has none (a list of lists, of structs) goes as JSON.
fn array_of(element: u32) -> u32 {
    if element == JSON {
        return JSON;
    }
    if element == UUID {
        return 2951;
    }
    ARRAYS
        .iter()
        .find(|(oid, _)| *oid == element)
        .map_or(JSON, |(_, array)| *array)
}

/// The element type of an array type.
pub(crate) fn element_of(array: u32) -> Option<u32> {
    if array == 2951 {
        return Some(UUID);
    }
    ARRAYS
        .iter()
        .find(|(_, oid)| *oid == array)
        .map(|(element, _)| *element)
}

/// `((precision << 16) | scale) + 4`, where the scale has eleven bits with sign.
fn modifier(precision: u8, scale: i8) -> i32 {
    (i32::from(precision) << 16 | (i32::from(scale) & 0x7ff)) + 4
}

/// The Arrow type that a client means by a parameter's OID; none when the OID leaves it open.
pub(crate) fn data_type(oid: u32) -> Option<DataType> {
    Some(match oid {
        BOOL => DataType::Boolean,
        BYTEA => DataType::Binary,
        INT8 | OID => DataType::Int64,
        INT2 => DataType::Int16,
        INT4 => DataType::Int32,
        TEXT | VARCHAR | BPCHAR | NAME | CHAR | JSON | JSONB | UUID => DataType::Utf8,
        FLOAT4 => DataType::Float32,
        FLOAT8 => DataType::Float64,
        DATE => DataType::Date32,
        TIME => DataType::Time64(TimeUnit::Microsecond),
        TIMESTAMP => DataType::Timestamp(TimeUnit::Microsecond, None),
        TIMESTAMPTZ => DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into())),
        INTERVAL => DataType::Interval(IntervalUnit::MonthDayNano),
        // A numeric parameter carries no scale: it takes the type that the statement gives it.
        NUMERIC => return None,
        _ => {
            let element = data_type(element_of(oid)?)?;
            DataType::new_list(element, true)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_show_themselves_as_postgres_types() {
        let decimal = PgType::of_data(&DataType::Decimal128(38, 10));
        assert_eq!(
            decimal,
            PgType {
                oid: NUMERIC,
                size: -1,
                modifier: (38 << 16 | 10) + 4
            }
        );
        assert_eq!(PgType::of_data(&DataType::UInt32).oid, INT8);
        let strings = DataType::new_list(DataType::Utf8View, true);
        assert_eq!(PgType::of_data(&strings).oid, 1009);
        let nested = DataType::new_list(strings, true);
        assert_eq!(PgType::of_data(&nested).oid, JSON);
        let dictionary = DataType::Dictionary(Box::new(DataType::Int8), Box::new(DataType::Utf8));
        assert_eq!(PgType::of_data(&dictionary).oid, TEXT);
        assert_eq!(PgType::of_data(&DataType::Null).oid, TEXT);
    }

    #[test]
    fn parameter_types_read_back() {
        assert_eq!(data_type(INT4), Some(DataType::Int32));
        assert_eq!(data_type(0), None);
        assert_eq!(
            data_type(1007),
            Some(DataType::new_list(DataType::Int32, true))
        );
    }
}
