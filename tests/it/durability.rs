//! What is acknowledged is on disk, encrypted, and comes back, also after `kill -9`.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lotic::base::rng::{Rng, SystemRng};
use lotic::runtime::{Lotic, Options, Secret};
use tokio_postgres::Client;

use super::server_process::{Server, connect, free_port};

fn options(folder: &Path, key: &str) -> Options {
    Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new(key.to_owned())),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    }
}

async fn answer(lotic: &Arc<Lotic>, sql: &str) -> String {
    let answers = lotic.session("lotic").run(sql).await.unwrap();
    let (_, batches, _) = answers.last().unwrap();
    arrow::util::pretty::pretty_format_batches(batches)
        .unwrap()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_models_survive_a_restart_and_no_value_lies_readable_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let key = "a1".repeat(32);
    let canary = "canary-8d1f6a-of-the-durability-test";
    let lotic = Lotic::open(options(folder.path(), &key)).await.unwrap();
    let mut session = lotic.session("lotic");
    session
        .run(&format!(
            "CREATE TABLE t (id INT PRIMARY KEY, secret_name TEXT);
             CREATE MATERIALIZED VIEW m AS SELECT secret_name, count(*) AS n FROM t GROUP BY 1;
             INSERT INTO t VALUES (1, '{canary}'), (2, '{canary}'), (3, 'other {canary}');
             UPDATE t SET secret_name = 'changed {canary}' WHERE id = 2;
             DELETE FROM t WHERE id = 3",
        ))
        .await
        .unwrap();
    session.settle().await.unwrap();
    let before = answer(&lotic, "SELECT * FROM m ORDER BY 1").await;
    drop(session);
    lotic.shutdown().await;
    drop(lotic);

    let mut files = vec![folder.path().to_owned()];
    let mut seen = 0;
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(
                std::fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
            continue;
        }
        seen += 1;
        let bytes = std::fs::read(&path).unwrap();
        for planted in [canary.as_bytes(), b"secret_name", b"password of the tests"] {
            let found = bytes.windows(planted.len()).any(|window| window == planted);
            assert!(!found, "{} is readable", path.display());
        }
    }
    assert!(seen > 4, "the folder has files");

    let refused = Lotic::open(options(folder.path(), &"b2".repeat(32)))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), "28000", "{refused}");
    let lotic = Lotic::open(options(folder.path(), &key)).await.unwrap();
    assert_eq!(answer(&lotic, "SELECT * FROM m ORDER BY 1").await, before);
    assert_eq!(lotic.count_differences("m").await.unwrap(), 0);
    let duplicate = lotic
        .session("lotic")
        .run("INSERT INTO t VALUES (1, 'again')")
        .await;
    assert_eq!(duplicate.unwrap_err().code(), "23505");
    lotic.shutdown().await;
}

async fn number(client: &Client, sql: &str) -> i64 {
    client.query_one(sql, &[]).await.unwrap().get(0)
}

/// Rounds of inserts until a SIGKILL at a random moment. `LOTIC_KILLS` asks for more rounds and
/// `LOTIC_BIN` names another binary, such as a release build:
/// `LOTIC_KILLS=50 LOTIC_BIN=target/release/lotic cargo test --test it kill_nine -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_rows_survive_kill_nine() {
    let rounds: usize = std::env::var("LOTIC_KILLS").map_or(4, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let mut server = Server::start(folder.path(), port);
    let mut client = connect(port).await;
    client
        .batch_execute(
            "CREATE TABLE t (id BIGINT PRIMARY KEY, part INT);
             CREATE MATERIALIZED VIEW m AS SELECT part, count(*) AS n, sum(id) AS ids FROM t GROUP BY part",
        )
        .await
        .unwrap();
    let mut acknowledged: i64 = 0;
    for round in 0..rounds {
        let mut random = [0; 2];
        SystemRng.fill(&mut random).unwrap();
        let moment = Duration::from_millis(50 + u64::from(u16::from_le_bytes(random)) % 700);
        let ended = tokio::time::timeout(moment, async {
            loop {
                let rows: Vec<String> = (0..100)
                    .map(|k| format!("({}, {k})", acknowledged + k))
                    .collect();
                let sql = format!("INSERT INTO t VALUES {}", rows.join(","));
                client.batch_execute(&sql).await.unwrap();
                acknowledged += 100;
            }
        });
        ended.await.unwrap_err();
        drop(server); // SIGKILL
        server = Server::start(folder.path(), port);
        client = connect(port).await;
        let rows = number(&client, "SELECT count(*) FROM t").await;
        let known = format!("SELECT count(*) FROM t WHERE id < {acknowledged}");
        assert_eq!(number(&client, &known).await, acknowledged, "round {round}");
        assert!(
            rows == acknowledged || rows == acknowledged + 100,
            "round {round}: {rows} rows, {acknowledged} acknowledged"
        );
        acknowledged = rows;
        let differing = client
            .query("CHECK MATERIALIZED VIEW m", &[])
            .await
            .unwrap();
        assert!(differing.is_empty(), "round {round}");
        let counted = number(&client, "SELECT CAST(sum(n) AS BIGINT) FROM m").await;
        assert_eq!(counted, rows, "round {round}");
    }
    println!("{rounds} kills, {acknowledged} rows acknowledged and there");
    assert!(acknowledged > 0);
}
