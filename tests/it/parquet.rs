//! Parquet files that are read in place: what their statistics say must not change an answer.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::file::properties::WriterProperties;
use lotic::runtime::{Lotic, Options};

use crate::asking::ask;

/// Two rows a group, so that there is something to skip.
fn write(path: &Path, rows: &[(i64, Option<f64>, &str)]) {
    let columns: [(&str, ArrayRef); 3] = [
        (
            "id",
            Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
        ),
        (
            "x",
            Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>()),
        ),
        (
            "name",
            Arc::new(StringArray::from_iter_values(rows.iter().map(|row| row.2))),
        ),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = WriterProperties::builder()
        .set_max_row_group_row_count(Some(2))
        .set_bloom_filter_enabled(true)
        .build();
    let file = std::fs::File::create(path).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// `{}` is the file, or a table of its rows.
const QUERIES: &[&str] = &[
    "SELECT id FROM {} WHERE x > 5 ORDER BY id",
    "SELECT id FROM {} WHERE x = 'NaN' ORDER BY id",
    "SELECT id FROM {} WHERE x = 0.0 ORDER BY id",
    "SELECT id FROM {} WHERE NOT (x <= 5) AND id > 0 ORDER BY id",
    "SELECT count(*) FROM {} WHERE x > 5",
    "SELECT count(*), count(x), min(x), max(x), min(id), max(name) FROM {}",
    "SELECT count(*) FROM {} WHERE x IS NULL",
    "SELECT id FROM {} ORDER BY x DESC NULLS LAST, id LIMIT 1",
    "SELECT id FROM {} ORDER BY x, id LIMIT 2",
    "SELECT a.id, b.id FROM {} a JOIN {} b ON a.x = b.x ORDER BY 1, 2",
    "SELECT a.id, b.id FROM {} a JOIN {} b ON a.x = b.x WHERE b.name = 'c' ORDER BY 1, 2",
    "SELECT id FROM {} WHERE name >= 'c' AND id < 6 ORDER BY id",
    "SELECT id FROM {} WHERE x IN (SELECT max(x) FROM {}) ORDER BY id",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_file_answers_as_a_table_of_its_rows_does() {
    let folder = tempfile::tempdir().unwrap();
    let nan = f64::NAN;
    let first = [
        (1, Some(1.0), "a"),
        (2, Some(nan), "b"),
        (3, Some(nan), "c"),
        (4, Some(7.0), "d"),
    ];
    write(&folder.path().join("1.parquet"), &first);
    let second = [(5, Some(-0.0), "e"), (6, Some(-1.0), "f"), (7, None, "g")];
    write(&folder.path().join("2.parquet"), &second);
    let lotic = Lotic::open(Options::default()).await.unwrap();
    let path = folder.path().join("*.parquet").display().to_string();
    let tables = format!(
        "CREATE SOURCE f WITH (connector = 'file', path = '{path}', format = 'parquet');
         CREATE TABLE t (id BIGINT, x DOUBLE PRECISION, name TEXT);
         INSERT INTO t SELECT * FROM f;
         SELECT count(*) FROM t"
    );
    assert_eq!(ask(&lotic, &tables).await, ["7"]);
    for query in QUERIES {
        let rows = ask(&lotic, &query.replace("{}", "t")).await;
        assert!(!rows.is_empty(), "{query}");
        assert_eq!(
            ask(&lotic, &query.replace("{}", "f")).await,
            rows,
            "{query}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_smaller_file_goes_into_the_table_of_a_join() {
    let folder = tempfile::tempdir().unwrap();
    let rows: Vec<_> = (0..100).map(|id| (id, None, "a")).collect();
    write(&folder.path().join("large.parquet"), &rows);
    write(&folder.path().join("small.parquet"), &rows[..3]);
    let lotic = Lotic::open(Options::default()).await.unwrap();
    for name in ["large", "small"] {
        let path = folder.path().join(format!("{name}.parquet"));
        let path = path.display();
        ask(
            &lotic,
            &format!("CREATE SOURCE {name} WITH (connector = 'file', path = '{path}', format = 'parquet')"),
        )
        .await;
    }
    for from in ["large JOIN small", "small JOIN large"] {
        let sql = format!("EXPLAIN SELECT count(large.name) FROM {from} ON large.id = small.id");
        let plan = ask(&lotic, &sql).await.join("\n");
        let place = |file: &str| plan.find(file).unwrap();
        assert!(place("small.parquet") < place("large.parquet"), "{plan}");
    }
}
