//! The one place where a SQL type becomes an Arrow type.
//!
//! Decisions: every text type is `Utf8View` (what DataFusion's readers and casts yield by default, and one
//! string type everywhere), lengths of varchar and char are not enforced; `numeric` without precision is
//! `numeric(38, 10)`; timestamps count microseconds, `timestamptz` is in UTC; `uuid` is text; `json` and `jsonb` are one type,
//! the canonical text that `lotic_udfs::json` describes.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, IntervalUnit, TimeUnit};
use sqlparser::ast::{self, ArrayElemTypeDef, ExactNumberInfo, TimezoneInfo};

use crate::base::{Error, Result};

/// `numeric` without precision.
pub(super) const NUMERIC: DataType = DataType::Decimal128(38, 10);

/// The Arrow type of a SQL type.
///
/// # Errors
/// 0A000 for a type that Lotic lacks, 22023 for a precision out of range.
pub fn arrow_type(sql: &ast::DataType) -> Result<DataType> {
    use ast::DataType as Sql;
    Ok(match sql {
        Sql::Boolean | Sql::Bool => DataType::Boolean,
        Sql::SmallInt(_) | Sql::Int2(_) => DataType::Int16,
        Sql::Int(_) | Sql::Integer(_) | Sql::Int4(_) => DataType::Int32,
        Sql::BigInt(_) | Sql::Int8(_) => DataType::Int64,
        Sql::Real | Sql::Float4 => DataType::Float32,
        Sql::Double(_) | Sql::DoublePrecision | Sql::Float8 => DataType::Float64,
        Sql::Float(info) => float(info)?,
        Sql::Numeric(info) | Sql::Decimal(info) | Sql::Dec(info) => numeric(info)?,
        Sql::Text
        | Sql::Varchar(_)
        | Sql::CharVarying(_)
        | Sql::CharacterVarying(_)
        | Sql::Char(_)
        | Sql::Character(_)
        | Sql::String(_)
        | Sql::Uuid => DataType::Utf8View,
        // A type of its own, and the only use of it: see `lotic_udfs::json`.
        Sql::JSON | Sql::JSONB => lotic_udfs::json::TYPE,
        Sql::Bytea => DataType::Binary,
        Sql::Date => DataType::Date32,
        Sql::Time(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            DataType::Time64(TimeUnit::Microsecond)
        }
        Sql::Timestamp(_, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => {
            DataType::Timestamp(TimeUnit::Microsecond, None)
        }
        Sql::Timestamp(_, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => {
            DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
        }
        Sql::Interval { .. } => DataType::Interval(IntervalUnit::MonthDayNano),
        Sql::Array(
            ArrayElemTypeDef::SquareBracket(inner, _)
            | ArrayElemTypeDef::AngleBracket(inner)
            | ArrayElemTypeDef::Parenthesis(inner),
        ) => DataType::List(Arc::new(Field::new("item", arrow_type(inner)?, true))),
        Sql::Custom(name, arguments) if arguments.is_empty() => custom(&name.to_string())?,
        other => return Err(unknown(other)),
    })
}

fn unknown(sql: &impl std::fmt::Display) -> Error {
    Error::unsupported(format!("type {} is not supported", sql.to_string().to_lowercase())).with_hint(
        "known: smallint, int, bigint, real, double precision, numeric, text, varchar, boolean, date, time, \
         timestamp, timestamptz, interval, bytea, uuid, jsonb, and arrays of these",
    )
}

fn custom(name: &str) -> Result<DataType> {
    match name.to_lowercase().as_str() {
        "name" | "bpchar" | "citext" => Ok(DataType::Utf8View),
        "serial" | "bigserial" | "smallserial" => {
            Err(Error::unsupported(format!("type {name} is not supported"))
                .with_hint("use bigint and give the values"))
        }
        _ => Err(unknown(&name)),
    }
}

/// `float(p)`: up to 24 binary digits are a real, as in PostgreSQL.
fn float(info: &ExactNumberInfo) -> Result<DataType> {
    match info {
        ExactNumberInfo::None => Ok(DataType::Float64),
        ExactNumberInfo::Precision(1..=24) => Ok(DataType::Float32),
        ExactNumberInfo::Precision(25..=53) => Ok(DataType::Float64),
        ExactNumberInfo::Precision(_) | ExactNumberInfo::PrecisionAndScale(..) => Err(
            Error::invalid("precision for type float must be between 1 and 53 bits"),
        ),
    }
}

fn numeric(info: &ExactNumberInfo) -> Result<DataType> {
    let (precision, scale) = match info {
        ExactNumberInfo::None => return Ok(NUMERIC),
        ExactNumberInfo::Precision(precision) => (*precision, 0),
        ExactNumberInfo::PrecisionAndScale(precision, scale) => (*precision, *scale),
    };
    let scale_ok = u64::try_from(scale).is_ok_and(|scale| scale <= precision);
    match (u8::try_from(precision), i8::try_from(scale)) {
        (Ok(p @ 1..=38), Ok(s)) if scale_ok => Ok(DataType::Decimal128(p, s)),
        _ => Err(Error::invalid(format!(
            "numeric({precision}, {scale}) is out of range: precision is 1 to 38, scale 0 to the precision"
        ))),
    }
}
