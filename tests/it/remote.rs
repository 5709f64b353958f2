//! Files behind `http://` and `s3://` addresses, against a server of the test's own.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use datafusion::parquet::arrow::ArrowWriter;
use lotic::base::{Error, Kind};
use lotic::runtime::{Lotic, Options, Secret};

use crate::asking::lines;
use crate::object_server::{KEY, ObjectServer, Served};

const SECRET: &str = "wJalrXUtnFEMI-secret";

async fn engine(maintain: bool) -> Arc<Lotic> {
    let options = Options {
        maintain,
        ..Options::default()
    };
    Lotic::open(options).await.unwrap()
}

/// The cells of the last answer, rows between `|` and cells between commas.
async fn ask(lotic: &Arc<Lotic>, sql: &str) -> Result<String, Error> {
    let answers = lotic.session("lotic").run(sql).await?;
    Ok(lines(&answers.last().unwrap().1, ",").join("|"))
}

fn csv(ids: std::ops::Range<i64>) -> String {
    let mut text = String::from("id,name\n");
    for id in ids {
        text.push_str(&format!("{id},name {id}\n"));
    }
    text
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn ndjson(ids: std::ops::Range<i64>) -> String {
    ids.map(|id| format!("{{\"id\": {id}, \"name\": \"name {id}\"}}\n"))
        .collect()
}

fn parquet(ids: std::ops::Range<i64>) -> Vec<u8> {
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
    ]));
    let names: StringArray = ids.clone().map(|id| Some(format!("name {id}"))).collect();
    let columns: Vec<arrow::array::ArrayRef> =
        vec![Arc::new(Int64Array::from_iter_values(ids)), Arc::new(names)];
    let batch = RecordBatch::try_new(Arc::clone(&schema), columns).unwrap();
    let mut bytes = Vec::new();
    let mut writer = ArrowWriter::try_new(&mut bytes, schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    bytes
}

fn s3_options(server: &ObjectServer) -> String {
    format!(
        "aws_endpoint = 'http://{}', allow_http = 'true', aws_region = 'eu-test-1',
         aws_access_key_id = '{KEY}', aws_secret_access_key = '{SECRET}'",
        server.address()
    )
}

const TOTALS: &str = "SELECT count(*), sum(id), min(name), max(name) FROM s";

#[tokio::test(flavor = "multi_thread")]
async fn every_format_is_read_from_a_web_server_in_batch_and_by_models() {
    let server = ObjectServer::start().await;
    server.put("some folder/a.csv", csv(0..1000));
    server.put("a.csv.gz", gzip(csv(0..1000).as_bytes()));
    server.put("a.ndjson", ndjson(0..1000));
    server.put("a.parquet", parquet(0..1000));
    for path in ["some%20folder/a.csv", "a.csv.gz", "a.ndjson", "a.parquet"] {
        for maintain in [false, true] {
            let lotic = engine(maintain).await;
            let url = server.url(path);
            let create = format!(
                "CREATE SOURCE s WITH (connector = 'file', url = '{url}');
                 CREATE MATERIALIZED VIEW m AS {TOTALS}"
            );
            ask(&lotic, &create).await.unwrap();
            let expected = "1000,499500,name 0,name 999";
            assert_eq!(ask(&lotic, TOTALS).await.unwrap(), expected, "{path}");
            assert_eq!(ask(&lotic, "SELECT * FROM m").await.unwrap(), expected);
            lotic.shutdown().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_signature_of_a_signed_address_is_sent_and_never_shown() {
    let server = ObjectServer::start().await;
    server.put("a.csv", csv(0..3));
    let lotic = engine(true).await;
    let url = server.url("a.csv?X-Amz-Signature=hush-hush");
    ask(
        &lotic,
        &format!("CREATE SOURCE s WITH (connector = 'file', url = '{url}')"),
    )
    .await
    .unwrap();
    assert_eq!(ask(&lotic, "SELECT count(*) FROM s").await.unwrap(), "3");
    assert!(
        server
            .seen()
            .iter()
            .all(|(_, target, _)| target.ends_with("?X-Amz-Signature=hush-hush"))
    );
    let shown = ask(&lotic, "SELECT definition FROM lotic.objects")
        .await
        .unwrap();
    assert!(shown.contains("a.csv?***"), "{shown}");
    let lost = server.url("lost.csv?X-Amz-Signature=hush-hush");
    for format in ["csv", "parquet"] {
        let create = format!(
            "CREATE SOURCE lost (id BIGINT) WITH (connector = 'file', url = '{lost}', format = '{format}');
             SELECT * FROM lost"
        );
        let error = ask(&lotic, &create).await.unwrap_err();
        assert_eq!(error.code(), "58P01", "{error}");
        assert_eq!(error.kind(), Kind::Missing);
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("lost.csv does not exist"), "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
        drop(ask(&lotic, "DROP SOURCE IF EXISTS lost").await);
    }
}

fn fill_bucket(server: &ObjectServer) {
    for part in 0..5 {
        server.put(
            &format!("bucket/year=2013/part {part}.csv"),
            csv(part * 10..part * 10 + 10),
        );
    }
    server.put("bucket/year=2013/deep/part 9.csv", csv(900..910));
    server.put("bucket/year=2014/part 0.csv", csv(800..810));
    server.put("bucket/year=2013/notes.txt", "not rows");
    for part in 0..3 {
        server.put(
            &format!("bucket/p/{part}.parquet"),
            parquet(part * 10..part * 10 + 10),
        );
        server.put(
            &format!("bucket/z/{part}.csv.gz"),
            gzip(csv(part * 10..part * 10 + 10).as_bytes()),
        );
        server.put(
            &format!("bucket/j/{part}.ndjson"),
            ndjson(part * 10..part * 10 + 10),
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_bucket_are_found_by_pattern_over_pages_of_a_listing() {
    let server = ObjectServer::start().await;
    fill_bucket(&server);
    let options = s3_options(&server);
    let cases = [
        ("s3://bucket/year=2013/part *.csv", "50,1225,name 0,name 9"),
        ("s3://bucket/year=2013/part 1.csv", "10,145,name 10,name 19"),
        ("s3://bucket/*/part 0.csv", "20,8090,name 0,name 9"),
        ("s3://bucket/p/?.parquet", "30,435,name 0,name 9"),
        ("s3://bucket/z/*.csv.gz", "30,435,name 0,name 9"),
        ("s3://bucket/j/[01].ndjson", "20,190,name 0,name 9"),
    ];
    for (url, expected) in cases {
        for maintain in [false, true] {
            let lotic = engine(maintain).await;
            let create = format!(
                "CREATE SOURCE s WITH (connector = 'file', url = '{url}', {options});
                 CREATE MATERIALIZED VIEW m AS {TOTALS}"
            );
            ask(&lotic, &create)
                .await
                .unwrap_or_else(|error| panic!("{url}: {error}"));
            assert_eq!(ask(&lotic, TOTALS).await.unwrap(), expected, "{url}");
            assert_eq!(
                ask(&lotic, "SELECT * FROM m").await.unwrap(),
                expected,
                "{url}"
            );
            for sql in [
                "SELECT definition FROM lotic.objects",
                "DESCRIBE s",
                "SHOW SOURCES",
                "EXPLAIN SELECT * FROM s",
                "SELECT * FROM lotic.sources",
            ] {
                let shown = ask(&lotic, sql).await.unwrap();
                assert!(
                    !shown.contains(SECRET) && !shown.contains(KEY),
                    "{sql}: {shown}"
                );
            }
            lotic.shutdown().await;
        }
    }
    assert!(
        server
            .seen()
            .iter()
            .any(|(_, target, _)| target.contains("continuation-token"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_refuses_or_lacks_a_key_is_told_without_the_keys() {
    let server = ObjectServer::start().await;
    server.put("bucket/a.csv", csv(0..3));
    let lotic = engine(true).await;
    let good = s3_options(&server);
    let wrong = good.replace(KEY, "AKIDOTHER");
    let plain = good.replace("allow_http = 'true', ", "");
    let unknown = good.replace("aws_region", "aws_regoin");
    let mangled = good.replace("http://", "nowhere at all ");
    let cases = [
        ("s3://bucket/a.csv", wrong, "42501"),
        ("s3://bucket/lost.csv", good.clone(), "58P01"),
        ("s3://bucket/lost/*.csv", good.clone(), "58P01"),
        ("s3://bucket/a.csv", plain, "22023"),
        ("s3://bucket/a.csv", unknown, "22023"),
        ("s3://bucket/a.csv", mangled, "22023"),
        ("gs://bucket/a.csv", good.clone(), "0A000"),
        ("ftp://bucket/a.csv", good, "0A000"),
    ];
    for (url, options, code) in cases {
        let create = format!("CREATE SOURCE s WITH (connector = 'file', url = '{url}', {options})");
        let error = ask(&lotic, &create).await.unwrap_err();
        assert_eq!(error.code(), code, "{url}: {error}");
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains(SECRET) && !shown.contains("AKID"),
            "{shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_an_error_after_seconds() {
    let server = ObjectServer::start().await;
    let (web, options) = (server.url("a.csv"), s3_options(&server));
    server.stop().await;
    let lotic = engine(true).await;
    for with in [
        format!("url = '{web}'"),
        format!("url = 's3://bucket/a.csv', {options}"),
        format!("url = 's3://bucket/*.csv', {options}"),
    ] {
        let create = format!("CREATE SOURCE s WITH (connector = 'file', {with})");
        let waited = tokio::time::timeout(Duration::from_secs(30), ask(&lotic, &create)).await;
        let error = waited.expect("the statement ends").unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{error}");
        let shown = format!("{error} {error:?}");
        assert!(shown.contains("connection refused"), "{shown}");
        assert!(!shown.contains(SECRET) && !shown.contains(KEY), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_goes_on_where_it_broke_or_is_an_error() {
    let server = ObjectServer::start().await;
    let bytes = csv(0..20_000).into_bytes();
    let served = |breaks, tagged, whole_only| Served {
        bytes: bytes.clone(),
        breaks_after: if breaks > 2 { 1_000 } else { 100_001 },
        breaks,
        tagged,
        whole_only,
    };
    server.serve("resumed.csv", served(2, true, false));
    // nobody can tell that the second answer is of the same file
    server.serve("untagged.csv", served(1, false, false));
    // the second answer begins at the start again
    server.serve("whole.csv", served(1, true, true));
    server.serve("always.csv", served(usize::MAX, true, false));
    let lotic = engine(true).await;
    let expected = Some("20000,199990000,name 0,name 9999");
    for (path, answer) in [
        ("resumed", expected),
        ("untagged", None),
        ("whole", None),
        ("always", None),
    ] {
        let url = server.url(&format!("{path}.csv"));
        let with = format!("(id BIGINT, name TEXT) WITH (connector = 'file', url = '{url}')");
        ask(&lotic, &format!("CREATE SOURCE s {with}"))
            .await
            .unwrap();
        let read = ask(&lotic, TOTALS).await;
        match answer {
            Some(answer) => assert_eq!(read.unwrap(), answer, "{path}"),
            None => match read {
                Ok(answer) => panic!("{path} gives {answer}"),
                Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{path}"),
            },
        }
        // a table that could not be filled is not there
        let made = ask(&lotic, &format!("CREATE TABLE t {with}")).await;
        if path == "always" {
            made.unwrap_err();
            assert_eq!(ask(&lotic, "SHOW TABLES").await.unwrap(), "");
        } else {
            drop(ask(&lotic, "DROP TABLE IF EXISTS t").await);
        }
        ask(&lotic, "DROP SOURCE s").await.unwrap();
    }
}

fn on_disk(folder: &Path) -> Options {
    Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new("a1".repeat(32))),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_does_not_wait_for_a_server_that_is_away_and_its_models_come_with_it() {
    let server = ObjectServer::start().await;
    server.put("a.csv", csv(0..10));
    let folder = tempfile::tempdir().unwrap();
    let lotic = Lotic::open(on_disk(folder.path())).await.unwrap();
    let url = server.url("a.csv");
    ask(
        &lotic,
        &format!(
            "CREATE SOURCE s (id BIGINT, name TEXT) WITH (connector = 'file', url = '{url}');
             CREATE VIEW v AS SELECT id FROM s;
             CREATE TABLE t (id BIGINT);
             INSERT INTO t VALUES (1), (2), (100);
             CREATE MATERIALIZED VIEW near AS SELECT count(*) AS n FROM t;
             CREATE MATERIALIZED VIEW far AS SELECT v.id FROM v JOIN t ON v.id = t.id;
             CREATE MATERIALIZED VIEW beyond AS SELECT count(*) AS n FROM far"
        ),
    )
    .await
    .unwrap();
    lotic.shutdown().await;
    drop(lotic);
    let address = server.address();
    let files = server.stop().await;

    let opened = tokio::time::timeout(Duration::from_secs(5), Lotic::open(on_disk(folder.path())));
    let lotic = opened.await.expect("the start does not wait").unwrap();
    assert_eq!(ask(&lotic, "SELECT * FROM near").await.unwrap(), "3");
    assert_eq!(
        ask(&lotic, "SELECT * FROM beyond")
            .await
            .unwrap_err()
            .kind(),
        Kind::Unavailable
    );
    let more = "INSERT INTO t VALUES (3); SELECT * FROM near";
    assert_eq!(ask(&lotic, more).await.unwrap(), "4");
    let state =
        "SELECT state || ' ' || coalesce(last_error, '') FROM lotic.sources WHERE name = 's'";
    let state = until(&lotic, state, |text| text.starts_with("retrying")).await;
    assert!(state.contains("connection refused"), "{state}");
    let models = "SELECT name, state FROM lotic.models WHERE last_error IS NOT NULL ORDER BY 1";
    until(&lotic, models, |text| text == "far,retrying").await;

    let _server = ObjectServer::start_at(address, files).await;
    let models = "SELECT name, state FROM lotic.models ORDER BY 1";
    until(&lotic, models, |text| {
        text == "beyond,live|far,live|near,live"
    })
    .await;
    assert_eq!(ask(&lotic, "SELECT * FROM beyond").await.unwrap(), "3");
    ask(&lotic, "DELETE FROM t WHERE id = 2").await.unwrap();
    ask(&lotic, "FLUSH").await.unwrap();
    assert_eq!(ask(&lotic, "SELECT * FROM beyond").await.unwrap(), "2");
    assert_eq!(
        ask(&lotic, "SELECT state FROM lotic.sources WHERE name = 's'")
            .await
            .unwrap(),
        "ok"
    );
    lotic.shutdown().await;
}

/// Asks until the answer is as wanted.
async fn until(lotic: &Arc<Lotic>, sql: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    for _ in 0..600 {
        last = ask(lotic, sql).await.unwrap();
        if wanted(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{sql} still gives {last}");
}
