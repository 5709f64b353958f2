//! The PostgreSQL connector against a real server that the test starts.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Int32Type, TimestampMicrosecondType};
use datafusion::physical_plan::common::collect;
use lotic::base::{Kind, Result};
use lotic::sources::{MemoryQuarantine, SourceOptions, bounded};

use crate::postgres_server::{Server, start};

/// Connects as soon as the server takes connections.
async fn client_of(server: &mut Server) -> tokio_postgres::Client {
    loop {
        match tokio_postgres::connect(&server.url(), tokio_postgres::NoTls).await {
            Ok((client, connection)) => {
                drop(lotic::base::task::spawn("test-client", async move {
                    drop(connection.await);
                }));
                return client;
            }
            Err(error) => {
                assert!(!server.has_ended(), "the server ended: {error}");
                tokio::task::yield_now().await;
            }
        }
    }
}

fn options(url: &str, with: &[(&str, &str)]) -> Result<SourceOptions> {
    let mut map: BTreeMap<String, String> = with
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    map.insert("url".to_owned(), url.to_owned());
    SourceOptions::new("s", &map, Path::new("/"))
}

async fn read(options: &SourceOptions) -> Result<(Vec<RecordBatch>, Arc<MemoryQuarantine>)> {
    let source = bounded(options, None).await?;
    let quarantine = Arc::new(MemoryQuarantine::new());
    let batches = collect(
        source
            .scan(Arc::<MemoryQuarantine>::clone(&quarantine))
            .await?,
    )
    .await?;
    Ok((batches, quarantine))
}

const SETUP: &str = r#"
    CREATE TYPE mood AS ENUM ('sad', 'ok');
    CREATE SCHEMA "S";
    CREATE TABLE "S".kinds (b bool, s int2, i int4, l int8, r float4, d float8, n numeric(8,2), big numeric,
        t text, v varchar(5), c char(3), y bytea, da date, ti time, ts timestamp, tz timestamptz,
        u uuid, j jsonb, m mood, a int[], ta text[]);
    INSERT INTO "S".kinds VALUES (true, 1, 2, 3, 1.5, 0.1, 12.345, 1e40, E'tab\tand\nline \\N', 'v', 'c',
        '\x00ff', '2013-01-01', '10:11:12.5', '2013-01-01 10:00:00', '2013-01-01 12:00:00+02',
        'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '{"k": 1}', 'ok', '{1,NULL,3}', '{"a b",NULL}');
    INSERT INTO "S".kinds (i, ts) VALUES (7, 'infinity');
    INSERT INTO "S".kinds DEFAULT VALUES;
    CREATE TABLE many AS SELECT g AS i, 'row ' || g AS t FROM generate_series(1, 100000) g;
"#;

#[tokio::test(flavor = "multi_thread")]
async fn postgres_tables_and_queries_are_read_with_their_types() {
    let Some(mut server) = start() else { return };
    client_of(&mut server)
        .await
        .batch_execute(SETUP)
        .await
        .unwrap();
    let (batches, quarantine) = read(&options(&server.url(), &[("table", "S.kinds")]).unwrap())
        .await
        .unwrap();
    let batch = &batches[0];
    let types: Vec<String> = batch
        .schema()
        .fields()
        .iter()
        .map(|field| field.data_type().to_string())
        .collect();
    assert_eq!(
        types.join(" "),
        "Boolean Int16 Int32 Int64 Float32 Float64 Decimal128(8, 2) Utf8View Utf8View Utf8View Utf8View \
         BinaryView Date32 Time64(\u{b5}s) Timestamp(\u{b5}s) Timestamp(\u{b5}s, \"+00:00\") Utf8View Utf8View Utf8View \
         List(Int32) List(Utf8View)"
    );
    assert_eq!(batch.num_rows(), 2);
    assert_eq!(
        batch.column(8).as_string_view().value(0),
        "tab\tand\nline \\N"
    );
    assert_eq!(batch.column(11).as_binary_view().value(0), b"\x00\xff");
    let noon = batch
        .column(14)
        .as_primitive::<TimestampMicrosecondType>()
        .value(0);
    assert_eq!(
        batch
            .column(15)
            .as_primitive::<TimestampMicrosecondType>()
            .value(0),
        noon
    );
    assert_eq!(
        batch
            .column(19)
            .as_list::<i32>()
            .value(0)
            .as_primitive::<Int32Type>()
            .value(2),
        3
    );
    assert!(batch.columns().iter().all(|column| column.is_null(1)));
    let bad = quarantine.take();
    assert_eq!(bad.len(), 1);
    assert!(
        bad[0].reason.contains("\"ts\": \"infinity\""),
        "{}",
        bad[0].reason
    );

    let with = [("query", "SELECT t, i FROM many WHERE i > 10;")];
    let (batches, _) = read(&options(&server.url(), &with).unwrap()).await.unwrap();
    assert_eq!(
        batches.iter().map(RecordBatch::num_rows).sum::<usize>(),
        99_990
    );
    assert!(batches.len() > 1, "rows stream in batches");
    let with = [("query", "DELETE FROM many RETURNING i")];
    assert!(read(&options(&server.url(), &with).unwrap()).await.is_err());
    let lost = read(&options(&server.url(), &[("table", "lost")]).unwrap())
        .await
        .unwrap_err();
    assert_eq!(lost.code(), "42P01");
}

#[tokio::test]
async fn a_postgres_server_that_is_away_is_named_with_its_port_and_without_its_password() {
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let url = format!("postgres://lotic:hunter2@127.0.0.1:{port}/db");
    let error = read(&options(&url, &[("table", "t")]).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains(&format!("127.0.0.1:{port}/db is away")),
        "{shown}"
    );
    assert!(!shown.contains("hunter2"));
}
