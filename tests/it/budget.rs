//! A model that would eat the memory is stopped with a clear error; the others go on.

use std::sync::Arc;

use lotic::base::Error;
use lotic::runtime::{Lotic, Options};

use crate::asking::lines;

/// An engine in memory whose models may use 64 MiB each, with what [`filled`] makes.
async fn engine() -> Arc<Lotic> {
    filled(Options {
        model_memory_bytes: 64 << 20,
        ..Options::default()
    })
    .await
}

/// An engine with 20,000 rows of one key in `t` and a model of their number.
async fn filled(options: Options) -> Arc<Lotic> {
    let lotic = Lotic::open(options).await.expect("an engine");
    let mut session = lotic.session("lotic");
    session
        .run(
            "CREATE TABLE t (k INT, v BIGINT);
             INSERT INTO t SELECT 1, value FROM generate_series(1, 20000);
             CREATE MATERIALIZED VIEW numbers AS SELECT count(*) AS n FROM t",
        )
        .await
        .expect("a table and a model");
    lotic
}

async fn error_of(lotic: &Arc<Lotic>, sql: &str) -> Error {
    lotic
        .session("lotic")
        .run(sql)
        .await
        .expect_err("it needs more memory than there is")
}

async fn others_go_on(lotic: &Arc<Lotic>) {
    let mut session = lotic.session("lotic");
    session
        .run("INSERT INTO t VALUES (2, 7)")
        .await
        .expect("a row");
    session
        .run("SELECT 1 / (n - 20000) FROM numbers")
        .await
        .expect("the number is fresh, so it is no division by zero");
    session
        .run("CHECK MATERIALIZED VIEW numbers")
        .await
        .expect("a check");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_over_a_cross_join_is_refused_with_the_setting() {
    let lotic = engine().await;
    let sql =
        "CREATE MATERIALIZED VIEW pairs AS SELECT a.v, b.v AS w FROM t a JOIN t b ON a.v < b.v";
    let error = error_of(&lotic, sql).await;
    assert_eq!(error.code(), "53200", "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("--model-memory"))
    );
    let error = error_of(&lotic, "SELECT * FROM pairs").await;
    assert_eq!(error.code(), "42P01", "nothing of it is left: {error}");
    others_go_on(&lotic).await;
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_that_outgrows_its_memory_stops_alone() {
    let lotic = engine().await;
    let mut session = lotic.session("lotic");
    session
        .run(
            "CREATE TABLE u (k INT, v BIGINT);
             CREATE MATERIALIZED VIEW joined AS SELECT t.v, u.v AS w FROM t JOIN u USING (k)",
        )
        .await
        .expect("a model that is empty yet");
    session
        .run("INSERT INTO u SELECT 1, value FROM generate_series(1, 20000)")
        .await
        .expect("the rows are taken: a table does not depend on who reads it");
    session
        .run("SELECT count(*) FROM joined")
        .await
        .expect("its last good rows stay readable");
    let notices = session.take_notices();
    assert!(
        notices
            .iter()
            .any(|notice| notice.message.contains("64 MiB")),
        "the reason is told to who reads it: {notices:?}"
    );
    others_go_on(&lotic).await;
    session
        .run("DROP MATERIALIZED VIEW joined")
        .await
        .expect("a failed model can go");
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn models_that_need_too_much_together_stop_while_small_ones_go_on() {
    let lotic = filled(Options {
        models_memory_bytes: 32 << 20,
        ..Options::default()
    })
    .await;
    let mut session = lotic.session("lotic");
    let copy = |number: usize| {
        format!(
            "CREATE MATERIALIZED VIEW copy_{number} AS
             SELECT v, sum(v) OVER (ORDER BY v) AS s, {number} AS n FROM t"
        )
    };
    let mut made = 0;
    let error = loop {
        match session.run(&copy(made)).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
        assert!(made < 100, "32 MiB hold no 2,000,000 rows");
    };
    assert!(made > 1, "one alone has room: {error}");
    assert_eq!(error.code(), "53200", "{error}");
    assert!(error.to_string().contains("32 MiB"), "{error}");
    assert!(
        error
            .hint()
            .is_some_and(|hint| hint.contains("--models-memory"))
    );
    others_go_on(&lotic).await;
    session
        .run("DROP MATERIALIZED VIEW copy_0")
        .await
        .expect("it is gone");
    session.run(&copy(made)).await.expect("its room is free");
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_run_of_a_models_query_has_the_budget_of_the_model() {
    let options = Options {
        model_memory_bytes: 64 << 20,
        maintain: false,
        ..Options::default()
    };
    let lotic = Lotic::open(options).await.expect("an engine");
    lotic
        .session("lotic")
        .run(
            "CREATE TABLE t (k INT, v BIGINT);
             INSERT INTO t SELECT 1, value FROM generate_series(1, 20000);
             CREATE MATERIALIZED VIEW pairs AS SELECT a.v, b.v AS w FROM t a JOIN t b ON a.v < b.v;
             CREATE MATERIALIZED VIEW groups AS
                 SELECT a.v % 3 AS g, b.v + a.v * 20000 AS w FROM t a CROSS JOIN t b GROUP BY 1, 2",
        )
        .await
        .expect("definitions alone");
    for model in ["pairs", "groups"] {
        let error = error_of(&lotic, &format!("SELECT count(*) FROM {model}")).await;
        assert_eq!(error.code(), "53200", "{model}: {error}");
        assert!(
            error
                .hint()
                .is_some_and(|hint| hint.contains("--model-memory")),
            "{model}: {error}"
        );
    }
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_follows_a_model_that_has_failed_and_checks_go_on_without_it() {
    let lotic = engine().await;
    let mut session = lotic.session("lotic");
    session
        .run(
            "CREATE TABLE u (k INT, v BIGINT);
             CREATE MATERIALIZED VIEW joined AS SELECT t.v, u.v AS w FROM t JOIN u USING (k);
             CREATE VIEW seen AS SELECT v FROM joined;
             INSERT INTO u SELECT 1, value FROM generate_series(1, 20000)",
        )
        .await
        .expect("the rows are taken");
    session.settle().await.expect("they are seen");
    for input in ["joined", "seen"] {
        let sql = format!("CREATE MATERIALIZED VIEW over AS SELECT count(*) AS n FROM {input}");
        let error = error_of(&lotic, &sql).await;
        assert_eq!(error.code(), "55000", "{error}");
        assert!(error.message().contains("\"joined\""), "{error}");
        assert!(error.hint().is_some_and(|hint| hint.contains("drop")));
    }
    // its query needs more memory than there is, in batch too
    let answers = session.run("CHECK ALL").await.expect("a list");
    let found = lines(&answers[0].1, "|");
    assert_eq!(found, ["numbers|0", "joined|"]);
    let notices = session.take_notices();
    assert!(
        notices.iter().any(|notice| notice.severity == "WARNING"
            && notice.message.contains("\"joined\" was not compared")),
        "{notices:?}"
    );
    session
        .run(
            "TRUNCATE u;
             DROP MATERIALIZED VIEW joined CASCADE;
             CREATE MATERIALIZED VIEW joined AS SELECT t.v, u.v AS w FROM t JOIN u USING (k);
             CREATE MATERIALIZED VIEW over AS SELECT count(*) AS n FROM joined",
        )
        .await
        .expect("made again, it can be followed");
    lotic.shutdown().await;
}
