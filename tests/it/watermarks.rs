//! Watermarks: what comes too late is kept and counted, windows close once, and a restart changes nothing of it.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use lotic::base::clock::Clock;
use lotic::runtime::{Lotic, Options, PushFormat, Secret};

use crate::asking::lines;
use crate::serving::Server;

fn options(folder: &Path) -> Options {
    Options {
        data: Some(folder.to_owned()),
        key: Some(Secret::new("c3".repeat(32))),
        password: Some(Secret::new("a password of the tests".to_owned())),
        ..Options::default()
    }
}

async fn ask(lotic: &Arc<Lotic>, sql: &str) -> Vec<String> {
    let mut session = lotic.session("lotic");
    let answers = session
        .run(sql)
        .await
        .unwrap_or_else(|error| panic!("{sql}: {error}"));
    session.settle().await.unwrap();
    lines(&answers.last().unwrap().1, ",")
}

async fn same_as_batch(lotic: &Arc<Lotic>) {
    for model in lotic.model_names() {
        let differing = ask(lotic, &format!("CHECK MATERIALIZED VIEW {model}")).await;
        assert!(differing.is_empty(), "{model}: {differing:?}");
    }
}

async fn state_rows(lotic: &Arc<Lotic>, model: &str, operator: &str) -> Vec<String> {
    let sql = format!(
        "SELECT state_rows FROM lotic.operators WHERE model = '{model}' AND operator = '{operator}' ORDER BY position"
    );
    ask(lotic, &sql).await
}

const CLICKS: &str = "CREATE SOURCE clicks (who TEXT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5' SECOND);
    CREATE MATERIALIZED VIEW closed AS
      SELECT window_start, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1' MINUTE) GROUP BY window_start
      EMIT ON WINDOW CLOSE;
    CREATE MATERIALIZED VIEW open AS
      SELECT window_start, count(*) AS n FROM TUMBLE(clicks, ts, INTERVAL '1' MINUTE) GROUP BY window_start";

const SOURCES: &str =
    "SELECT name, rows, quarantined, late, watermark FROM lotic.sources ORDER BY name";

#[tokio::test(flavor = "multi_thread")]
async fn windows_close_once_and_late_rows_are_kept_and_counted_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let mut lotic = Lotic::open(options(folder.path())).await.unwrap();
    ask(&lotic, CLICKS).await;
    ask(
        &lotic,
        "INSERT INTO clicks VALUES ('a', '2026-01-01 00:00:10'), ('b', NULL), ('c', '2026-01-01 00:01:04')",
    )
    .await;
    assert!(ask(&lotic, "SELECT * FROM closed").await.is_empty());
    // not late: the watermark is at 59 seconds
    ask(
        &lotic,
        "INSERT INTO clicks VALUES ('d', '2026-01-01 00:00:59')",
    )
    .await;
    same_as_batch(&lotic).await;
    ask(
        &lotic,
        "INSERT INTO clicks VALUES ('e', '2026-01-01 00:01:05'), ('late', '2026-01-01 00:00:59'), ('f', '2026-01-01 00:01:00')",
    )
    .await;
    let closed = ["2026-01-01T00:00:00,2"];
    assert_eq!(ask(&lotic, "SELECT * FROM closed").await, closed);
    let open = ["2026-01-01T00:00:00,2", "2026-01-01T00:01:00,3", ",1"];
    for round in 0..3 {
        assert_eq!(ask(&lotic, "SELECT * FROM closed").await, closed, "{round}");
        assert_eq!(
            ask(&lotic, "SELECT * FROM open ORDER BY window_start").await,
            open
        );
        assert_eq!(
            ask(&lotic, SOURCES).await,
            ["clicks,6,1,1,2026-01-01T00:01:00Z"]
        );
        let kept = ask(
            &lotic,
            "SELECT source, reason, CAST(bytes AS TEXT) FROM lotic.quarantine",
        )
        .await;
        assert_eq!(
            kept,
            [
                "clicks,late: \"ts\" lies before the watermark, which was 2026-01-01 00:01:00.000000 behind these rows,\
              {\"who\":\"late\",\"ts\":\"2026-01-01T00:00:59\"}"
            ]
        );
        same_as_batch(&lotic).await;
        // the open window, and the group without a time
        assert_eq!(state_rows(&lotic, "open", "aggregate").await, ["2"]);
        lotic.shutdown().await;
        drop(lotic);
        lotic = Lotic::open(options(folder.path())).await.unwrap();
    }
    late_rows_are_told(&lotic).await;
    lotic.shutdown().await;
}

/// Late rows are judged by what came before the restarts, and whoever sends them is told.
async fn late_rows_are_told(lotic: &Arc<Lotic>) {
    ask(
        lotic,
        "INSERT INTO clicks VALUES ('late', '2026-01-01 00:00:58')",
    )
    .await;
    assert_eq!(
        ask(lotic, SOURCES).await,
        ["clicks,6,2,2,2026-01-01T00:01:00Z"]
    );
    let mut session = lotic.session("lotic");
    let late = "INSERT INTO clicks VALUES ('late', '2026-01-01 00:00:57')";
    session.run(late).await.unwrap();
    let told = session.take_notices();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].severity, "WARNING");
    assert!(told[0].message.starts_with("1 rows came too late"));
    let body = "{\"who\":\"g\",\"ts\":\"2026-01-01T00:01:01\"}\n{\"who\":\"late\",\"ts\":\"2026-01-01T00:00:56\"}\n";
    let pushed = lotic.push_rows("clicks", PushFormat::Ndjson, body.into());
    let pushed = pushed.await.unwrap();
    assert_eq!((pushed.rows, pushed.quarantined), (1, 1));
    let mut figures = lotic.figures().into_iter();
    let late = figures.find(|figure| figure.name == "late_rows").unwrap();
    assert_eq!((late.object.as_deref(), late.value), (Some("clicks"), 4));
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_beside_each_other_are_judged_in_the_order_of_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    ask(
        &lotic,
        "CREATE SOURCE s (id INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '1' SECOND) WITH (partitions = 3);
         CREATE MATERIALIZED VIEW closed AS
           SELECT window_start, count(*) AS n, sum(id) AS total FROM TUMBLE(s, ts, INTERVAL '1' SECOND) GROUP BY window_start
           EMIT ON WINDOW CLOSE",
    )
    .await;
    let writers: Vec<_> = (0..8_u32)
        .map(|writer| {
            let lotic = Arc::clone(&lotic);
            tokio::spawn(async move {
                for step in 0..25_u32 {
                    let second = step * 2 + (writer * step) % 5;
                    let sql = format!(
                        "INSERT INTO s VALUES ({step}, '2026-01-01 00:00:00'::timestamp + INTERVAL '{second} seconds')"
                    );
                    lotic.session("lotic").run(&sql).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    ask(&lotic, "FLUSH").await;
    same_as_batch(&lotic).await;
    let counted = ask(&lotic, "SELECT rows + late FROM lotic.sources").await;
    assert_eq!(counted, ["200"]);
    let before = ask(&lotic, "SELECT * FROM closed ORDER BY 1").await;
    assert!(before.len() > 10, "{before:?}");
    lotic.shutdown().await;
    drop(lotic);
    let lotic = Lotic::open(options(folder.path())).await.unwrap();
    assert_eq!(ask(&lotic, "SELECT * FROM closed ORDER BY 1").await, before);
    lotic.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_over_a_file_keeps_and_drops_the_rows_that_following_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clicks.ndjson");
    let mut text = String::new();
    for at in 0..3000_u32 {
        let second = at / 20 + (at * 7919) % 13;
        text.push_str(&format!(
            "{{\"id\":{at},\"ts\":\"2026-01-01T00:{:02}:{:02}\"}}\n",
            second / 60,
            second % 60
        ));
    }
    std::fs::write(&file, text).unwrap();
    let source = format!(
        "CREATE SOURCE s (id INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '3 seconds')
         WITH (connector = 'file', path = '{}', format = 'ndjson', mode = 'tail', poll = '20ms')",
        file.display()
    );
    let model = "CREATE MATERIALIZED VIEW m AS SELECT window_start, count(*) AS n, sum(id) AS total
        FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start";
    let followed = Lotic::open(options(&folder.path().join("data")))
        .await
        .unwrap();
    ask(&followed, &source).await;
    ask(&followed, model).await;
    let read = Lotic::open(Options {
        maintain: false,
        ..Options::default()
    })
    .await
    .unwrap();
    ask(&read, &source).await;
    ask(&read, model).await;
    let query = "SELECT * FROM m ORDER BY 1";
    let want = ask(&read, query).await;
    assert!(want.len() > 10);
    assert_eq!(ask(&followed, query).await, want);
    let late = "SELECT count(*) FROM lotic.quarantine WHERE reason LIKE 'late: %'";
    let count = ask(&followed, late).await;
    assert_ne!(count, ["0"]);
    assert_eq!(ask(&read, late).await, count);
    same_as_batch(&followed).await;
    followed.shutdown().await;
    read.shutdown().await;
}

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

async fn wait_for(lotic: &Arc<Lotic>, sql: &str, want: &[&str]) {
    for _ in 0..400 {
        if ask(lotic, sql).await == want {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(ask(lotic, sql).await, want, "{sql}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_source_holds_nothing_back_and_what_it_brings_later_is_late() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(Set(AtomicI64::new(1_000_000_000)));
    let open = || Options {
        clock: Arc::clone(&clock) as _,
        ..options(folder.path())
    };
    let lotic = Lotic::open(open()).await.unwrap();
    let columns =
        "(k INT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (watermark_idle_timeout = '10s')";
    ask(
        &lotic,
        &format!(
            "CREATE SOURCE a {columns}; CREATE SOURCE b {columns}; CREATE SOURCE c {columns};
             CREATE MATERIALIZED VIEW both AS
               SELECT window_start, count(*) AS n
               FROM TUMBLE((SELECT k, ts FROM a UNION ALL SELECT k, ts FROM b), ts, INTERVAL '1' MINUTE)
               GROUP BY window_start EMIT ON WINDOW CLOSE;
             INSERT INTO a VALUES (1, '2026-01-01 00:00:10'), (2, '2026-01-01 00:02:30');
             INSERT INTO b VALUES (3, '2026-01-01 00:00:20')"
        ),
    )
    .await;
    let closed = "SELECT * FROM both ORDER BY window_start";
    let idle =
        "SELECT name, state, late, watermark FROM lotic.sources WHERE name <> 'c' ORDER BY name";
    // nobody has been silent for long
    assert!(ask(&lotic, closed).await.is_empty());
    clock.0.fetch_add(9_000_000, Ordering::SeqCst);
    ask(&lotic, "INSERT INTO a VALUES (4, '2026-01-01 00:03:00')").await;
    assert!(ask(&lotic, closed).await.is_empty());
    clock.0.fetch_add(2_000_000, Ordering::SeqCst);
    let first = ["2026-01-01T00:00:00,2", "2026-01-01T00:02:00,1"];
    wait_for(&lotic, closed, &first).await;
    let silent = [
        "a,ok,0,2026-01-01T00:03:00Z",
        "b,idle,0,2026-01-01T00:03:00Z",
    ];
    wait_for(&lotic, idle, &silent).await;
    // late for what the other one closed, and not for what is open
    ask(
        &lotic,
        "INSERT INTO b VALUES (5, '2026-01-01 00:02:59'), (6, '2026-01-01 00:03:01')",
    )
    .await;
    assert_eq!(ask(&lotic, closed).await, first);
    assert_eq!(
        ask(&lotic, idle).await,
        ["a,ok,0,2026-01-01T00:03:00Z", "b,ok,1,2026-01-01T00:03:01Z"]
    );
    // both silent: nobody is followed
    clock.0.fetch_add(100_000_000, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_millis(50)).await;
    same_as_batch(&lotic).await;
    lotic.shutdown().await;
    drop(lotic);
    // the record of the silence is in the topic
    let lotic = Lotic::open(open()).await.unwrap();
    assert_eq!(ask(&lotic, closed).await, first);
    ask(&lotic, "INSERT INTO b VALUES (7, '2026-01-01 00:02:59')").await;
    assert_eq!(
        ask(&lotic, idle).await,
        ["a,ok,0,2026-01-01T00:03:00Z", "b,ok,2,2026-01-01T00:03:01Z"]
    );
    same_as_batch(&lotic).await;
    lotic.shutdown().await;
}

/// The ids of lines that are late by the rule, read one after the other.
fn late_ids(lines: &[(u32, u32)], delay: u32) -> Vec<u32> {
    let mut newest = 0;
    let mut late = Vec::new();
    for (id, second) in lines {
        if second + delay < newest {
            late.push(*id);
        }
        newest = newest.max(*second);
    }
    late
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_change_nothing_of_what_is_late_and_what_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.ndjson");
    std::fs::write(&file, "").unwrap();
    let mut server = Server::start(&folder.path().join("data"));
    let client = server.connect().await;
    client
        .run(&format!(
            "CREATE SOURCE s (id INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '4 seconds')
             WITH (path = '{}', format = 'ndjson', mode = 'tail', poll = '20ms');
             CREATE MATERIALIZED VIEW m AS SELECT window_start, count(*) AS n, sum(id) AS total
               FROM TUMBLE(s, ts, INTERVAL '10 seconds') GROUP BY window_start EMIT ON WINDOW CLOSE",
            file.display()
        ))
        .await;
    let mut lines = Vec::new();
    for round in 0..4_u32 {
        let first = round * 500;
        let new: Vec<(u32, u32)> = (first..first + 500)
            .map(|id| (id, id / 10 + (id * 7919) % 11))
            .collect();
        let path = file.clone();
        let written = new.clone();
        let writing = lotic::base::task::thread("writer", move || {
            for piece in written.chunks(10) {
                let mut text = String::new();
                for (id, second) in piece {
                    let (minute, second) = (second / 60, second % 60);
                    text.push_str(&format!(
                        "{{\"id\":{id},\"ts\":\"2026-01-01T00:{minute:02}:{second:02}\"}}\n"
                    ));
                }
                let file = std::fs::OpenOptions::new().append(true).open(&path);
                std::io::Write::write_all(&mut file.unwrap(), text.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(3));
            }
        });
        tokio::time::sleep(Duration::from_millis(40 + u64::from(round) * 35)).await;
        server = server.killed_and_restarted();
        writing.unwrap().join().unwrap();
        lines.extend(new);
        let client = server.connect().await;
        let late = late_ids(&lines, 4);
        assert!(!late.is_empty());
        let counts = format!("{}|{}", lines.len() - late.len(), late.len());
        client
            .wait_for("SELECT rows, late FROM lotic.sources", &[&counts])
            .await;
        let kept = client
            .rows("SELECT CAST(bytes AS TEXT) FROM lotic.quarantine")
            .await;
        let mut kept: Vec<u32> = kept
            .iter()
            .map(|row| {
                let row: serde_json::Value = serde_json::from_str(row).unwrap();
                u32::try_from(row["id"].as_u64().unwrap()).unwrap()
            })
            .collect();
        kept.sort_unstable();
        assert_eq!(kept, late);
        assert_eq!(client.rows("CHECK MATERIALIZED VIEW m").await, [""; 0]);
        let closed = client.rows("SELECT count(*) FROM m").await;
        assert_ne!(closed, ["0"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_gives_a_source_its_rows_in_order() {
    let options = Options {
        threads: 4,
        ..Options::default()
    };
    let lotic = Lotic::open(options).await.unwrap();
    let ordered =
        "SELECT i, to_timestamp(1767225600 + i)::timestamp FROM generate_series(1, 50000) g(i)";
    ask(
        &lotic,
        "CREATE SOURCE o1 (i INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
         CREATE SOURCE o2 (i INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
         CREATE SOURCE o3 (i INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL '5 seconds');
         CREATE VIEW seen AS SELECT i, ts FROM o1 WHERE i % 2 = 0",
    )
    .await;
    ask(&lotic, &format!("INSERT INTO o1 {ordered}")).await;
    ask(&lotic, "INSERT INTO o2 SELECT i, ts FROM seen").await;
    ask(
        &lotic,
        "INSERT INTO o3 SELECT * FROM o1 WHERE i < 20000 UNION ALL SELECT * FROM o1 WHERE i > 20000",
    )
    .await;
    assert_eq!(
        ask(
            &lotic,
            "SELECT name, rows, late FROM lotic.sources ORDER BY name"
        )
        .await,
        ["o1,50000,0", "o2,25000,0", "o3,49999,0"]
    );
    lotic.shutdown().await;
}
