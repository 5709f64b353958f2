//! Defaults of columns where rows do not come by INSERT: COPY, pushed bodies, and after a restart.

use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lotic::runtime::{Lotic, Options, PushFormat, Response, Secret};

use crate::asking::ask;

fn options(folder: &Path) -> Options {
    Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new("a1".repeat(32))),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    }
}

async fn copy(lotic: &Arc<Lotic>, sql: &str, rows: &'static str) {
    let mut session = lotic.session("lotic");
    let parsed = session.parse(sql).unwrap().remove(0);
    let prepared = session.prepare(parsed, &[]).await.unwrap();
    let Response::CopyIn(mut target) = session.execute(&prepared, &[]).await.unwrap() else {
        panic!("a COPY");
    };
    target
        .push(Bytes::from_static(rows.as_bytes()))
        .await
        .unwrap();
    target.finish().await.unwrap();
    session.settle().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn copies_pushes_and_restarts_keep_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    ask(
        &lotic,
        "CREATE TABLE t (id BIGINT, k INT DEFAULT 7, s TEXT NOT NULL DEFAULT 'x y', d DATE DEFAULT '2013-01-01',
             f DOUBLE PRECISION DEFAULT 0.1, b BOOLEAN DEFAULT false, at TIMESTAMPTZ DEFAULT now())",
    )
    .await;
    copy(&lotic, "COPY t (id) FROM STDIN", "1\n2\n").await;
    let push = |format, body: &'static [u8]| lotic.push_rows("t", format, Bytes::from_static(body));
    let pushed = push(
        PushFormat::Ndjson,
        b"{\"id\": 3}\n{\"id\": 4, \"k\": null, \"s\": \"given\"}\n{\"id\": 5, \"s\": null}\n{\"k\": 70, \"id\": 6}\n",
    )
    .await
    .unwrap();
    assert_eq!(
        (pushed.rows, pushed.quarantined),
        (3, 1),
        "NULL that is written is no default"
    );
    push(PushFormat::Csv, b"b,id\ntrue,8\n,9\n").await.unwrap();
    let schema = arrow::datatypes::Schema::new(vec![arrow::datatypes::Field::new(
        "id",
        arrow::datatypes::DataType::Int32,
        true,
    )]);
    let ids: arrow::array::ArrayRef = Arc::new(arrow::array::Int32Array::from(vec![10]));
    let batch = arrow::array::RecordBatch::try_new(Arc::new(schema), vec![ids]).unwrap();
    let mut writer =
        arrow::ipc::writer::StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    let body = Bytes::from(writer.into_inner().unwrap());
    lotic
        .push_rows("t", PushFormat::ArrowIpc, body)
        .await
        .unwrap();
    ask(&lotic, "FLUSH").await;
    let expected = [
        "1,7,x y,2013-01-01,0.1,false",
        "2,7,x y,2013-01-01,0.1,false",
        "3,7,x y,2013-01-01,0.1,false",
        "4,,given,2013-01-01,0.1,false",
        "6,70,x y,2013-01-01,0.1,false",
        "8,7,x y,2013-01-01,0.1,true",
        "9,7,x y,2013-01-01,0.1,",
        "10,7,x y,2013-01-01,0.1,false",
    ];
    let all = "SELECT id, k, s, d, f, b FROM t ORDER BY id";
    assert_eq!(ask(&lotic, all).await, expected);
    // one moment for each of the COPY and the three pushes
    assert_eq!(
        ask(&lotic, "SELECT count(DISTINCT at), count(at) FROM t").await,
        ["4,8"]
    );
    lotic.shutdown().await;
    drop(lotic);

    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    assert_eq!(ask(&lotic, all).await, expected);
    ask(&lotic, "INSERT INTO t (id) VALUES (11)").await;
    ask(&lotic, "FLUSH").await;
    assert_eq!(
        ask(&lotic, "SELECT id, k, s, d, f, b FROM t WHERE id = 11").await,
        ["11,7,x y,2013-01-01,0.1,false"]
    );
    lotic.shutdown().await;
}
