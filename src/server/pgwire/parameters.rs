//! The values of a Bind message, text or binary, as Arrow scalars of the types that the plan wants.

use arrow::array::{ArrayRef, StringArray};
use arrow::datatypes::{DataType, IntervalMonthDayNano};
use bytes::{Buf, Bytes};
use datafusion::common::ScalarValue;

use super::encode::{EPOCH_DAYS, EPOCH_MICROS, numeric_from_binary};
use super::frontend::Format;
use super::types;
use crate::base::{Error, Kind, Result, bytea};

/// The most elements that an array parameter may have.
const MOST_ELEMENTS: usize = 10_000_000;

/// Reads a value of type `oid` and makes it a `target`.
///
/// # Errors
/// When it is malformed (22P02, 22P03) or does not fit the target.
pub(crate) fn decode(
    oid: u32,
    format: Format,
    value: Option<&Bytes>,
    target: &DataType,
) -> Result<ScalarValue> {
    let Some(bytes) = value else {
        return Ok(ScalarValue::try_from(target)?);
    };
    let value = match format {
        Format::Text => from_text(oid, text(bytes)?, target)?,
        Format::Binary => from_binary(oid, bytes.clone())?,
    };
    if *target == DataType::Null || value.data_type() == *target {
        return Ok(value);
    }
    Ok(value.cast_to(target)?)
}

fn text(bytes: &[u8]) -> Result<&str> {
    let text = std::str::from_utf8(bytes)
        .ok()
        .filter(|text| !text.contains('\0'));
    text.ok_or_else(|| {
        Error::new(
            Kind::Invalid,
            "22021",
            "invalid byte sequence for encoding \"UTF8\"",
        )
    })
}

fn from_text(oid: u32, text: &str, target: &DataType) -> Result<ScalarValue> {
    let number = text.trim();
    let value = match oid {
        types::BOOL => Some(ScalarValue::from(boolean(number)?)),
        types::INT2 => number.parse::<i16>().ok().map(ScalarValue::from),
        types::INT4 => number.parse::<i32>().ok().map(ScalarValue::from),
        types::INT8 | types::OID => number.parse::<i64>().ok().map(ScalarValue::from),
        types::FLOAT4 => number.parse::<f32>().ok().map(ScalarValue::from),
        types::FLOAT8 => number.parse::<f64>().ok().map(ScalarValue::from),
        types::BYTEA => Some(ScalarValue::Binary(Some(bytea(text)?))),
        types::NUMERIC | types::DATE | types::TIME | types::TIMESTAMP | types::TIMESTAMPTZ => {
            Some(ScalarValue::from(number))
        }
        _ if matches!(target, DataType::List(_) | DataType::LargeList(_)) => {
            Some(list(elements(text)?))
        }
        _ => Some(ScalarValue::from(text)),
    };
    value.ok_or_else(|| {
        Error::bad_value(format!(
            "invalid input syntax for a number: \"{}\"",
            shortened(text)
        ))
    })
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

fn boolean(text: &str) -> Result<bool> {
    match text.to_ascii_lowercase().as_str() {
        "t" | "tr" | "tru" | "true" | "y" | "ye" | "yes" | "on" | "1" => Ok(true),
        "f" | "fa" | "fal" | "fals" | "false" | "n" | "no" | "of" | "off" | "0" => Ok(false),
        _ => Err(Error::bad_value(format!(
            "invalid input syntax for type boolean: \"{}\"",
            shortened(text)
        ))),
    }
}

fn list(elements: Vec<Option<String>>) -> ScalarValue {
    let values: ArrayRef = std::sync::Arc::new(StringArray::from(elements));
    let item = std::sync::Arc::new(arrow::datatypes::Field::new("item", DataType::Utf8, true));
    let offsets = arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
    let list = arrow::array::ListArray::new(item, offsets, values, None);
    ScalarValue::List(std::sync::Arc::new(list))
}

/// The elements of `{a,"b c",NULL}`. One dimension only.
fn elements(text: &str) -> Result<Vec<Option<String>>> {
    let bad = || Error::bad_value("malformed array literal");
    let inner = text
        .trim()
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'));
    let mut chars = inner.ok_or_else(bad)?.chars().peekable();
    let mut elements = Vec::new();
    if chars.clone().all(char::is_whitespace) {
        return Ok(elements);
    }
    loop {
        let (mut element, mut quoted) = (String::new(), false);
        loop {
            match chars.peek() {
                None | Some(',') => break,
                Some('{' | '}') => {
                    return Err(Error::unsupported("array parameters have one dimension"));
                }
                Some('"') => {
                    chars.next();
                    quoted = true;
                    loop {
                        match chars.next().ok_or_else(bad)? {
                            '"' => break,
                            '\\' => element.push(chars.next().ok_or_else(bad)?),
                            char => element.push(char),
                        }
                    }
                }
                Some(_) => element.extend(chars.next().map(|char| match char {
                    '\\' => chars.next().unwrap_or_default(),
                    char => char,
                })),
            }
        }
        let element = if quoted {
            element
        } else {
            element.trim().to_owned()
        };
        let null = !quoted && element.eq_ignore_ascii_case("null");
        elements.push((!null).then_some(element));
        if chars.next().is_none() {
            return Ok(elements);
        }
    }
}

fn from_binary(oid: u32, mut bytes: Bytes) -> Result<ScalarValue> {
    if let Some(element) = types::element_of(oid) {
        return array(element, bytes);
    }
    let malformed = |_| malformed();
    let value = match oid {
        types::BOOL => ScalarValue::from(bytes.try_get_u8().map_err(malformed)? != 0),
        types::INT2 => ScalarValue::from(bytes.try_get_i16().map_err(malformed)?),
        types::INT4 => ScalarValue::from(bytes.try_get_i32().map_err(malformed)?),
        types::INT8 => ScalarValue::from(bytes.try_get_i64().map_err(malformed)?),
        types::OID => ScalarValue::from(i64::from(bytes.try_get_u32().map_err(malformed)?)),
        types::FLOAT4 => ScalarValue::from(bytes.try_get_f32().map_err(malformed)?),
        types::FLOAT8 => ScalarValue::from(bytes.try_get_f64().map_err(malformed)?),
        types::NUMERIC => ScalarValue::from(numeric_from_binary(&std::mem::take(&mut bytes))?),
        types::BYTEA => ScalarValue::Binary(Some(std::mem::take(&mut bytes).into())),
        types::DATE => {
            let days = bytes.try_get_i32().map_err(malformed)?;
            ScalarValue::Date32(Some(days.checked_add(EPOCH_DAYS).ok_or_else(out_of_range)?))
        }
        types::TIME => {
            ScalarValue::Time64Microsecond(Some(bytes.try_get_i64().map_err(malformed)?))
        }
        types::TIMESTAMP | types::TIMESTAMPTZ => {
            let micros = bytes.try_get_i64().map_err(malformed)?;
            let micros = micros.checked_add(EPOCH_MICROS).ok_or_else(out_of_range)?;
            let zone = (oid == types::TIMESTAMPTZ).then(|| "+00:00".into());
            ScalarValue::TimestampMicrosecond(Some(micros), zone)
        }
        types::INTERVAL => {
            let micros = bytes.try_get_i64().map_err(malformed)?;
            let days = bytes.try_get_i32().map_err(malformed)?;
            let months = bytes.try_get_i32().map_err(malformed)?;
            let nanos = micros.checked_mul(1_000).ok_or_else(out_of_range)?;
            ScalarValue::IntervalMonthDayNano(Some(IntervalMonthDayNano::new(months, days, nanos)))
        }
        types::UUID => {
            let bytes: [u8; 16] = std::mem::take(&mut bytes)
                .as_ref()
                .try_into()
                .map_err(|_| self::malformed())?;
            ScalarValue::from(uuid(u128::from_be_bytes(bytes)))
        }
        types::JSONB => {
            let version = bytes.try_get_u8().map_err(malformed)?;
            if version != 1 {
                return Err(self::malformed());
            }
            ScalarValue::from(text(&std::mem::take(&mut bytes))?)
        }
        types::TEXT
        | types::VARCHAR
        | types::BPCHAR
        | types::NAME
        | types::CHAR
        | types::UNKNOWN
        | types::JSON => ScalarValue::from(text(&std::mem::take(&mut bytes))?),
        other => {
            let message = format!("binary parameters of type {other} are not supported");
            return Err(Error::unsupported(message).with_hint("send them as text"));
        }
    };
    if bytes.has_remaining() {
        Err(self::malformed())
    } else {
        Ok(value)
    }
}

fn uuid(value: u128) -> String {
    let hex = format!("{value:032x}");
    let mut text = String::with_capacity(36);
    for (place, digit) in hex.chars().enumerate() {
        if matches!(place, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(digit);
    }
    text
}

fn array(element: u32, mut bytes: Bytes) -> Result<ScalarValue> {
    let mut word = || bytes.try_get_i32().map_err(|_| malformed());
    let (dimensions, _nulls, _element) = (word()?, word()?, word()?);
    let length = match dimensions {
        0 => 0,
        1 => {
            let length = usize::try_from(word()?).map_err(|_| malformed())?;
            let _lower_bound = word()?;
            length
        }
        _ => return Err(Error::unsupported("array parameters have one dimension")),
    };
    // Each element has at least its length before it.
    if length > bytes.len() / 4 || length > MOST_ELEMENTS {
        return Err(malformed());
    }
    let item = types::data_type(element).unwrap_or(DataType::Utf8);
    let mut values = Vec::with_capacity(length);
    for _ in 0..length {
        let size = bytes.try_get_i32().map_err(|_| malformed())?;
        values.push(match usize::try_from(size) {
            Ok(size) if size <= bytes.len() => from_binary(element, bytes.split_to(size))?,
            Err(_) if size == -1 => ScalarValue::try_from(&item)?,
            _ => return Err(malformed()),
        });
    }
    if bytes.has_remaining() {
        return Err(malformed());
    }
    Ok(ScalarValue::List(ScalarValue::new_list(
        &values, &item, true,
    )))
}

fn malformed() -> Error {
    Error::new(Kind::Invalid, "22P03", "incorrect binary data format")
}

fn out_of_range() -> Error {
    Error::new(Kind::Invalid, "22008", "date or time out of range")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn read(oid: u32, format: Format, bytes: &[u8], target: &DataType) -> Result<ScalarValue> {
        decode(oid, format, Some(&Bytes::copy_from_slice(bytes)), target)
    }

    #[test]
    fn text_values_become_what_the_plan_wants() {
        let text = |oid, value: &str, target: &DataType| {
            read(oid, Format::Text, value.as_bytes(), target).map(|value| value.to_string())
        };
        assert_eq!(text(types::INT4, "42", &DataType::Int64).unwrap(), "42");
        assert_eq!(text(types::BOOL, "on", &DataType::Boolean).unwrap(), "true");
        assert_eq!(text(types::TEXT, "a b", &DataType::Utf8).unwrap(), "a b");
        assert_eq!(
            text(types::NUMERIC, "1.25", &DataType::Decimal128(10, 2)).unwrap(),
            "1.25"
        );
        assert_eq!(
            text(types::DATE, "2024-02-29", &DataType::Date32).unwrap(),
            "2024-02-29"
        );
        assert_eq!(
            text(types::INT4, "x", &DataType::Int32).unwrap_err().code(),
            "22P02"
        );
        assert_eq!(
            text(types::DATE, "x", &DataType::Date32)
                .unwrap_err()
                .code(),
            "22P02"
        );
        let list = DataType::new_list(DataType::Int32, true);
        assert_eq!(text(1007, "{1,NULL, 3}", &list).unwrap(), "[1, , 3]");
    }

    #[test]
    fn binary_values_become_what_the_plan_wants() {
        let seven = read(
            types::INT4,
            Format::Binary,
            &7_i32.to_be_bytes(),
            &DataType::Int64,
        );
        assert_eq!(seven.unwrap(), ScalarValue::Int64(Some(7)));
        let numeric = [0, 2, 0, 0, 0, 0, 0, 2, 0, 12, 0x13, 0x88];
        let numeric = read(
            types::NUMERIC,
            Format::Binary,
            &numeric,
            &DataType::Decimal128(10, 2),
        );
        assert_eq!(
            numeric.unwrap(),
            ScalarValue::Decimal128(Some(1_250), 10, 2)
        );
        let date = read(
            types::DATE,
            Format::Binary,
            &0_i32.to_be_bytes(),
            &DataType::Date32,
        );
        assert_eq!(date.unwrap(), ScalarValue::Date32(Some(EPOCH_DAYS)));
        assert_eq!(
            decode(types::INT4, Format::Binary, None, &DataType::Int64).unwrap(),
            ScalarValue::Int64(None)
        );
        let short = read(types::INT8, Format::Binary, &[0; 7], &DataType::Int64);
        assert_eq!(short.unwrap_err().code(), "22P03");
    }

    #[test]
    fn quoted_array_elements_keep_what_they_quote() {
        let read = elements("{\"a,b\",\"\\\"\",\"NULL\",null,c d}").unwrap();
        let read: Vec<Option<&str>> = read.iter().map(Option::as_deref).collect();
        assert_eq!(
            read,
            [Some("a,b"), Some("\""), Some("NULL"), None, Some("c d")]
        );
        assert!(elements("{").is_err() && elements("{\"a").is_err() && elements("{{1}}").is_err());
    }

    proptest! {
        #[test]
        fn arbitrary_values_never_panic(place in 0_usize..24, bytes in any::<Vec<u8>>()) {
            let oids = [16, 17, 20, 21, 23, 25, 26, 700, 701, 1082, 1083, 1114, 1184, 1186, 1700,
                2950, 3802, 1007, 1009, 1231, 1185, 0, 705, 99_999];
            for format in [Format::Text, Format::Binary] {
                let _either = read(oids[place], format, &bytes, &DataType::Utf8);
            }
        }
    }
}
