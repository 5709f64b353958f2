//! An expression that fails in one group or one row of one model: that group or row is left out and told, the other models go on,
//! and a restart gives the same.

use std::path::Path;
use std::sync::Arc;

use lotic::runtime::{Lotic, Options, Secret};

async fn open(folder: &Path) -> Arc<Lotic> {
    let options = Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new("c3".repeat(32))),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    };
    Lotic::open(options).await.unwrap()
}

async fn run(lotic: &Arc<Lotic>, sql: &str) {
    let mut session = lotic.session("lotic");
    session.run(sql).await.unwrap();
    session.settle().await.unwrap();
}

/// All that there is to see, as text.
async fn seen(lotic: &Arc<Lotic>) -> String {
    let mut session = lotic.session("lotic");
    let mut text = String::new();
    for sql in [
        "SELECT g, share FROM shares ORDER BY g",
        "SELECT count, total FROM numbers",
        "SELECT g, q FROM strict ORDER BY g, q",
        "SELECT name, state, error_rows, last_error FROM lotic.models ORDER BY name",
        "SELECT model, operator, code, message, row, copies FROM lotic.model_errors ORDER BY 1, 2, 3, 4, 5",
    ] {
        let answer = session.run(sql).await.unwrap();
        let table = arrow::util::pretty::pretty_format_batches(&answer[0].1).unwrap();
        text.push_str(&format!("{table}\n"));
    }
    text
}

/// Stops the engine and opens its folder again.
async fn again(lotic: Arc<Lotic>, folder: &Path) -> Arc<Lotic> {
    lotic.shutdown().await;
    drop(lotic);
    open(folder).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_fails_is_left_out_and_told_and_a_restart_gives_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let lotic = open(folder.path()).await;
    run(
        &lotic,
        "CREATE TABLE t (g INT, v INT, n INT);
         CREATE MATERIALIZED VIEW shares AS SELECT g, 100 * count(*) / count(v) AS share FROM t GROUP BY g;
         CREATE MATERIALIZED VIEW numbers AS SELECT count(*) AS count, sum(v) AS total FROM t;
         CREATE MATERIALIZED VIEW strict WITH (on_error = 'fail') AS SELECT g, v / n AS q FROM t;
         INSERT INTO t VALUES (1, 4, 2), (1, NULL, 2), (2, 6, 3)",
    )
    .await;
    let good = seen(&lotic).await;
    assert!(!good.contains("22012"), "{good}");

    // a group without a value, whose share is a division by zero
    run(&lotic, "INSERT INTO t VALUES (3, NULL, 1)").await;
    let failing = seen(&lotic).await;
    assert_eq!(
        failing.matches("22012").count(),
        1,
        "one group is told\n{failing}"
    );
    assert!(
        failing.contains("| 3 |   |"),
        "strict goes on, its rows are good\n{failing}"
    );
    let lotic = again(lotic, folder.path()).await;
    assert_eq!(seen(&lotic).await, failing, "after a restart");

    // a row that the strict model stops at; the others follow
    run(&lotic, "INSERT INTO t VALUES (4, 8, 0)").await;
    let stopped = seen(&lotic).await;
    assert!(stopped.contains("failed"), "{stopped}");
    assert!(
        stopped.contains("| 5     | 18    |"),
        "the others go on\n{stopped}"
    );
    let lotic = again(lotic, folder.path()).await;
    let restarted = seen(&lotic).await;
    assert!(restarted.contains("failed"), "{restarted}");
    assert!(restarted.contains("| 5     | 18    |"), "{restarted}");

    // mended, nothing is told of the group any more
    run(
        &lotic,
        "UPDATE t SET v = 1 WHERE g = 3; DELETE FROM t WHERE g = 4",
    )
    .await;
    let mended = seen(&lotic).await;
    assert!(!mended.contains("22012 "), "{mended}");
    let lotic = again(lotic, folder.path()).await;
    let healthy = seen(&lotic).await;
    assert!(
        !healthy.contains("failed"),
        "a start without the row is a good one\n{healthy}"
    );
    lotic.shutdown().await;
}
