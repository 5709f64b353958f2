//! Whole rows, written and looked at.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    DictionaryArray, DurationMillisecondArray, FixedSizeBinaryArray, Float32Array, Float64Array,
    Int8Array, Int16Array, Int32Array, Int32Builder, Int64Array, IntervalMonthDayNanoArray,
    LargeStringArray, ListArray, MapBuilder, NullArray, StringArray, StringBuilder,
    StringViewArray, StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray, UInt8Array, UInt16Array, UInt32Array, UInt64Array,
};
use arrow::datatypes::{
    DataType, Field, Int8Type, Int32Type, IntervalMonthDayNano, Schema, SchemaRef, i256,
};
use arrow::record_batch::RecordBatch;
use bytes::BytesMut;

use super::super::frontend::Format;
use super::{RowWriter, Zone};

/// The values of the first row, in the given format.
fn row(arrays: Vec<ArrayRef>, format: Format) -> Vec<Option<Vec<u8>>> {
    let field = |array: &ArrayRef| Field::new("c", array.data_type().clone(), true);
    let schema: SchemaRef = Arc::new(Schema::new(arrays.iter().map(field).collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
    cut(&batch, &schema, format, 0)
}

fn cut(
    batch: &RecordBatch,
    schema: &SchemaRef,
    format: Format,
    row: usize,
) -> Vec<Option<Vec<u8>>> {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let writer = RowWriter::new(batch, schema, &[format], &zone).unwrap();
    let mut out = BytesMut::new();
    writer.write(row, &mut out).unwrap();
    let count = u16::from_be_bytes([out[0], out[1]]);
    let (mut rest, mut values) = (&out[2..], Vec::new());
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>().unwrap();
        let length = usize::try_from(i32::from_be_bytes(*length)).ok();
        values.push(length.map(|length| after[..length].to_vec()));
        rest = &after[length.unwrap_or(0)..];
    }
    assert!(rest.is_empty());
    values
}

fn text(array: impl arrow::array::Array + 'static) -> String {
    String::from_utf8(row(vec![Arc::new(array)], Format::Text).remove(0).unwrap()).unwrap()
}

fn binary(array: impl arrow::array::Array + 'static) -> Vec<u8> {
    row(vec![Arc::new(array)], Format::Binary)
        .remove(0)
        .unwrap()
}

fn moment() -> TimestampMicrosecondArray {
    TimestampMicrosecondArray::from(vec![1_709_210_096_789_000])
}

fn numbers() -> ListArray {
    ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None, Some(3)])])
}

#[test]
fn json_is_its_text_and_has_a_number_before_it_in_binary() {
    let json = || LargeStringArray::from(vec![r#"{"a": 1}"#]);
    assert_eq!(text(json()), r#"{"a": 1}"#);
    assert_eq!(binary(json()), b"\x01{\"a\": 1}");
    let within = StructArray::from(vec![(
        Arc::new(Field::new("j", DataType::LargeUtf8, true)),
        Arc::new(json()) as ArrayRef,
    )]);
    assert_eq!(text(within), r#"{"j":{"a": 1}}"#);
}

#[test]
fn every_type_has_its_text() {
    assert_eq!(text(BooleanArray::from(vec![true])), "t");
    assert_eq!(text(Int8Array::from(vec![-128])), "-128");
    assert_eq!(
        text(Int64Array::from(vec![i64::MIN])),
        "-9223372036854775808"
    );
    assert_eq!(
        text(UInt64Array::from(vec![u64::MAX])),
        "18446744073709551615"
    );
    assert_eq!(text(Float32Array::from(vec![0.1])), "0.1");
    assert_eq!(text(Float64Array::from(vec![1e20])), "1e+20");
    let large = Decimal128Array::from(vec![123_456_789_012_345_678_901_234_567_890_i128]);
    let large = large.with_precision_and_scale(38, 4).unwrap();
    assert_eq!(text(large), "12345678901234567890123456.7890");
    let huge = Decimal256Array::from(vec![i256::MAX])
        .with_precision_and_scale(76, 0)
        .unwrap();
    assert_eq!(text(huge), i256::MAX.to_string());
    assert_eq!(text(StringViewArray::from(vec!["sk\u{e5}l"])), "sk\u{e5}l");
    assert_eq!(text(LargeStringArray::from(vec![""])), "");
    assert_eq!(text(BinaryArray::from(vec![&b"\x00\xff"[..]])), "\\x00ff");
    assert_eq!(text(Date32Array::from(vec![19_782])), "2024-02-29");
    assert_eq!(
        text(Time64MicrosecondArray::from(vec![1_000_001])),
        "00:00:01.000001"
    );
    assert_eq!(text(moment()), "2024-02-29 12:34:56.789");
    assert_eq!(
        text(moment().with_timezone("+00:00")),
        "2024-02-29 13:34:56.789+01"
    );
    assert_eq!(
        text(TimestampNanosecondArray::from(vec![-1])),
        "1969-12-31 23:59:59.999999"
    );
    let interval = IntervalMonthDayNano::new(1, -1, 1_000_000_000);
    assert_eq!(
        text(IntervalMonthDayNanoArray::from(vec![interval])),
        "1 mon -1 days +00:00:01"
    );
    assert_eq!(
        text(DurationMillisecondArray::from(vec![90_061_000])),
        "1 day 01:01:01"
    );
    let dictionary: DictionaryArray<Int8Type> = ["a", "b"].into_iter().collect();
    assert_eq!(text(dictionary), "a");
    assert_eq!(row(vec![Arc::new(NullArray::new(1))], Format::Text), [None]);
}

#[test]
fn every_type_has_its_binary() {
    assert_eq!(binary(BooleanArray::from(vec![true])), [1]);
    assert_eq!(binary(UInt8Array::from(vec![255])), [0, 255]);
    assert_eq!(binary(Int16Array::from(vec![-2])), [0xff, 0xfe]);
    assert_eq!(binary(UInt16Array::from(vec![65_535])), [0, 0, 255, 255]);
    assert_eq!(binary(Int32Array::from(vec![1])), [0, 0, 0, 1]);
    assert_eq!(
        binary(UInt32Array::from(vec![u32::MAX])),
        [0, 0, 0, 0, 255, 255, 255, 255]
    );
    assert_eq!(binary(Float64Array::from(vec![1.5])), 1.5_f64.to_be_bytes());
    assert_eq!(
        binary(UInt64Array::from(vec![10_000])),
        [0, 1, 0, 1, 0, 0, 0, 0, 0, 1]
    );
    assert_eq!(binary(StringArray::from(vec!["abc"])), b"abc");
    assert_eq!(
        binary(BinaryArray::from(vec![&b"\x00\xff"[..]])),
        b"\x00\xff"
    );
    assert_eq!(binary(Date32Array::from(vec![10_958])), [0, 0, 0, 1]);
    let since_2000 = 1_709_210_096_789_000_i64 - 946_684_800_000_000;
    assert_eq!(binary(moment()), since_2000.to_be_bytes());
    assert_eq!(
        binary(moment().with_timezone("+05:00")),
        since_2000.to_be_bytes()
    );
    let interval = IntervalMonthDayNano::new(1, 2, 3_000);
    let wanted = [
        &3_i64.to_be_bytes()[..],
        &2_i32.to_be_bytes(),
        &1_i32.to_be_bytes(),
    ]
    .concat();
    assert_eq!(
        binary(IntervalMonthDayNanoArray::from(vec![interval])),
        wanted
    );
    let wanted: Vec<u8> = [1, 1, 23, 3, 1, 4, 1, -1, 4, 3]
        .iter()
        .flat_map(|n: &i32| n.to_be_bytes())
        .collect();
    assert_eq!(binary(numbers()), wanted);
}

#[test]
fn arrays_quote_and_deeper_things_are_json() {
    assert_eq!(text(numbers()), "{1,NULL,3}");
    let mut strings = arrow::array::ListBuilder::new(StringBuilder::new());
    for word in [
        Some("plain"),
        Some(""),
        Some("nUll"),
        Some("a,b"),
        Some("q\"\\"),
        None,
    ] {
        strings.values().append_option(word);
    }
    strings.append(true);
    let strings = strings.finish();
    assert_eq!(
        text(strings.clone()),
        "{plain,\"\",\"nUll\",\"a,b\",\"q\\\"\\\\\",NULL}"
    );
    let names: ArrayRef = Arc::new(StringArray::from(vec![Some("a\n\"b\"")]));
    let absent: ArrayRef = Arc::new(Float64Array::from(vec![None]));
    let not: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN]));
    let field =
        |name: &str, data: &ArrayRef| Arc::new(Field::new(name, data.data_type().clone(), true));
    let list: ArrayRef = Arc::new(strings);
    let record = StructArray::from(vec![
        (field("name", &names), names),
        (field("x", &absent), absent),
        (field("nan", &not), not),
        (field("list", &list), list),
    ]);
    let json = text(record);
    let parsed: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(parsed["name"], "a\n\"b\"");
    assert_eq!(parsed["nan"], "NaN");
    assert!(parsed["x"].is_null() && parsed["list"][5].is_null());
    let mut map = MapBuilder::new(None, StringBuilder::new(), Int32Builder::new());
    map.keys().append_value("k");
    map.values().append_value(1);
    map.append(true).unwrap();
    assert_eq!(text(map.finish()), "{\"k\":1}");
}

#[test]
fn extension_types_show_as_uuid_and_rows_keep_their_nulls() {
    let uuid =
        FixedSizeBinaryArray::try_from_iter([(0_u8..16).collect::<Vec<u8>>()].iter()).unwrap();
    let metadata = [("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())].into();
    let field = Field::new("u", DataType::FixedSizeBinary(16), true).with_metadata(metadata);
    let schema: SchemaRef = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(uuid)]).unwrap();
    let value = cut(&batch, &schema, Format::Text, 0).remove(0).unwrap();
    assert_eq!(value, b"00010203-0405-0607-0809-0a0b0c0d0e0f");
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![numbers]).unwrap();
    assert_eq!(cut(&batch, &schema, Format::Binary, 1), [None]);
}

#[test]
fn a_batch_of_other_types_than_described_is_cast() {
    let described: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let actual = Arc::new(Schema::new(vec![Field::new("n", DataType::Int32, true)]));
    let numbers: ArrayRef = Arc::new(Int32Array::from(vec![7]));
    let batch = RecordBatch::try_new(actual, vec![numbers]).unwrap();
    let value = cut(&batch, &described, Format::Binary, 0)
        .remove(0)
        .unwrap();
    assert_eq!(value, 7_i64.to_be_bytes());
}
