//! Tests of the encoders and file sinks.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{
    ArrayRef, BinaryViewArray, BooleanArray, Date32Array, Decimal128Array, Float32Array,
    Float64Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch, StringViewArray,
    TimestampMicrosecondArray,
};
use arrow::datatypes::{DataType, Field, Int32Type, IntervalMonthDayNano, Schema, SchemaRef};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::stream;
use proptest::prelude::{any, prop, prop_assert_eq, proptest};

use super::{
    BatchWriter, CopyEncoder, FileSink, OutputFormat, SinkOptions, TextStyle, write_value,
};
use crate::base::Error;
use crate::sources::{
    CopyDecoder, CopyOptions, MemoryQuarantine, PushFormat, PushedRows, decode_push,
};

fn text(array: &dyn arrow::array::Array, row: usize) -> String {
    let mut out = String::new();
    write_value(array, row, TextStyle::Postgres, &mut out).unwrap();
    out
}

#[test]
fn values_are_written_as_postgres_does() {
    let floats = Float64Array::from(vec![
        0.1,
        1e15,
        123_456_789_012_345.0,
        1e-5,
        0.0001,
        -0.0,
        f64::NAN,
        f64::INFINITY,
        1.5e300,
        100.0,
    ]);
    let shown: Vec<String> = (0..floats.len()).map(|row| text(&floats, row)).collect();
    assert_eq!(
        shown,
        [
            "0.1",
            "1e+15",
            "123456789012345",
            "1e-05",
            "0.0001",
            "-0",
            "NaN",
            "Infinity",
            "1.5e+300",
            "100"
        ]
    );
    assert_eq!(text(&Float32Array::from(vec![1_000_000.0_f32]), 0), "1e+06");
    assert_eq!(text(&BooleanArray::from(vec![true]), 0), "t");
    assert_eq!(
        text(&BinaryViewArray::from_iter_values([b"\x00\xff"]), 0),
        "\\x00ff"
    );
    assert_eq!(text(&Date32Array::from(vec![-1]), 0), "1969-12-31");
    let moments = TimestampMicrosecondArray::from(vec![1_500_000, 1_000_000]);
    assert_eq!(text(&moments, 0), "1970-01-01 00:00:01.5");
    assert_eq!(
        text(&moments.with_timezone("+00:00"), 1),
        "1970-01-01 00:00:01+00"
    );
    let decimals = Decimal128Array::from(vec![-105])
        .with_precision_and_scale(5, 2)
        .unwrap();
    assert_eq!(text(&decimals, 0), "-1.05");
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None])]);
    assert_eq!(text(&lists, 0), "{1,NULL}");
    let spans = IntervalMonthDayNanoArray::from(vec![
        IntervalMonthDayNano::new(14, 3, 14_706_000_000_000),
        IntervalMonthDayNano::new(0, 0, 0),
    ]);
    assert_eq!(text(&spans, 0), "1 year 2 mons 3 days 04:05:06");
    assert_eq!(text(&spans, 1), "00:00:00");
}

fn rows(values: &[(Option<i64>, Option<String>, Option<f64>)]) -> RecordBatch {
    let ints: Int64Array = values.iter().map(|row| row.0).collect();
    let texts: StringViewArray = values.iter().map(|row| row.1.clone()).collect();
    let floats: Float64Array = values.iter().map(|row| row.2).collect();
    let schema = Schema::new(vec![
        Field::new("i", DataType::Int64, true),
        Field::new("t", DataType::Utf8View, true),
        Field::new("f", DataType::Float64, true),
    ]);
    let columns: Vec<ArrayRef> = vec![Arc::new(ints), Arc::new(texts), Arc::new(floats)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn one(schema: &SchemaRef, batches: &[RecordBatch]) -> RecordBatch {
    arrow::compute::concat_batches(schema, batches).unwrap()
}

proptest! {
    #[test]
    fn what_copy_writes_it_reads_back(
        values in prop::collection::vec(
            (any::<Option<i64>>(), prop::option::of("[a-c\\\\N\"',\t\n\r .\u{e9}]{0,8}"),
             prop::option::of(prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL | prop::num::f64::ZERO)),
            0..30),
        csv in any::<bool>(),
        header in any::<bool>(),
        piece in 1_usize..50,
    ) {
        let options = if csv { CopyOptions::csv() } else { CopyOptions::text() };
        let options = CopyOptions { header, ..options };
        let batch = rows(&values);
        let encoder = CopyEncoder::new(options.clone());
        let mut bytes = encoder.header(&batch.schema()).to_vec();
        bytes.extend_from_slice(&encoder.encode(&batch).unwrap());
        let mut decoder = CopyDecoder::new("t", &batch.schema(), options).unwrap();
        let mut found = Vec::new();
        for piece in bytes.chunks(piece) {
            found.extend(decoder.push(piece).unwrap());
        }
        found.extend(decoder.finish().unwrap());
        prop_assert_eq!(one(&batch.schema(), &found), batch);
    }

    #[test]
    fn csv_and_ndjson_files_read_back(
        values in prop::collection::vec(
            (any::<Option<i64>>(), prop::option::of("[a-c\\\\N\"',\t\n\r .\u{e9}]{0,8}"),
             prop::option::of(prop::num::f64::NORMAL)), 0..30),
        csv in any::<bool>(),
    ) {
        let batch = rows(&values);
        let (format, push) = if csv {
            (OutputFormat::Csv, PushFormat::Csv)
        } else {
            (OutputFormat::Ndjson, PushFormat::Ndjson)
        };
        let mut writer = BatchWriter::new(format, &batch.schema(), Vec::new()).unwrap();
        writer.write(&batch).unwrap();
        let (bytes, _) = writer.finish().unwrap();
        let quarantine = MemoryQuarantine::new();
        let rows = PushedRows {
            topic: "t",
            schema: &batch.schema(),
            defaults: &BTreeMap::new(),
        };
        let found = decode_push(push, bytes.into(), &rows, &quarantine).unwrap();
        prop_assert_eq!(quarantine.take(), vec![]);
        prop_assert_eq!(one(&batch.schema(), &found), batch);
    }
}

fn stream_of(
    items: Vec<crate::base::Result<RecordBatch>>,
    schema: &SchemaRef,
) -> SendableRecordBatchStream {
    let items = items.into_iter().map(|item| item.map_err(Into::into));
    Box::pin(RecordBatchStreamAdapter::new(
        Arc::clone(schema),
        stream::iter(items.collect::<Vec<_>>()),
    ))
}

#[tokio::test]
async fn a_sink_replaces_its_file_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let with = BTreeMap::from([("path".to_owned(), "out/m.csv".to_owned())]);
    let options = SinkOptions::new("s", &with, folder.path()).unwrap();
    let path = options.path.clone();
    let mut sink = FileSink::new(options);
    assert!(sink.is_due(Duration::ZERO));
    let batch = rows(&[(Some(1), Some(String::new()), None)]);
    let schema = batch.schema();
    let written = sink
        .write(stream_of(vec![Ok(batch.clone())], &schema), Duration::ZERO)
        .await;
    assert_eq!(written.unwrap(), 1);
    assert_eq!(fs::read_to_string(&path).unwrap(), "i,t,f\n1,\"\",\n");
    sink.mark_changed();
    assert!(!sink.is_due(Duration::from_millis(10)) && sink.is_due(Duration::from_secs(2)));
    let broken = stream_of(vec![Ok(batch), Err(Error::internal("broken"))], &schema);
    let error = sink
        .write(broken, Duration::from_secs(2))
        .await
        .unwrap_err();
    assert_eq!(error.message(), "broken");
    assert_eq!(fs::read_to_string(&path).unwrap(), "i,t,f\n1,\"\",\n");
}

#[tokio::test]
async fn parquet_files_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.parquet");
    let batch = rows(&[
        (Some(1), Some("x".to_owned()), Some(0.5)),
        (None, None, None),
    ]);
    let stream = stream_of(vec![Ok(batch.clone())], &batch.schema());
    assert_eq!(
        super::write_file(&path, OutputFormat::Parquet, stream)
            .await
            .unwrap(),
        2
    );
    let with = BTreeMap::from([("path".to_owned(), "*.parquet".to_owned())]);
    let options = crate::sources::SourceOptions::new("s", &with, folder.path()).unwrap();
    let source = crate::sources::bounded(&options, None).await.unwrap();
    let found = source
        .scan(Arc::new(MemoryQuarantine::new()))
        .await
        .unwrap();
    let found = datafusion::physical_plan::common::collect(found)
        .await
        .unwrap();
    assert_eq!(found, [batch]);
}

#[test]
fn an_unknown_option_is_named() {
    let with = BTreeMap::from([("pth".to_owned(), "x.csv".to_owned())]);
    let error = SinkOptions::new("s", &with, std::path::Path::new("/")).unwrap_err();
    assert_eq!(error.message(), "sink \"s\" has no option \"pth\"");
}
