//! Unique indexes hold for COPY, for pushed rows, among writers at once and after a restart.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use lotic::base::Error;
use lotic::runtime::{Applied, Lotic, Options, Pipeline, PushFormat, Response, Secret};

use crate::asking::lines;

fn options(folder: &Path) -> Options {
    Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new("a1".repeat(32))),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    }
}

async fn ask(lotic: &Arc<Lotic>, sql: &str) -> Vec<String> {
    let answers = lotic.session("lotic").run(sql).await.unwrap();
    lines(&answers.last().unwrap().1, " | ")
}

async fn refused(lotic: &Arc<Lotic>, sql: &str) -> Error {
    lotic.session("lotic").run(sql).await.unwrap_err()
}

async fn copy(lotic: &Arc<Lotic>, sql: &str, rows: &'static str) -> Result<(), Error> {
    let mut session = lotic.session("lotic");
    let parsed = session.parse(sql).unwrap().remove(0);
    let prepared = session.prepare(parsed, &[]).await.unwrap();
    let Response::CopyIn(mut target) = session.execute(&prepared, &[]).await.unwrap() else {
        panic!("a COPY");
    };
    target.push(Bytes::from_static(rows.as_bytes())).await?;
    target.finish().await?;
    session.settle().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unique_index_holds_for_every_way_in_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    ask(
        &lotic,
        "CREATE TABLE t (a INT, b TEXT UNIQUE, c INT) WITH (partitions = '3')",
    )
    .await;
    ask(&lotic, "CREATE UNIQUE INDEX by_a ON t (a DESC)").await;
    ask(&lotic, "CREATE INDEX by_c ON t (c, a)").await;
    let table = "COPY t FROM STDIN";
    copy(
        &lotic,
        table,
        "1\tone\t1\n2\ttwo\t1\n\\N\t\\N\t1\n\\N\t\\N\t1\n",
    )
    .await
    .unwrap();
    let error = copy(&lotic, table, "3\tthree\t1\n1\tagain\t1\n")
        .await
        .unwrap_err();
    assert_eq!(error.code(), "23505");
    assert_eq!(
        error.message(),
        "duplicate key value violates unique constraint \"by_a\""
    );
    assert_eq!(error.detail(), Some("Key (a)=(1) already exists."));
    let body = Bytes::from_static(b"{\"a\": 4, \"b\": \"two\"}\n");
    let error = lotic
        .push_rows("t", PushFormat::Ndjson, body)
        .await
        .unwrap_err();
    assert_eq!(
        error.message(),
        "duplicate key value violates unique constraint \"t_b_key\""
    );
    let listed = [
        "t_b_key | t | b | true | true",
        "by_a | t | a DESC | true | false",
        "by_c | t | c, a | false | false",
    ];
    assert_eq!(ask(&lotic, "SELECT * FROM lotic.indexes").await, listed);
    lotic.shutdown().await;
    drop(lotic);

    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    assert_eq!(ask(&lotic, "SELECT * FROM lotic.indexes").await, listed);
    let rows = "SELECT count(*), sum(a) FROM t";
    assert_eq!(ask(&lotic, rows).await, ["4 | 3"]);
    let insert = "INSERT INTO t VALUES (2, 'new')";
    assert_eq!(refused(&lotic, insert).await.code(), "23505");
    let error = refused(&lotic, "CREATE UNIQUE INDEX by_c_alone ON t (c)").await;
    assert_eq!(
        error.message(),
        "could not create unique index \"by_c_alone\""
    );
    assert_eq!(error.detail(), Some("Key (c)=(1) is duplicated."));
    ask(&lotic, "DROP INDEX by_a").await;
    ask(&lotic, insert).await;
    ask(&lotic, "DELETE FROM t WHERE a = 2").await;
    ask(&lotic, "CREATE UNIQUE INDEX by_a ON t (a)").await;
    ask(&lotic, insert).await;
    assert_eq!(refused(&lotic, insert).await.code(), "23505");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_writers_at_once_one_alone_gets_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    ask(&lotic, "CREATE TABLE t (a INT UNIQUE, b INT)").await;
    let mut writers = Vec::new();
    for writer in 0..8 {
        let lotic = Arc::clone(&lotic);
        writers.push(tokio::spawn(async move {
            let mut won = 0;
            for key in 0..20 {
                let sql = format!("INSERT INTO t VALUES ({key}, {writer})");
                match lotic.session("lotic").run(&sql).await {
                    Ok(_) => won += 1,
                    Err(error) => assert_eq!(error.code(), "23505", "{error}"),
                }
            }
            won
        }));
    }
    let mut won = 0;
    for writer in writers {
        won += writer.await.unwrap();
    }
    assert_eq!(won, 20);
    ask(&lotic, "FLUSH").await;
    let rows = ask(&lotic, "SELECT count(*), count(DISTINCT a) FROM t").await;
    assert_eq!(rows, ["20 | 20"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_makes_its_indexes_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("one.sql");
    let text = "CREATE TABLE t (a INT, b INT);\nCREATE INDEX ON t (a);\nCREATE UNIQUE INDEX by_b ON t (b);";
    std::fs::write(&file, text).unwrap();
    let lotic = Lotic::open(options(&folder.path().join("data")))
        .await
        .unwrap();
    let mut ran = Vec::new();
    for text in [text, text, &text.replace("(b)", "(b, a)")] {
        std::fs::write(&file, text).unwrap();
        let pipeline = Pipeline::read(std::slice::from_ref(&file), &BTreeMap::new()).unwrap();
        let mut count = 0;
        let note = |_: &_, applied| count += usize::from(applied == Some(Applied::Ran));
        lotic.apply(&pipeline, note).await.unwrap();
        ran.push(count);
    }
    assert_eq!(ran, [3, 0, 1]);
    assert_eq!(
        ask(&lotic, "SELECT name, columns FROM lotic.indexes").await,
        ["t_a_idx | a", "by_b | b, a"]
    );
    let late = "CREATE INDEX i ON later (a);\nCREATE TABLE later (a INT);";
    std::fs::write(&file, late).unwrap();
    let error = Pipeline::read(&[file], &BTreeMap::new()).unwrap_err();
    assert_eq!(error.code(), "42P01");
}
