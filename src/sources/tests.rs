//! Tests of options and of bounded file sources, scanned and queried in place.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::execution::SessionStateBuilder;
use datafusion::physical_plan::{collect, common};

use super::{
    BoundedSource, Compression, Connector, Format, MemoryQuarantine, Mode, SourceOptions, bounded,
};
use crate::base::{Kind, Result};

pub(super) fn options(folder: &Path, with: &[(&str, &str)]) -> Result<SourceOptions> {
    let with: BTreeMap<String, String> = with
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    SourceOptions::new("s", &with, folder)
}

async fn scan(source: &Arc<dyn BoundedSource>) -> Result<(Vec<RecordBatch>, MemoryQuarantine)> {
    let quarantine = Arc::new(MemoryQuarantine::new());
    let stream = source
        .scan(Arc::<MemoryQuarantine>::clone(&quarantine))
        .await?;
    let batches = common::collect(stream).await?;
    Ok((batches, Arc::into_inner(quarantine).unwrap()))
}

/// What a batch query reads: a projection of the table in place.
async fn query(source: &Arc<dyn BoundedSource>, columns: &[usize]) -> Result<Vec<RecordBatch>> {
    let state = SessionStateBuilder::new().with_default_features().build();
    let table = source
        .table_provider(&state, Arc::new(MemoryQuarantine::new()))
        .await?;
    let plan = table
        .scan(&state, Some(&columns.to_vec()), &[], None)
        .await?;
    Ok(collect(plan, state.task_ctx()).await?)
}

fn sum(batches: &[RecordBatch], column: usize) -> i64 {
    let column = |batch: &RecordBatch| Arc::clone(batch.column(column));
    batches
        .iter()
        .map(|batch| {
            column(batch)
                .as_primitive::<Int64Type>()
                .iter()
                .flatten()
                .sum::<i64>()
        })
        .sum()
}

fn count(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

#[test]
fn options_are_inferred_and_unknown_ones_are_named() {
    let here = Path::new("/base");
    let found = options(here, &[("path", "a/*.csv.gz"), ("null", "NA, -")]).unwrap();
    assert_eq!(
        (found.connector, found.format),
        (Connector::File, Some(Format::Csv))
    );
    assert_eq!((found.compression, found.mode), (None, Mode::Once));
    assert_eq!(found.nulls, ["NA", "-"]);
    assert_eq!(
        super::options::compression_of("a.csv.gz"),
        Compression::Gzip
    );
    let error = options(here, &[("path", "a.csv"), ("pth", "b")]).unwrap_err();
    assert_eq!(error.message(), "source \"s\" has no option \"pth\"");
    assert!(error.hint().unwrap().contains("delimiter"));
    let fails = |with: &[(&str, &str)]| options(here, with).unwrap_err().message().to_owned();
    assert!(fails(&[]).contains("needs the option \"path\""));
    assert!(fails(&[("path", "a.txt")]).contains("needs the option \"format\""));
    assert!(fails(&[("path", "a.csv"), ("mode", "later")]).contains("'later'"));
    assert!(fails(&[("path", "a.db")]).contains("\"table\" and \"query\""));
    assert!(fails(&[("path", "a.parquet"), ("mode", "tail")]).contains("cannot be followed"));
    assert!(fails(&[("path", "a.csv"), ("delimiter", ",,")]).contains("not one ASCII character"));
    let poll = options(here, &[("path", "a.csv"), ("poll", "250ms")])
        .unwrap()
        .poll;
    assert_eq!(poll.as_millis(), 250);
}

#[test]
fn secrets_are_not_shown() {
    let with = [
        (
            "url",
            "postgres://me:hunter2@host:5432/db?sslmode=require&password=hunter2",
        ),
        ("table", "t"),
        ("aws_secret_access_key", "hunter2"),
    ];
    let found = options(Path::new("/"), &with).unwrap();
    let shown = format!("{found:?} {}", found.location);
    assert!(!shown.contains("hunter2"), "{shown}");
    assert!(shown.contains("host:5432/db"));
    assert!(found.location.expose().contains("hunter2"));
}

fn write_gz(path: &Path, text: &[u8]) {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(text).unwrap();
    fs::write(path, encoder.finish().unwrap()).unwrap();
}

#[tokio::test]
async fn files_of_a_pattern_are_read_whatever_their_compression() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.csv"), "n,t\n1,a\nx,b\n").unwrap();
    write_gz(&folder.path().join("2.csv.gz"), b"t,n\nc,2\n");
    let zst = zstd::encode_all(&b"n,t\n4,d\n"[..], 3).unwrap();
    fs::write(folder.path().join("3.csv.zst"), zst).unwrap();
    let options = options(folder.path(), &[("path", "?.csv*"), ("format", "csv")]).unwrap();
    let schema: SchemaRef = Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, true)]));
    let source = bounded(&options, Some(schema)).await.unwrap();
    let (batches, quarantine) = scan(&source).await.unwrap();
    assert_eq!((sum(&batches, 0), quarantine.len()), (7, 1));
    assert_eq!(quarantine.take()[0].place, "1.csv:3");
    assert_eq!(sum(&query(&source, &[0]).await.unwrap(), 0), 7);
    assert_eq!(count(&query(&source, &[]).await.unwrap()), 3);
}

#[tokio::test]
async fn a_source_that_is_not_there_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let lost = options(folder.path(), &[("path", "no.csv")]).unwrap();
    let error = bounded(&lost, None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing);
    assert_eq!(error.message(), "source \"s\": no file matches \"no.csv\"");
    fs::write(folder.path().join("no.csv"), "n\n1\n").unwrap();
    let source = bounded(&lost, None).await.unwrap();
    fs::remove_file(folder.path().join("no.csv")).unwrap();
    let error = scan(&source).await.unwrap_err();
    assert!(error.message().contains("open no.csv"), "{error}");
    fs::write(folder.path().join("bad.csv.gz"), b"not gzip at all").unwrap();
    let bad = options(folder.path(), &[("path", "bad.csv.gz")]).unwrap();
    let error = bounded(&bad, None).await.unwrap_err();
    assert!(error.message().contains("read bad.csv.gz"), "{error}");
    fs::write(folder.path().join("bad.parquet"), b"not parquet at all").unwrap();
    let bad = options(folder.path(), &[("path", "bad.parquet")]).unwrap();
    let error = bounded(&bad, None).await.unwrap_err();
    assert!(
        error.message().contains("bad.parquet cannot be read"),
        "{error}"
    );
}

#[tokio::test]
async fn parquet_and_arrow_are_queried_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let values = arrow::array::Int64Array::from(vec![1, 2, 3]);
    let texts = arrow::array::StringArray::from(vec!["x", "y", "z"]);
    let columns: [(&str, arrow::array::ArrayRef); 2] =
        [("n", Arc::new(values)), ("t", Arc::new(texts))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    // Characters that mean something in a pattern or a URL stand for themselves in a name.
    let path = folder.path().join("a b#1.parquet");
    let mut writer = datafusion::parquet::arrow::ArrowWriter::try_new(
        fs::File::create(path).unwrap(),
        batch.schema(),
        None,
    )
    .unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = fs::File::create(folder.path().join("a.arrow")).unwrap();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    for name in ["a b#1.parquet", "a.arrow"] {
        let options = options(folder.path(), &[("path", name)]).unwrap();
        let source = bounded(&options, None).await.unwrap();
        assert_eq!(
            source.schema().field(1).data_type(),
            &DataType::Utf8View,
            "{name}"
        );
        let (batches, _) = scan(&source).await.unwrap();
        assert_eq!((sum(&batches, 0), count(&batches)), (6, 3), "{name}");
        let found = query(&source, &[1, 0]).await.unwrap();
        assert_eq!(sum(&found, 1), 6, "{name}");
        assert_eq!(found[0].column(0).as_string_view().value(2), "z", "{name}");
    }
}
