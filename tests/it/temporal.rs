//! Models that compare with now(): their rows come and go as time passes, and CHECK reads the same moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lotic::base::clock::Clock;
use lotic::runtime::{Lotic, Options};

use crate::asking::ask;

/// A clock that stands still until it is set.
#[derive(Debug)]
struct Set(AtomicI64);

impl Clock for Set {
    fn now_us(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }

    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
}

impl Set {
    /// Seconds since 1970.
    fn to(&self, seconds: i64) {
        self.0.store(seconds * 1_000_000, Ordering::SeqCst);
    }
}

const SQL: &str = "CREATE TABLE e (id INT, ts TIMESTAMP);
    CREATE MATERIALIZED VIEW recent AS SELECT id, ts FROM e WHERE ts > now() - INTERVAL '1 minute' AND ts <= now();
    CREATE MATERIALIZED VIEW number AS SELECT count(*) AS n, min(id) AS first FROM recent;
    INSERT INTO e VALUES (1, '1970-01-01 00:16:00'), (2, '1970-01-01 00:16:30'), (3, '1970-01-01 00:17:30')";

#[tokio::test(flavor = "multi_thread")]
async fn rows_come_and_go_with_the_clock_and_models_on_them_follow() {
    let clock = Arc::new(Set(AtomicI64::new(1_000 * 1_000_000)));
    let options = Options {
        clock: Arc::clone(&clock) as _,
        ..Options::default()
    };
    let lotic = Lotic::open(options).await.unwrap();
    ask(&lotic, SQL).await;
    // 00:16:40, 00:17:19.999999 and so on
    for (seconds, number) in [
        (1_000, "2,1"),
        (1_019, "2,1"),
        (1_020, "1,2"),
        (1_049, "1,2"),
        (1_050, "1,3"),
        (1_109, "1,3"),
        (1_110, "0,"),
        // A clock that is set back changes nothing.
        (1_000, "0,"),
    ] {
        clock.to(seconds);
        ask(&lotic, "FLUSH").await;
        assert_eq!(
            ask(&lotic, "SELECT n, first FROM number").await,
            [number],
            "{seconds}"
        );
        assert!(
            ask(&lotic, "CHECK MATERIALIZED VIEW recent")
                .await
                .is_empty()
        );
        assert!(
            ask(&lotic, "CHECK MATERIALIZED VIEW number")
                .await
                .is_empty()
        );
    }
    // A row that is taken back after its time, and one that is before it.
    ask(&lotic, "INSERT INTO e VALUES (4, '1970-01-01 00:20:00')").await;
    ask(&lotic, "DELETE FROM e WHERE id < 3").await;
    ask(&lotic, "UPDATE e SET id = 5 WHERE id = 4").await;
    clock.to(1_200);
    ask(&lotic, "FLUSH").await;
    assert_eq!(ask(&lotic, "SELECT id FROM recent").await, ["5"]);
    assert!(
        ask(&lotic, "CHECK MATERIALIZED VIEW recent")
            .await
            .is_empty()
    );
    // A model that is made late sees the same moment.
    ask(
        &lotic,
        "CREATE MATERIALIZED VIEW late AS SELECT id FROM e WHERE now() - INTERVAL '10 minutes' < ts",
    )
    .await;
    assert_eq!(
        ask(&lotic, "SELECT id FROM late ORDER BY id").await,
        ["3", "5"]
    );
    assert!(ask(&lotic, "CHECK MATERIALIZED VIEW late").await.is_empty());
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_though_nothing_happens() {
    let lotic = Lotic::open(Options::default()).await.unwrap();
    ask(
        &lotic,
        "CREATE TABLE e (id INT, ts TIMESTAMPTZ);
         CREATE MATERIALIZED VIEW m AS SELECT id FROM e WHERE ts > now() - INTERVAL '2 seconds';
         INSERT INTO e VALUES (1, now()), (2, now() + INTERVAL '1 day');
         FLUSH",
    )
    .await;
    let mut ids = ask(&lotic, "SELECT id FROM m ORDER BY id").await;
    for _ in 0..200 {
        if ids.len() < 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        ids = ask(&lotic, "SELECT id FROM m ORDER BY id").await;
    }
    assert_eq!(ids, ["2"]);
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_reads_the_clock_in_conditions_alone() {
    let lotic = Lotic::open(Options::default()).await.unwrap();
    ask(&lotic, "CREATE TABLE e (id INT, ts TIMESTAMPTZ)").await;
    for query in [
        "SELECT id, now() AS at FROM e",
        "SELECT id FROM e WHERE ts > now() - INTERVAL '1 month'",
        "SELECT id FROM e WHERE ts > now() OR id = 1",
        "SELECT id FROM e WHERE date_part('hour', now()) > id",
    ] {
        let sql = format!("CREATE MATERIALIZED VIEW m AS {query}");
        let error = lotic.session("lotic").run(&sql).await.unwrap_err();
        assert_eq!(error.code(), "0A000", "{query}: {error}");
        assert!(error.hint().is_some());
    }
    lotic.shutdown().await;
}
