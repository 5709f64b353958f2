//! A model that takes long to fill: its progress can be read, and it can be cancelled without a trace.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use lotic::base::Error;
use lotic::runtime::{Lotic, Options};

use crate::asking::lines;

/// What `lotic.builds` shows: operators and rows taken of each model.
async fn builds(lotic: &Arc<Lotic>) -> Vec<(i64, i64)> {
    let answers = lotic
        .session("lotic")
        .run("SELECT operators, rows_taken FROM lotic.builds")
        .await
        .expect("a system relation");
    let rows = |batch: &RecordBatch| {
        let column = |index: usize| batch.column(index).as_primitive::<Int64Type>().clone();
        let (operators, rows) = (column(0), column(1));
        (0..batch.num_rows())
            .map(|row| (operators.value(row), rows.value(row)))
            .collect::<Vec<_>>()
    };
    answers[0].1.iter().flat_map(rows).collect()
}

async fn until(lotic: &Arc<Lotic>, what: impl Fn(&[(i64, i64)]) -> bool) {
    let seen = async {
        while !what(&builds(lotic).await) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), seen)
        .await
        .expect("in time");
}

async fn error_of(lotic: &Arc<Lotic>, sql: &str) -> Error {
    lotic.session("lotic").run(sql).await.expect_err(sql)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_leaves_nothing_and_the_next_one_is_right() {
    let lotic = Lotic::open(Options::default()).await.expect("an engine");
    let mut session = lotic.session("lotic");
    session
        .run(
            "CREATE TABLE t (k INT, v BIGINT);
             INSERT INTO t SELECT 1, value FROM generate_series(1, 10000)",
        )
        .await
        .expect("a table");
    let model = "CREATE MATERIALIZED VIEW pairs AS
        SELECT a.v % 10 AS g, count(*) AS n FROM t a JOIN t b USING (k) WHERE a.v < b.v GROUP BY 1";
    let canceller = session.canceller();
    let building = tokio::spawn(async move { session.run(model).await });
    until(
        &lotic,
        |builds| matches!(builds, [(operators, rows)] if *operators > 2 && *rows >= 20_000),
    )
    .await;
    canceller.cancel();
    let error = building.await.expect("no panic").expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");
    until(&lotic, <[_]>::is_empty).await;
    let error = error_of(&lotic, "SELECT * FROM pairs").await;
    assert_eq!(error.code(), "42P01", "nothing of it is left: {error}");

    // the next object may have the number that the cancelled one had
    let mut session = lotic.session("lotic");
    session
        .run(
            "DELETE FROM t WHERE v > 100;
             CREATE MATERIALIZED VIEW pairs AS
                 SELECT a.v % 10 AS g, count(*) AS n FROM t a JOIN t b USING (k) WHERE a.v < b.v GROUP BY 1;
             INSERT INTO t VALUES (1, 101), (2, 102)",
        )
        .await
        .expect("the same model over fewer rows");
    assert_eq!(lotic.count_differences("pairs").await.expect("a check"), 0);
    drop(session);
    lotic.shutdown().await;
}

/// An engine with a table `t`, and one with a model over it that takes minutes, once that is being
/// filled; what cancels the model, and its end.
async fn busy_engine() -> (
    Arc<Lotic>,
    impl Fn(),
    tokio::task::JoinHandle<Result<(), Error>>,
) {
    let lotic = Lotic::open(Options::default()).await.expect("an engine");
    let mut session = lotic.session("lotic");
    session
        .run(
            "CREATE TABLE t (k INT, v BIGINT);
             CREATE TABLE kept (k INT);
             INSERT INTO t SELECT 1, value FROM generate_series(1, 10000)",
        )
        .await
        .expect("tables");
    let canceller = session.canceller();
    let model = "CREATE MATERIALIZED VIEW pairs AS
        SELECT a.v % 10 AS g, count(*) AS n FROM t a JOIN t b USING (k) WHERE a.v < b.v GROUP BY 1";
    let building = tokio::spawn(async move { session.run(model).await.map(drop) });
    until(
        &lotic,
        |builds| matches!(builds, [(operators, _)] if *operators > 2),
    )
    .await;
    (lotic, move || canceller.cancel(), building)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_is_cancelled_while_it_waits_does_not_happen() {
    let (lotic, cancel_model, building) = busy_engine().await;
    let mut waiting = Vec::new();
    for sql in [
        "DROP TABLE kept",
        "CREATE TABLE made (k INT)",
        "CREATE TABLE copied AS SELECT k FROM kept",
        "CREATE SOURCE streamed (k INT)",
        "CREATE VIEW seen AS SELECT k FROM kept",
        "CREATE OR REPLACE VIEW seen AS SELECT k FROM kept",
        "CREATE INDEX found ON kept (k)",
        "CREATE UNIQUE INDEX found ON kept (k)",
        "CREATE MATERIALIZED VIEW kept_rows AS SELECT k FROM kept",
    ] {
        let mut session = lotic.session("lotic");
        let canceller = session.canceller();
        let task = tokio::spawn(async move { session.run(sql).await.map(drop) });
        waiting.push((sql, canceller, task));
    }
    // one ends by itself
    let mut session = lotic.session("lotic");
    session
        .run("SET statement_timeout = 50")
        .await
        .expect("a setting");
    let error = session
        .run("DROP TABLE kept")
        .await
        .expect_err("it waits for the model");
    assert_eq!(error.code(), "57014", "{error}");
    for (sql, canceller, task) in waiting {
        canceller.cancel();
        let outcome = task.await.expect("no panic");
        let error = outcome.expect_err(sql);
        assert_eq!(error.code(), "57014", "{sql}: {error}");
    }
    cancel_model();
    let error = building.await.expect("no panic").expect_err("cancelled");
    assert_eq!(error.code(), "57014", "{error}");

    // it comes after all that waited
    let mut session = lotic.session("lotic");
    session
        .run("CREATE TABLE last (k INT); INSERT INTO kept VALUES (7), (7)")
        .await
        .expect("the table is there, and no index is");
    let catalog = session
        .run("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1")
        .await
        .expect("a list");
    assert_eq!(lines(&catalog[0].1, ","), ["kept", "last", "t"]);
    lotic.shutdown().await;
}
