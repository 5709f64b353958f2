//! Tests of the SQLite source: types, values that do not fit, views and queries.

use std::fs;
use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::physical_plan::common::collect;
use rusqlite::Connection;

use crate::base::Kind;
use crate::sources::tests::options;
use crate::sources::{MemoryQuarantine, bounded};

fn database() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let connection = Connection::open(folder.path().join("t.db")).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL;
             CREATE TABLE p (id INTEGER PRIMARY KEY, name VARCHAR(20), price NUMERIC(10,2), weight REAL,
                             born DATE, seen TIMESTAMP, ok BOOLEAN, data BLOB);
             INSERT INTO p VALUES (1, 'a', 1.25, 0.1, '2013-01-01', '2013-01-01 10:00:00', 1, x'00ff');
             INSERT INTO p VALUES (2, NULL, 3, 5, NULL, NULL, 'f', NULL);
             INSERT INTO p VALUES (7, 'bad', 'cheap', 1, NULL, NULL, 0, NULL);
             INSERT INTO p VALUES (8, 'bad', 1, 1, '2013-02-30', NULL, 0, NULL);
             CREATE VIEW v AS SELECT id, name FROM p WHERE id < 3;",
        )
        .unwrap();
    folder
}

#[tokio::test]
async fn rows_have_their_declared_types_and_misfits_are_quarantined() {
    let folder = database();
    let options = options(folder.path(), &[("path", "t.db"), ("table", "p")]).unwrap();
    let source = bounded(&options, None).await.unwrap();
    let types: Vec<String> = source
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(
        types,
        [
            "Int64",
            "Utf8View",
            "Decimal128(10, 2)",
            "Float64",
            "Date32",
            "Timestamp(\u{b5}s)",
            "Boolean",
            "BinaryView"
        ]
    );
    let quarantine = Arc::new(MemoryQuarantine::new());
    let batches = collect(
        source
            .scan(Arc::<MemoryQuarantine>::clone(&quarantine))
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(batches[0].num_rows(), 2);
    assert_eq!(
        batches[0]
            .column(3)
            .as_primitive::<Float64Type>()
            .values()
            .to_vec(),
        [0.1, 5.0]
    );
    assert_eq!(batches[0].column(7).as_binary_view().value(0), b"\x00\xff");
    assert!(batches[0].column(1).is_null(1));
    let bad = quarantine.take();
    let places: Vec<&str> = bad.iter().map(|bad| bad.place.as_str()).collect();
    assert_eq!(places, ["t.db:p:7", "t.db:p:8"]);
    assert!(
        bad[0]
            .reason
            .contains("\"cheap\" is not a value of type numeric(10,2)"),
        "{}",
        bad[0].reason
    );
    assert!(bad[0].bytes.starts_with(b"[\"7\",\"bad\",\"cheap\""));
}

#[tokio::test]
async fn views_and_queries_are_read_and_nothing_is_written() {
    let folder = database();
    let view = options(folder.path(), &[("path", "t.db"), ("table", "v")]).unwrap();
    let source = bounded(&view, None).await.unwrap();
    let batches = collect(
        source
            .scan(Arc::new(MemoryQuarantine::new()))
            .await
            .unwrap(),
    )
    .await
    .unwrap();
    assert_eq!(
        batches[0]
            .column(0)
            .as_primitive::<Int64Type>()
            .values()
            .to_vec(),
        [1, 2]
    );
    let with = [
        ("path", "t.db"),
        ("query", "SELECT id AS n FROM p ORDER BY id DESC;"),
    ];
    let source = bounded(&options(folder.path(), &with).unwrap(), None)
        .await
        .unwrap();
    assert_eq!(source.schema().field(0).data_type(), &DataType::Int64);
    let with = [("path", "t.db"), ("query", "DELETE FROM p")];
    let error = bounded(&options(folder.path(), &with).unwrap(), None)
        .await
        .unwrap_err();
    assert!(error.message().contains("must only read"), "{error}");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_a_clear_error() {
    let folder = tempfile::tempdir().unwrap();
    let lost = options(folder.path(), &[("path", "no.db"), ("table", "t")]).unwrap();
    assert_eq!(
        bounded(&lost, None).await.unwrap_err().kind(),
        Kind::Missing
    );
    fs::write(folder.path().join("no.db"), vec![b'x'; 5000]).unwrap();
    let error = bounded(&lost, None).await.unwrap_err();
    assert!(error.message().contains("not a database"), "{error}");
    let folder = database();
    let wrong = options(folder.path(), &[("path", "t.db"), ("table", "q")]).unwrap();
    assert!(
        bounded(&wrong, None)
            .await
            .unwrap_err()
            .message()
            .contains("no such table: q")
    );
}
